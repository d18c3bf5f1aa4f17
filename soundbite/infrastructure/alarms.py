"""The environment's alarms, as CloudWatch has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite import environment as environments
from soundbite.cloud import explained

if TYPE_CHECKING:
    from soundbite.cloud import Cloud


def describe(cloud: Cloud) -> list[dict[str, Any]]:
    """Return what CloudWatch says of each alarm whose name begins with `PROJECT-environment-`, whoever made it."""
    environment = cloud.environment
    prefix = environment.stack_name("")
    # Another environment's prefix may begin with this one: dev-aws, dev-aws-deployed.
    every = (f"{environment.workflow.project}-{name}-" for name in environments.names())
    others = tuple(each for each in every if each != prefix and each.startswith(prefix))
    with explained("cloudwatch:DescribeAlarms", environment):
        pages = cloud.client("cloudwatch").get_paginator("describe_alarms")
        found = pages.paginate(AlarmNamePrefix=prefix, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        alarms = [each for page in found for kind in ("MetricAlarms", "CompositeAlarms") for each in page.get(kind, [])]
    return [each for each in alarms if not each["AlarmName"].startswith(others)]

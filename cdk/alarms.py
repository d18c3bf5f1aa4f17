"""Alarms: one for each way a resource gets into trouble, in the stack that knows the resource."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cdk.stacks.base import EnvironmentStack


def watch(
    stack: EnvironmentStack,
    name: str,
    namespace: str,
    metric: str,
    dimensions: Mapping[str, str],
    trouble: str,
    *,
    statistic: str = "Sum",
    above: float = 0,
    minutes: int = 1,
    missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
) -> cloudwatch.Alarm:
    """Make an alarm.

    Parameters
    ----------
    trouble:
        What has happened when it rings, for whoever reads it then.
    above:
        What the statistic of a minute must not exceed, in the metric's own unit.
    minutes:
        So many minutes in a row.
    missing:
        What no data means. AWS counts none of most troubles where there were none, so it is no trouble.
    """
    measured = cloudwatch.Metric(
        namespace=namespace,
        metric_name=metric,
        dimensions_map=dict(dimensions),
        statistic=statistic,
        period=Duration.minutes(1),
    )
    return cloudwatch.Alarm(
        stack,
        name,
        alarm_description=f"{stack.settings.project} {stack.settings.environment}: {trouble}",
        metric=measured,
        threshold=above,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        evaluation_periods=minutes,
        treat_missing_data=missing,
    )

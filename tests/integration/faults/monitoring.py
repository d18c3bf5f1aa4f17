"""Faults of alarms, dashboard and logs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .fault import aws, outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.conftest import Dev

    Seed = Callable[[Dev], AbstractContextManager[dict[str, str]]]


@contextmanager
def alarm_rings(dev: Dev) -> Iterator[dict[str, str]]:
    """Set an alarm to ALARM."""
    client = aws(dev, "cloudwatch")
    name = _alarm(client, "DeadLetters")["AlarmName"]
    client.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="messages were lost")
    try:
        yield {}
    finally:
        client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="mended")


@contextmanager
def alarm_missing(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete the dead-letter queue's alarm."""
    client = aws(dev, "cloudwatch")
    was = _alarm(client, "DeadLetters")
    client.delete_alarms(AlarmNames=[was["AlarmName"]])
    kept = ("AlarmName", "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods")
    try:
        yield {}
    finally:
        client.put_metric_alarm(
            **{name: was[name] for name in kept},
            Threshold=was["Threshold"],
            ComparisonOperator=was["ComparisonOperator"],
        )


def _alarm(client: Any, name: str) -> dict[str, Any]:
    found = client.describe_alarms()["MetricAlarms"]
    return next(dict(each) for each in found if f"-Observability-{name}" in each["AlarmName"])


@contextmanager
def dashboard_missing(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete the dashboard."""
    client, name = aws(dev, "cloudwatch"), outputs(dev)["Observability.DashboardName"]
    body = client.get_dashboard(DashboardName=name)["DashboardBody"]
    client.delete_dashboards(DashboardNames=[name])
    try:
        yield {}
    finally:
        client.put_dashboard(DashboardName=name, DashboardBody=body)


@contextmanager
def logs_for_ever(dev: Dev) -> Iterator[dict[str, str]]:
    """Take the retention from the log group."""
    client, name = aws(dev, "logs"), outputs(dev)["Compute.LogGroupName"]
    client.delete_retention_policy(logGroupName=name)
    try:
        yield {}
    finally:
        client.put_retention_policy(logGroupName=name, retentionInDays=1)

"""What watches the environment: an alarm for each way a resource gets into trouble, and a dashboard.

The hosts' alarms are in the Api stack, the service's in Service: what another stack imports could never change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk.alarms import watch

from .base import EnvironmentStack
from .storage import REQUEST_METRICS

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings

_OLDEST = 300
"""Seconds that a message may wait before somebody is told: a clip is spoken within some."""
_LONG = 0.8
"""The share of the processor's time-out that no batch should take."""


class Observability(EnvironmentStack):
    """The alarms and the dashboard."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        outputs: Outputs,
        *,
        table: dynamodb.ITable,
        bucket: s3.IBucket,
        queue: sqs.IQueue,
        dead_letters: sqs.IQueue,
        processor: lambda_.IFunction | None,
    ) -> None:
        super().__init__(app, settings, outputs)
        tables = {"TableName": table.table_name}
        self._graphs: list[cloudwatch.IWidget] = []
        self._watch("TableReads", "AWS/DynamoDB", "ReadThrottleEvents", tables, "reads of the table were throttled")
        self._watch("TableWrites", "AWS/DynamoDB", "WriteThrottleEvents", tables, "writes to the table were throttled")
        requests = {"BucketName": bucket.bucket_name, "FilterId": REQUEST_METRICS}
        self._watch("BucketErrors", "AWS/S3", "5xxErrors", requests, "S3 failed requests to the bucket")
        waiting = {"QueueName": queue.queue_name}
        self._watch(
            "QueueAge",
            "AWS/SQS",
            "ApproximateAgeOfOldestMessage",
            waiting,
            f"a message has waited for {_OLDEST} s",
            statistic="Maximum",
            above=_OLDEST,
            minutes=3,
        )
        lost = {"QueueName": dead_letters.queue_name}
        self._watch(
            "DeadLetters",
            "AWS/SQS",
            "ApproximateNumberOfMessagesVisible",
            lost,
            "messages could not be processed",
            statistic="Maximum",
        )
        if processor is not None:
            self._processor({"FunctionName": processor.function_name})
        board = cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=f"{settings.project}-{settings.environment}",
            default_interval=Duration.hours(3),
            widgets=[self._graphs[at : at + 3] for at in range(0, len(self._graphs), 3)],
        )
        self.give("DashboardName", board.dashboard_name, "The dashboard of all resources")

    def _processor(self, dimensions: dict[str, str]) -> None:
        self._watch("ProcessorErrors", "AWS/Lambda", "Errors", dimensions, "the processor failed")
        self._watch("ProcessorThrottles", "AWS/Lambda", "Throttles", dimensions, "the processor was throttled")
        longest = self.settings.processor.timeout * 1000 * _LONG
        self._watch(
            "ProcessorDuration",
            "AWS/Lambda",
            "Duration",
            dimensions,
            f"a batch took {_LONG:.0%} of PROCESSOR_TIMEOUT",
            statistic="Maximum",
            above=longest,
        )

    def _watch(
        self,
        name: str,
        namespace: str,
        metric: str,
        dimensions: dict[str, str],
        trouble: str,
        *,
        statistic: str = "Sum",
        above: float = 0,
        minutes: int = 1,
    ) -> None:
        """Make an alarm as `watch` does, and a graph of its metric."""
        alarm = watch(
            self,
            name,
            namespace,
            metric,
            dimensions,
            trouble,
            statistic=statistic,
            above=above,
            minutes=minutes,
        )
        self._graphs.append(cloudwatch.GraphWidget(title=f"{name}: {metric}", left=[alarm.metric], width=8, height=6))

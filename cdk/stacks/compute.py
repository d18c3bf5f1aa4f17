"""What runs: the repository of the API's images, and the processor behind the queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from soundbite.environment import naming

from .base import EnvironmentStack, allow

if TYPE_CHECKING:
    from pathlib import Path

    from cdk.outputs import Outputs
    from cdk.settings import Settings

_KEPT_IMAGES = 50
LOG_RETENTION = {
    1: logs.RetentionDays.ONE_DAY,
    3: logs.RetentionDays.THREE_DAYS,
    5: logs.RetentionDays.FIVE_DAYS,
    7: logs.RetentionDays.ONE_WEEK,
    14: logs.RetentionDays.TWO_WEEKS,
    30: logs.RetentionDays.ONE_MONTH,
    60: logs.RetentionDays.TWO_MONTHS,
    90: logs.RetentionDays.THREE_MONTHS,
    180: logs.RetentionDays.SIX_MONTHS,
    365: logs.RetentionDays.ONE_YEAR,
}


class Compute(EnvironmentStack):
    """The repository of images and the processor."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        outputs: Outputs,
        *,
        table: dynamodb.ITable,
        bucket: s3.IBucket,
        queue: sqs.IQueue,
    ) -> None:
        super().__init__(app, settings, outputs)
        self._local = settings.platform == "local"
        self.images = self._repository()
        self.processor: lambda_.Function | None = None
        if settings.processor_dir is not None:
            environment = {
                "ENVIRONMENT": settings.environment,
                **{name: outputs.bind(f"PROCESSOR_ENV_{name}", text) for name, text in settings.processor_env.items()},
            }
            self.processor = self._processor(settings.processor_dir, environment, table, bucket, queue)

    def _repository(self) -> ecr.Repository:
        repository = ecr.Repository(
            self,
            "Images",
            image_tag_mutability=ecr.TagMutability.IMMUTABLE,
            image_scan_on_push=True,
            encryption=ecr.RepositoryEncryption.AES_256,
            lifecycle_rules=[
                ecr.LifecycleRule(description=f"The newest {_KEPT_IMAGES} images", max_image_count=_KEPT_IMAGES)
            ],
            removal_policy=self.data_policy,
            empty_on_delete=not self.settings.retain_data,
        )
        self.give("RepositoryUri", repository.repository_uri, "The repository of the API's images")
        self.give("RepositoryName", repository.repository_name, "The repository of the API's images")
        return repository

    def _processor(
        self,
        code: Path,
        environment: dict[str, str],
        table: dynamodb.ITable,
        bucket: s3.IBucket,
        queue: sqs.IQueue,
    ) -> lambda_.Function:
        processor = self.settings.processor
        log_group = logs.LogGroup(
            self,
            "ProcessorLogs",
            retention=LOG_RETENTION[self.settings.logs.retention_days],
            removal_policy=RemovalPolicy.DESTROY,
        )
        function = lambda_.Function(
            self,
            "Processor",
            # Not the same for both: Lambda publishes nothing twice, and so a change of PLATFORM would fail.
            description=f"Speaks the clips of the queue ({'each deploy' if self._local else 'the switch'} moves live)",
            code=lambda_.Code.from_asset(str(code)),
            runtime=lambda_.Runtime(processor.runtime),
            handler=processor.handler,
            memory_size=processor.memory_mb,
            timeout=Duration.seconds(processor.timeout),
            environment=environment,
            log_group=log_group,
            role=self._role(log_group, table, bucket, queue, speaks=environment.get("SPEECH") == "polly"),
            # A version that is no longer the newest stays, so that the alias can go back to it. One whose deployment
            # failed does not: Lambda would refuse to publish the same again, and so every retry.
            current_version_options=lambda_.VersionOptions(removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE),
        )
        alias = lambda_.Alias(self, "Live", alias_name=naming.ALIAS, version=self._version(function))
        lambda_.EventSourceMapping(
            self,
            "Clips",
            target=alias,
            event_source_arn=queue.queue_arn,
            batch_size=processor.batch_size,
            report_batch_item_failures=True,
        )
        self.give("FunctionName", function.function_name, "The processor")
        self.give("FunctionAliasArn", alias.function_arn, "What the queue calls: the processor's version in use")
        self.give("LogGroupName", log_group.log_group_name, "The processor's logs")
        return function

    def _version(self, function: lambda_.Function) -> lambda_.Version:
        if self._local:
            return function.current_version
        # At the switch of a deployment the workflow publishes $LATEST and moves the alias. CloudFormation leaves alone
        # what is the same in its template, and nothing in this version or in the alias on it ever changes.
        return lambda_.Version(
            self, "FirstVersion", lambda_=function, removal_policy=RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE
        )

    def _role(
        self, log_group: logs.ILogGroup, table: dynamodb.ITable, bucket: s3.IBucket, queue: sqs.IQueue, *, speaks: bool
    ) -> iam.Role:
        # Written out, since the library's grants give more than the processor uses; inside the role,
        # since the event source mapping is refused where the right to read the queue comes later.
        statements = [
            allow(log_group.log_group_arn, "logs:CreateLogStream", "logs:PutLogEvents"),
            allow(table.table_arn, "dynamodb:GetItem", "dynamodb:UpdateItem"),
            allow(bucket.arn_for_objects("clips/*"), "s3:PutObject"),
            allow(
                queue.queue_arn,
                "sqs:ReceiveMessage",
                "sqs:DeleteMessage",
                "sqs:ChangeMessageVisibility",
                "sqs:GetQueueAttributes",
            ),
        ]
        if speaks:
            # Polly has no resources for speech: "*" is the only one that AWS takes.
            statements.append(allow("*", "polly:SynthesizeSpeech"))
        return iam.Role(
            self,
            "ProcessorRole",
            assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
            inline_policies={"Processor": iam.PolicyDocument(statements=statements)},
        )

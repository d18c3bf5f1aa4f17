"""The clips: one DynamoDB item a clip, gone by itself after TABLE_TTL_DAYS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App
from aws_cdk import aws_dynamodb as dynamodb

from .base import EnvironmentStack

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings


class Database(EnvironmentStack):
    """The table of clips."""

    def __init__(self, app: App, settings: Settings, outputs: Outputs) -> None:
        super().__init__(app, settings, outputs)
        self.table = dynamodb.Table(
            self,
            "Clips",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            # The application writes the time into every item, from TABLE_TTL_DAYS.
            time_to_live_attribute="expiresAt",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=settings.table.backup
            ),
            deletion_protection=settings.retain_data,
            removal_policy=self.data_policy,
        )
        self.give("TableName", self.table.table_name, "The table of clips")
        self.give("TableArn", self.table.table_arn, "The table of clips")

"""The ledger, which has to be there before anything else and to stay when everything else goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, LegacyStackSynthesizer, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb

from soundbite.environment import naming

from .base import EnvironmentStack

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings


class Bootstrap(EnvironmentStack):
    """The ledger of releases and deployments. `inv cdk.destroy` never touches it."""

    def __init__(self, app: App, settings: Settings, outputs: Outputs) -> None:
        # Without assets it needs no `cdk bootstrap`, so the ledger can come before everything else.
        super().__init__(app, settings, outputs, protected=True, synthesizer=LegacyStackSynthesizer())
        ledger = dynamodb.Table(
            self,
            "Ledger",
            # A name that can be told from the settings: the ledger is found even when its stack is gone.
            table_name=naming.ledger(settings.project, settings.environment),
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            encryption=dynamodb.TableEncryption.AWS_MANAGED,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=RemovalPolicy.RETAIN,
        )
        self.give("LedgerName", ledger.table_name, "The table of releases, deployments, operations and the lock")

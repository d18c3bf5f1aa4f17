"""What the application may do, and what it takes to start it: the same on every platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import ArnFormat, Stack

from .base import allow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aws_cdk import aws_dynamodb as dynamodb
    from aws_cdk import aws_ecr as ecr
    from aws_cdk import aws_iam as iam
    from aws_cdk import aws_s3 as s3
    from aws_cdk import aws_sqs as sqs

    from soundbite.environment.references import Reference


def of_application(table: dynamodb.ITable, bucket: s3.IBucket, queue: sqs.IQueue) -> list[iam.PolicyStatement]:
    """Return what the application may do: the calls that app/src makes."""
    return [
        allow(table.table_arn, "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"),
        allow(queue.queue_arn, "sqs:SendMessage", "sqs:GetQueueAttributes"),
        allow(bucket.arn_for_objects("clips/*"), "s3:GetObject"),
        # HeadBucket, which readiness asks.
        allow(bucket.bucket_arn, "s3:ListBucket"),
    ]


def to_read(stack: Stack, secrets: Iterable[Reference], *, of_ssm: str) -> list[iam.PolicyStatement]:
    """Return what reading secrets takes: these, and no others; `of_ssm` is the call that reads parameters."""
    return [_to_read(stack, secret, of_ssm) for secret in secrets]


def parameter(stack: Stack, secret: Reference) -> str:
    """Return the ARN of a parameter of SSM."""
    return stack.format_arn(service="ssm", resource="parameter", resource_name=secret.target.removeprefix("/"))


def _to_read(stack: Stack, secret: Reference, of_ssm: str) -> iam.PolicyStatement:
    # Neither says kms:Decrypt: AWS's own keys need no such right.
    if secret.kind == "ssm":
        return allow(parameter(stack, secret), of_ssm)
    # Secrets Manager adds a hyphen and six characters of its own to a name.
    named = stack.format_arn(
        service="secretsmanager",
        resource="secret",
        resource_name=f"{secret.target}-??????",
        arn_format=ArnFormat.COLON_RESOURCE_NAME,
    )
    return allow(named, "secretsmanager:GetSecretValue")


def to_pull(images: ecr.IRepository) -> list[iam.PolicyStatement]:
    """Return what pulling the application's images takes."""
    return [
        allow(
            images.repository_arn,
            "ecr:BatchCheckLayerAvailability",
            "ecr:BatchGetImage",
            "ecr:GetDownloadUrlForLayer",
        ),
        # The token is the account's, not a repository's: "*" is the only resource that AWS takes.
        allow("*", "ecr:GetAuthorizationToken"),
    ]

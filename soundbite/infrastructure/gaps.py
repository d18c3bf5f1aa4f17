"""What the emulator's CloudFormation accepts and drops, set through the services' own APIs instead.

ministack 1.5.33 deploys a table without its TTL and backups, and a bucket without lifecycle and encryption. With this,
emulated AWS is what the templates say, and checks need no exceptions for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.cloud import explained

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soundbite.cloud import Cloud

    from .assembly import Assembly


def fill(cloud: Cloud, assembly: Assembly) -> None:
    """Set on emulated AWS what a deployment of an assembly has left out."""
    handlers = {"AWS::DynamoDB::Table": _table, "AWS::S3::Bucket": _bucket}
    for stack in assembly.stacks():
        for logical, resource in assembly.template(stack).get("Resources", {}).items():
            if handler := handlers.get(resource["Type"]):
                with explained("cloudformation:DescribeStackResource", cloud.environment):
                    found = cloud.client("cloudformation").describe_stack_resource(
                        StackName=stack, LogicalResourceId=logical
                    )
                physical = found["StackResourceDetail"]["PhysicalResourceId"]
                handler(cloud, physical, resource.get("Properties", {}))


def _table(cloud: Cloud, name: str, wanted: Mapping[str, Any]) -> None:
    client = cloud.client("dynamodb")
    with explained("dynamodb:UpdateTimeToLive", cloud.environment):
        if lifetime := wanted.get("TimeToLiveSpecification"):
            now = client.describe_time_to_live(TableName=name)["TimeToLiveDescription"]["TimeToLiveStatus"]
            if now != "ENABLED":
                client.update_time_to_live(
                    TableName=name,
                    TimeToLiveSpecification={"AttributeName": lifetime["AttributeName"], "Enabled": True},
                )
    recovery = wanted.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled", False)
    with explained("dynamodb:UpdateContinuousBackups", cloud.environment):
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": bool(recovery)}
        )


def _bucket(cloud: Cloud, name: str, wanted: Mapping[str, Any]) -> None:
    client = cloud.client("s3")
    with explained("s3:PutLifecycleConfiguration", cloud.environment):
        rules = [_rule(each) for each in wanted.get("LifecycleConfiguration", {}).get("Rules", [])]
        if rules:
            client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})
    with explained("s3:PutEncryptionConfiguration", cloud.environment):
        for each in wanted.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", []):
            by_default = each["ServerSideEncryptionByDefault"]
            client.put_bucket_encryption(
                Bucket=name,
                ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": by_default}]},
            )


def _rule(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rule in the words of S3's API, of one in CloudFormation's."""
    rule: dict[str, Any] = {"ID": said["Id"], "Status": said["Status"], "Filter": {"Prefix": said.get("Prefix", "")}}
    if days := said.get("ExpirationInDays"):
        rule["Expiration"] = {"Days": days}
    if old := said.get("NoncurrentVersionExpiration"):
        rule["NoncurrentVersionExpiration"] = dict(old)
    if unfinished := said.get("AbortIncompleteMultipartUpload"):
        rule["AbortIncompleteMultipartUpload"] = dict(unfinished)
    return rule

"""Faults of what the stacks made: table, bucket, queue, processor, ledger, repository."""

from __future__ import annotations

import io
import json
import time
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.between import Exchange, between
from tests.integration.conftest import until

from .fault import aws, outputs, through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.conftest import Dev

    Seed = Callable[[Dev], AbstractContextManager[dict[str, str]]]


@contextmanager
def table_deleted(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete the table; afterwards there is one of that name again, empty."""
    client, name = aws(dev, "dynamodb"), outputs(dev)["Database.TableName"]
    was = client.describe_table(TableName=name)["Table"]
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)
    try:
        yield {}
    finally:
        client.create_table(
            TableName=name,
            KeySchema=was["KeySchema"],
            AttributeDefinitions=was["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )
        _ttl(dev, on=True)


def _ttl(dev: Dev, *, on: bool) -> None:
    specification = {"AttributeName": "expiresAt", "Enabled": on}
    name = outputs(dev)["Database.TableName"]
    aws(dev, "dynamodb").update_time_to_live(TableName=name, TimeToLiveSpecification=specification)


@contextmanager
def ttl_off(dev: Dev) -> Iterator[dict[str, str]]:
    """Switch TTL off."""
    _ttl(dev, on=False)
    try:
        yield {}
    finally:
        _ttl(dev, on=True)


@contextmanager
def bucket_public(dev: Dev) -> Iterator[dict[str, str]]:
    """Let everybody read the bucket."""
    client, name = aws(dev, "s3"), outputs(dev)["Storage.BucketName"]
    block = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    policy = client.get_bucket_policy(Bucket=name)["Policy"]
    opened = json.loads(policy)
    opened["Statement"].append(
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    )
    client.delete_public_access_block(Bucket=name)
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(opened))
    try:
        yield {}
    finally:
        client.put_bucket_policy(Bucket=name, Policy=policy)
        client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)


@contextmanager
def queue_without_dead_letters(dev: Dev) -> Iterator[dict[str, str]]:
    """Take the dead-letter queue away from the queue."""
    client, url = aws(dev, "sqs"), outputs(dev)["Queue.QueueUrl"]
    was = client.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy"])["Attributes"]
    client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    try:
        yield {}
    finally:
        client.set_queue_attributes(QueueUrl=url, Attributes=was)


@contextmanager
def dead_letters(dev: Dev) -> Iterator[dict[str, str]]:
    """Lose two messages to the dead-letter queue."""
    client, url = aws(dev, "sqs"), outputs(dev)["Queue.DeadLetterQueueUrl"]
    for number in range(2):
        client.send_message(QueueUrl=url, MessageBody=f"lost {number}")
    try:
        yield {}
    finally:
        client.purge_queue(QueueUrl=url)


@contextmanager
def event_source_off(dev: Dev) -> Iterator[dict[str, str]]:
    """Disable the event source."""
    client = aws(dev, "lambda")
    (found,) = client.list_event_source_mappings()["EventSourceMappings"]
    _switch(client, found["UUID"], on=False)
    try:
        yield {}
    finally:
        _switch(client, found["UUID"], on=True)


def _switch(client: Any, id_: str, *, on: bool) -> None:
    client.update_event_source_mapping(UUID=id_, Enabled=on)
    wanted = "Enabled" if on else "Disabled"
    until(lambda: client.get_event_source_mapping(UUID=id_)["State"] == wanted, f"the event source is not {wanted}")


@contextmanager
def processor_throws(dev: Dev) -> Iterator[dict[str, str]]:
    """Have the alias run a version whose code throws, and give it something to do."""
    client, name = aws(dev, "lambda"), outputs(dev)["Compute.FunctionName"]
    was = client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.mjs", "export const handler = async () => { throw new Error('no luck today'); };\n")
    client.update_function_code(FunctionName=name, ZipFile=archive.getvalue())
    broken = client.publish_version(FunctionName=name)["Version"]
    client.update_alias(FunctionName=name, Name="live", FunctionVersion=broken)
    queue, url = aws(dev, "sqs"), outputs(dev)["Queue.QueueUrl"]

    def thrown_again() -> bool:
        queue.send_message(QueueUrl=url, MessageBody=json.dumps({"clipId": "none"}))
        time.sleep(0.5)
        return len(_errors(dev)) > 4

    try:
        until(thrown_again, "the processor has not thrown often", 60)
        yield {}
    finally:
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=was)
        client.delete_function(FunctionName=name, Qualifier=broken)
        for output in ("Queue.QueueUrl", "Queue.DeadLetterQueueUrl"):
            queue.purge_queue(QueueUrl=outputs(dev)[output])
        logs, group = aws(dev, "logs"), outputs(dev)["Compute.LogGroupName"]
        for each in logs.describe_log_streams(logGroupName=group)["logStreams"]:
            logs.delete_log_stream(logGroupName=group, logStreamName=each["logStreamName"])


def _errors(dev: Dev) -> list[Any]:
    events = aws(dev, "logs").filter_log_events(logGroupName=outputs(dev)["Compute.LogGroupName"])["events"]
    return [each for each in events if "no luck today" in each["message"]]


@contextmanager
def old_version(dev: Dev) -> Iterator[dict[str, str]]:
    """Publish a newer version that the alias does not know of."""
    client, name = aws(dev, "lambda"), outputs(dev)["Compute.FunctionName"]
    client.update_function_configuration(FunctionName=name, Description="newer")
    newer = client.publish_version(FunctionName=name)["Version"]
    try:
        yield {}
    finally:
        client.delete_function(FunctionName=name, Qualifier=newer)


@contextmanager
def processor_changed(dev: Dev) -> Iterator[dict[str, str]]:
    """Give the function less time than a clip may take."""
    client, name = aws(dev, "lambda"), outputs(dev)["Compute.FunctionName"]
    right = client.get_function_configuration(FunctionName=name)["Timeout"]
    client.update_function_configuration(FunctionName=name, Timeout=3)
    try:
        yield {}
    finally:
        client.update_function_configuration(FunctionName=name, Timeout=right)


@contextmanager
def ledger_without_recovery(dev: Dev) -> Iterator[dict[str, str]]:
    """Switch off that the ledger can be taken back to a point in time."""
    client, name = aws(dev, "dynamodb"), outputs(dev)["Bootstrap.LedgerName"]

    def switch(on: bool) -> None:
        wanted = {"PointInTimeRecoveryEnabled": on}
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)

    switch(False)
    try:
        yield {}
    finally:
        switch(True)


@contextmanager
def tags_movable(dev: Dev) -> Iterator[dict[str, str]]:
    """Let tags of images be moved."""
    client, name = aws(dev, "ecr"), outputs(dev)["Compute.RepositoryName"]
    client.put_image_tag_mutability(repositoryName=name, imageTagMutability="MUTABLE")
    try:
        yield {}
    finally:
        client.put_image_tag_mutability(repositoryName=name, imageTagMutability="IMMUTABLE")


@contextmanager
def unencrypted(dev: Dev) -> Iterator[dict[str, str]]:
    """Have S3 say that nothing is encrypted: by itself it encrypts whatever is taken from a bucket."""
    said = b"<Error><Code>ServerSideEncryptionConfigurationNotFoundError</Code><Message>none</Message></Error>"

    def alter(exchange: Exchange) -> None:
        if exchange.method == "GET" and exchange.path.endswith("?encryption"):
            exchange.answer(404, said, "application/xml")

    with between(dev.ports[1], alter) as port:
        yield through(port)


@contextmanager
def audio_for_ever(dev: Dev) -> Iterator[dict[str, str]]:
    """Take the lifecycle from the bucket."""
    client, name = aws(dev, "s3"), outputs(dev)["Storage.BucketName"]
    was = client.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    client.delete_bucket_lifecycle(Bucket=name)
    try:
        yield {}
    finally:
        client.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": was})


@contextmanager
def versions_kept(dev: Dev) -> Iterator[dict[str, str]]:
    """Have the bucket keep versions, which nobody asked for."""
    client, name = aws(dev, "s3"), outputs(dev)["Storage.BucketName"]
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    try:
        yield {}
    finally:
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})

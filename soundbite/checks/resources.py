"""Each resource of the environment: whether it is there, and is what the env file says."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from soundbite.errors import Inconclusive, SoundbiteError

from .asking import ask, expect, pages
from .model import LOCAL, Failed, NotYet, Scene, Skipped, Warned, check

_DEEP = 1000
"""Messages waiting that somebody should look at."""
_OLD = 300.0
"""Seconds that a message may wait; the alarm QueueAge has the same."""
TTL_ATTRIBUTE = "expiresAt"
"""The attribute of the stack Database's table that says when an item's time is over."""
_DRAINED = 10.0
"""Seconds within which messages of unknown age should be taken."""
_POLL = 0.3


@check("resources.table", patience=10)
def table(scene: Scene) -> str:
    """The DynamoDB table answers and is ACTIVE."""
    return _active_table(scene, "Database.TableName")


@check("resources.table_ttl")
def table_ttl(scene: Scene) -> str:
    """The table deletes items whose time is over."""
    name = scene.output("Database.TableName")
    found = ask(scene, "dynamodb", "describe_time_to_live", TableName=name)["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] not in {"ENABLED", "ENABLING"}:
        raise Failed(f"TTL of {name} is {found['TimeToLiveStatus']}: nothing in it is ever deleted")
    expect(f"the attribute that TTL of {name} goes by", found.get("AttributeName"), TTL_ATTRIBUTE)
    return f"by {TTL_ATTRIBUTE}, TABLE_TTL_DAYS={scene.environment.table.ttl_days}"


@check("resources.table_backup")
def table_backup(scene: Scene) -> str:
    """Point-in-time recovery of the table is as configured (TABLE_BACKUP)."""
    wanted = "ENABLED" if scene.environment.table.backup else "DISABLED"
    expect("point-in-time recovery", _recovery(scene, scene.output("Database.TableName")), wanted)
    return wanted


@check("resources.ledger", patience=10)
def ledger(scene: Scene) -> str:
    """The ledger's table answers, is ACTIVE, and can be taken back to a point in time."""
    name = _active_table(scene, "Bootstrap.LedgerName")
    expect("point-in-time recovery", _recovery(scene, name), "ENABLED")
    return name


@check("resources.bucket")
def bucket(scene: Scene) -> str:
    """The bucket is there and blocks all public access."""
    name = scene.output("Storage.BucketName")
    ask(scene, "s3", "head_bucket", Bucket=name)
    block = ask(scene, "s3", "get_public_access_block", Bucket=name)["PublicAccessBlockConfiguration"]
    if not all(block.values()):
        raise Failed(f"{name} does not block public access: {block}")
    return name


@check("resources.bucket_encryption")
def bucket_encryption(scene: Scene) -> str:
    """What lies in the bucket is encrypted."""
    name = scene.output("Storage.BucketName")
    found = ask(scene, "s3", "get_bucket_encryption", Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    if not found:
        raise Failed(f"{name} has no encryption rule")
    return ", ".join(each["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] for each in found)


@check("resources.bucket_lifecycle")
def bucket_lifecycle(scene: Scene) -> str:
    """Audio goes when its clip does (TABLE_TTL_DAYS)."""
    name = scene.output("Storage.BucketName")
    rules = ask(scene, "s3", "get_bucket_lifecycle_configuration", Bucket=name)["Rules"]
    days = [each["Expiration"].get("Days") for each in rules if each["Status"] == "Enabled" and "Expiration" in each]
    expect("the expiration in days", days, [scene.environment.table.ttl_days])
    return f"{days[0]} days"


@check("resources.bucket_versions")
def bucket_versions(scene: Scene) -> str:
    """The bucket keeps versions as configured (BUCKET_VERSIONED)."""
    found = ask(scene, "s3", "get_bucket_versioning", Bucket=scene.output("Storage.BucketName")).get("Status")
    expect("versioning", found == "Enabled", scene.environment.bucket.versioned)
    return found or "off"


@check("resources.queue")
def queue(scene: Scene) -> str:
    """The queue hides messages as long as configured, and gives up to its dead-letter queue."""
    attributes = _queue(scene, "Queue.QueueUrl")
    wanted = scene.environment.queue
    expect("VisibilityTimeout", attributes["VisibilityTimeout"], f"{wanted.visibility_timeout:.0f}")
    redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
    if not redrive:
        raise Failed(f"{scene.output('Queue.QueueName')} has no dead-letter queue")
    expect("maxReceiveCount", str(redrive.get("maxReceiveCount")), str(wanted.max_receives))
    dead = _queue(scene, "Queue.DeadLetterQueueUrl")["QueueArn"]
    expect("the dead-letter queue", redrive.get("deadLetterTargetArn"), dead)
    return scene.output("Queue.QueueUrl")


@check("resources.queue_depth")
def queue_depth(scene: Scene) -> str:
    """Messages do not pile up in the queue, and none waits for long."""
    until = time.monotonic() + _DRAINED
    while True:
        attributes = _queue(scene, "Queue.QueueUrl")
        waiting = int(attributes["ApproximateNumberOfMessages"])
        told = f"{waiting} waiting, {attributes['ApproximateNumberOfMessagesNotVisible']} being processed"
        if waiting > _DEEP:
            raise Warned(told)
        if waiting == 0:
            return told
        oldest = _oldest(scene, "Queue.QueueName")
        if oldest is not None:
            told += f", the oldest for {oldest:.0f} s"
            if oldest > _OLD:
                raise Warned(told)
            return told
        # CloudWatch tells the age minutes later. What is taken meanwhile was not old.
        if time.monotonic() > until:
            raise Inconclusive(f"{told} for {_DRAINED:.0f} s and more; CloudWatch has no data of their age")
        time.sleep(_POLL)
        scene.forget(f"queue {scene.output('Queue.QueueUrl')}")


@check("resources.dead_letters")
def dead_letters(scene: Scene) -> str:
    """Nothing lies in the dead-letter queue."""
    attributes = _queue(scene, "Queue.DeadLetterQueueUrl")
    count = int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])
    if count:
        try:
            oldest = _oldest(scene, "Queue.DeadLetterQueueName")
        except (Failed, SoundbiteError):
            oldest = None  # they lie there all the same
        since = f"the oldest for {oldest:.0f} s" if oldest is not None else "since when, CloudWatch has no data of"
        raise Failed(f"{count} messages could not be processed, {since}: {scene.output('Queue.DeadLetterQueueUrl')}")
    return "empty"


@check("resources.processor", patience=20)
def processor(scene: Scene) -> str:
    """The function is active, with the runtime and the time-out that are configured."""
    _require_processor(scene)
    wanted = scene.environment.processor
    found = ask(scene, "lambda", "get_function_configuration", FunctionName=scene.output("Compute.FunctionName"))
    if found.get("State") == "Pending" or found.get("LastUpdateStatus") == "InProgress":
        raise NotYet("the function is being updated")
    expect("State", found.get("State", "Active"), "Active")
    expect("LastUpdateStatus", found.get("LastUpdateStatus", "Successful"), "Successful")
    expect("Runtime", found["Runtime"], wanted.runtime)
    expect("Timeout", found["Timeout"], int(wanted.timeout))
    expect("MemorySize", found["MemorySize"], wanted.memory_mb)
    return f"{found['FunctionName']}, {wanted.runtime}, {wanted.memory_mb} MiB, {wanted.timeout:.0f} s"


@check("resources.event_source", patience=20)
def event_source(scene: Scene) -> str:
    """The queue feeds the function's alias."""
    _require_processor(scene)
    alias = scene.output("Compute.FunctionAliasArn")
    mappings = pages(
        scene,
        "lambda",
        "list_event_source_mappings",
        "EventSourceMappings",
        EventSourceArn=scene.output("Queue.QueueArn"),
    )
    states = {each["FunctionArn"]: each["State"] for each in mappings}
    if alias not in states:
        raise Failed(f"no event source feeds {alias} from the queue; fed are: {', '.join(states) or 'none'}")
    if states[alias] in {"Creating", "Enabling", "Updating"}:
        raise NotYet(f"the event source is {states[alias]}")
    expect("the event source", states[alias], "Enabled")
    return f"{alias.rpartition(':')[2]}: {states[alias]}"


@check("resources.alias", environments=(LOCAL,))
def alias(scene: Scene) -> str:
    """The function's alias points at the newest version."""
    _require_processor(scene)
    name = scene.output("Compute.FunctionName")
    live = scene.output("Compute.FunctionAliasArn").rpartition(":")[2]
    version = ask(scene, "lambda", "get_alias", FunctionName=name, Name=live)["FunctionVersion"]
    found = pages(scene, "lambda", "list_versions_by_function", "Versions", FunctionName=name)
    newest = max((int(each["Version"]) for each in found if each["Version"].isdigit()), default=0)
    expect(f"the version behind {live}", version, str(newest))
    return f"{live} is version {version}"


@check("resources.repository")
def repository(scene: Scene) -> str:
    """The image repository is there, and its tags cannot be moved."""
    name = scene.output("Compute.RepositoryName")
    found = ask(scene, "ecr", "describe_repositories", repositoryNames=[name])["repositories"][0]
    expect("tag mutability", found["imageTagMutability"], "IMMUTABLE")
    return name


def _active_table(scene: Scene, output: str) -> str:
    name = scene.output(output)
    status = ask(scene, "dynamodb", "describe_table", TableName=name)["Table"]["TableStatus"]
    if status in {"CREATING", "UPDATING"}:
        raise NotYet(f"{name} is {status}")
    expect(f"the status of {name}", status, "ACTIVE")
    return name


def _recovery(scene: Scene, table: str) -> str:
    found = ask(scene, "dynamodb", "describe_continuous_backups", TableName=table)
    recovery = found["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    return str(recovery["PointInTimeRecoveryStatus"])


def _queue(scene: Scene, output: str) -> dict[str, str]:
    url = scene.output(output)

    def find() -> dict[str, str]:
        return dict(ask(scene, "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"])

    return scene.once(f"queue {url}", find)


def _oldest(scene: Scene, queue: str) -> float | None:
    """Return the age in seconds of a queue's oldest message, as CloudWatch has it; None where it has no data."""
    now = datetime.now(UTC)
    found: list[dict[str, Any]] = ask(
        scene,
        "cloudwatch",
        "get_metric_statistics",
        Namespace="AWS/SQS",
        MetricName="ApproximateAgeOfOldestMessage",
        Dimensions=[{"Name": "QueueName", "Value": scene.output(queue)}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now,
        Period=60,
        Statistics=["Maximum"],
    )["Datapoints"]
    newest = max(found, key=lambda each: each["Timestamp"], default=None)
    return float(newest["Maximum"]) if newest else None


def _require_processor(scene: Scene) -> None:
    if scene.environment.processor.artifact is None:
        raise Skipped("there is no processor (PROCESSOR_ARTIFACT is empty)")

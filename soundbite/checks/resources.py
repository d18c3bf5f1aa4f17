"""Each resource of the environment: whether it is there, and is what the env file says.

What the emulator is known to drop (docs/limits.md) is not looked at: it is asserted on the templates.
"""

from __future__ import annotations

from typing import Any

from soundbite.cloud import explained

from .model import Failed, Scene, Skipped, check


@check("resources.table")
def table(scene: Scene) -> str:
    """The DynamoDB table answers and is ACTIVE."""
    return _active_table(scene, "Database.TableName")


@check("resources.ledger")
def ledger(scene: Scene) -> str:
    """The ledger's table answers and is ACTIVE."""
    return _active_table(scene, "Bootstrap.LedgerName")


@check("resources.bucket")
def bucket(scene: Scene) -> str:
    """The bucket is there and nobody outside can read it."""
    name = scene.output("Storage.BucketName")
    _ask(scene, "s3", "head_bucket", Bucket=name)
    block = _ask(scene, "s3", "get_public_access_block", Bucket=name)["PublicAccessBlockConfiguration"]
    if not all(block.values()):
        raise Failed(f"{name} does not block public access: {block}")
    return name


@check("resources.queue")
def queue(scene: Scene) -> str:
    """The queue hides messages as long as configured, and gives up to its dead-letter queue."""
    import json

    url = scene.output("Queue.QueueUrl")
    attributes = _ask(scene, "sqs", "get_queue_attributes", QueueUrl=url, AttributeNames=["All"])["Attributes"]
    wanted = scene.environment.queue
    _expect("VisibilityTimeout", attributes["VisibilityTimeout"], f"{wanted.visibility_timeout:.0f}")
    redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
    _expect("maxReceiveCount", str(redrive.get("maxReceiveCount")), str(wanted.max_receives))
    return url


@check("resources.processor")
def processor(scene: Scene) -> str:
    """The function's alias points at a version, and the queue feeds it."""
    if scene.environment.processor.artifact is None:
        raise Skipped("there is no processor (PROCESSOR_ARTIFACT is empty)")
    alias = scene.output("Compute.FunctionAliasArn")
    name = scene.output("Compute.FunctionName")
    version = _ask(scene, "lambda", "get_alias", FunctionName=name, Name=alias.rpartition(":")[2])["FunctionVersion"]
    mappings = _ask(scene, "lambda", "list_event_source_mappings", EventSourceArn=scene.output("Queue.QueueArn"))
    states = {each["FunctionArn"]: each["State"] for each in mappings["EventSourceMappings"]}
    _expect("event source", states.get(alias), "Enabled")
    return f"{name}, version {version}"


@check("resources.repository")
def repository(scene: Scene) -> str:
    """The image repository is there, and its tags cannot be moved."""
    name = scene.output("Compute.RepositoryName")
    found = _ask(scene, "ecr", "describe_repositories", repositoryNames=[name])["repositories"][0]
    _expect("tag mutability", found["imageTagMutability"], "IMMUTABLE")
    return name


def _active_table(scene: Scene, output: str) -> str:
    name = scene.output(output)
    found = _ask(scene, "dynamodb", "describe_table", TableName=name)["Table"]
    _expect("status", found["TableStatus"], "ACTIVE")
    return name


def _ask(scene: Scene, service: str, method: str, **arguments: Any) -> Any:
    client = scene.cloud.client(service)
    action = f"{service}:{''.join(word.title() for word in method.split('_'))}"
    with explained(action, scene.environment):
        try:
            return getattr(client, method)(**arguments)
        except client.exceptions.ClientError as error:
            if "NotFound" in error.response["Error"]["Code"] or error.response["Error"]["Code"] in _GONE:
                raise Failed(f"not there: {', '.join(map(str, arguments.values()))}") from None
            raise


_GONE = {"404", "NoSuchBucket", "NoSuchPublicAccessBlockConfiguration", "AWS.SimpleQueueService.NonExistentQueue"}


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Failed(f"{what} is {found}, not {wanted}")

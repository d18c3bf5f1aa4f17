"""What can be wrong with a working environment: each fault is seeded for real, and taken back at the end."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from tests.between import Exchange, between
from tests.conftest import free_ports
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from tests.integration.conftest import Dev

    Seed = Callable[[Dev], AbstractContextManager[dict[str, str]]]

PROJECT = "SoundBite-dev-localstack-"


class Fault(NamedTuple):
    """A fault: what makes it, which check catches it, and by what words.

    Attributes
    ----------
    seed:
        Makes it, and takes it back; gives the variables that `inv` is run with meanwhile.
    only:
        The groups or checks that are run.
    outcome:
        How the check ends.
    """

    seed: Seed
    check: str
    words: str
    only: str = ""
    outcome: str = "fail"


def aws(dev: Dev, service: str) -> Any:
    """Return a client of an environment's emulated AWS."""
    import boto3

    session: Any = boto3
    return session.client(
        service,
        endpoint_url=f"http://127.0.0.1:{dev.ports[1]}",
        region_name="eu-central-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="test",
    )


def outputs(dev: Dev) -> dict[str, str]:
    """Return the outputs of all stacks, as `Stack.OutputName`."""
    return {
        f"{stack['StackName'].removeprefix(PROJECT)}.{output['OutputKey']}": output["OutputValue"]
        for stack in aws(dev, "cloudformation").describe_stacks()["Stacks"]
        for output in stack.get("Outputs", [])
    }


# Resources


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
        queue.purge_queue(QueueUrl=url)
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=was)
        client.delete_function(FunctionName=name, Qualifier=broken)
        _forget_logs(dev)


def _forget_logs(dev: Dev) -> None:
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


# Stacks


def _updated(dev: Dev, stack: str, change: Callable[[dict[str, Any]], None], **more: Any) -> str:
    """Update a stack's template, and return the state that it ends in."""
    import yaml

    client = aws(dev, "cloudformation")
    body = client.get_template(StackName=PROJECT + stack, TemplateStage="Original")["TemplateBody"]
    template = yaml.safe_load(body) if isinstance(body, str) else json.loads(json.dumps(body))
    change(template)
    kept = client.describe_stacks(StackName=PROJECT + stack)["Stacks"][0]
    client.update_stack(
        **{
            "StackName": PROJECT + stack,
            "TemplateBody": json.dumps(template),
            "Capabilities": ["CAPABILITY_IAM"],
            "Parameters": [
                {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True} for each in kept.get("Parameters", [])
            ],
            "Tags": kept["Tags"],
            **more,
        }
    )

    def done() -> str:
        state = str(client.describe_stacks(StackName=PROJECT + stack)["Stacks"][0]["StackStatus"])
        return "" if state.endswith("IN_PROGRESS") else state

    return str(until(done, f"{stack} is still being updated"))


@contextmanager
def stack_rolled_back(dev: Dev) -> Iterator[dict[str, str]]:
    """Have an update of a stack fail, so that CloudFormation takes it back."""

    def broken(template: dict[str, Any]) -> None:
        parameter = {"Name": "/taken", "Type": "String", "Value": "ours"}
        template["Resources"]["Broken"] = {"Type": "AWS::SSM::Parameter", "Properties": parameter}

    aws(dev, "ssm").put_parameter(Name="/taken", Type="String", Value="somebody's", Overwrite=True)
    assert _updated(dev, "Queue", broken) == "UPDATE_ROLLBACK_COMPLETE"
    try:
        yield {}
    finally:
        mended = _updated(dev, "Queue", lambda template: template.update(Description="mended"))
        assert mended == "UPDATE_COMPLETE"


@contextmanager
def output_missing(dev: Dev) -> Iterator[dict[str, str]]:
    """Take an output out of a stack."""
    was: dict[str, Any] = {}

    def take(template: dict[str, Any]) -> None:
        was.update(template["Outputs"].pop("LogGroupName"))

    assert _updated(dev, "Compute", take) == "UPDATE_COMPLETE"
    try:
        yield {}
    finally:
        _updated(dev, "Compute", lambda template: template["Outputs"].update(LogGroupName=was))


@contextmanager
def tag_missing(dev: Dev) -> Iterator[dict[str, str]]:
    """Take a tag from a stack."""
    stack = aws(dev, "cloudformation").describe_stacks(StackName=f"{PROJECT}Storage")["Stacks"][0]
    kept = [each for each in stack["Tags"] if each["Key"] != "Owner"]
    _updated(dev, "Storage", lambda template: template.update(Description="untagged"), Tags=kept)
    try:
        yield {}
    finally:
        _updated(dev, "Storage", lambda template: template.update(Description="tagged"), Tags=stack["Tags"])


# Monitoring


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


# Settings


@contextmanager
def secret_gone(_: Dev) -> Iterator[dict[str, str]]:
    """Refer to a secret that is not there."""
    yield {"APP_ENV_METRICS_TOKEN": "secretsmanager:soundbite/gone#token"}


@contextmanager
def another_account(dev: Dev) -> Iterator[dict[str, str]]:
    """Have AWS say that we are somebody else."""

    def alter(exchange: Exchange) -> None:
        if b"GetCallerIdentity" in exchange.sent:
            exchange.body = exchange.body.replace(b"000000000000", b"999999999999")

    with between(dev.ports[1], alter) as port:
        yield _external(port)


@contextmanager
def clock_skewed(dev: Dev) -> Iterator[dict[str, str]]:
    """Have AWS's clock be ten minutes ahead of ours."""

    def alter(exchange: Exchange) -> None:
        exchange.without("date")
        exchange.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)

    with between(dev.ports[1], alter) as port:
        yield _external(port)


def _external(port: int) -> dict[str, str]:
    return {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


@contextmanager
def listens_to_the_world(dev: Dev) -> Iterator[dict[str, str]]:
    """Have the application's process listen on every address, although its environment says loopback."""
    record = dev.folder / "run" / "app.json"
    was = record.read_text(encoding="utf-8")
    program = "import socket, time; s = socket.create_server(('0.0.0.0', 0)); print('up', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "up\n"
            told = {**json.loads(was), "pid": process.pid, "started": psutil.Process(process.pid).create_time()}
            record.write_text(json.dumps(told), encoding="utf-8")
            yield {}
        finally:
            record.write_text(was, encoding="utf-8")
            process.kill()


# The application, seen through something that alters it


def altered(alter: Callable[[Exchange], None]) -> Seed:
    """Make a fault of what is between us and the application."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        with between(dev.ports[0], alter) as port:
            yield {"APP_PORT": str(port)}

    return seed


def slow(exchange: Exchange) -> None:
    """Answer health late."""
    if exchange.path == "/health":
        time.sleep(1.3)


def wrong_body(exchange: Exchange) -> None:
    """Answer 200 with something else."""
    exchange.body = b'{"status":"ok"}' if exchange.path == "/health" else exchange.body


def another_application(exchange: Exchange) -> None:
    """Answer every request as another application would."""
    exchange.answer(200, b"<html>Welcome to nginx!</html>", "text/html")


def unspoken(exchange: Exchange) -> None:
    """Let every clip fail."""
    if exchange.method == "GET" and exchange.path.startswith("/soundbite/"):
        exchange.body = json.dumps({**json.loads(exchange.body), "status": "failed", "reason": "no voice"}).encode()


def without_cors(exchange: Exchange) -> None:
    """Forget about other origins."""
    exchange.without("access-control-")


def without_rate_limit(exchange: Exchange) -> None:
    """Forget about the rate."""
    exchange.without("ratelimit-")


def other_errors(exchange: Exchange) -> None:
    """Give errors another shape."""
    if exchange.status in {400, 404}:
        exchange.answer(exchange.status, b"Error: no\n    at handler (/app/dist/main.js:3:7)", "text/plain")


def broken_description(exchange: Exchange) -> None:
    """Break the OpenAPI document."""
    if exchange.path == "/api-json":
        exchange.body = exchange.body.replace(b'"responses"', b'"answers"')


def half(exchange: Exchange) -> None:
    """Send half an answer."""
    exchange.raw = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"


def redirect_loop(exchange: Exchange) -> None:
    """Send everybody round in a circle."""
    exchange.answer(302, b"")
    exchange.headers["Location"] = exchange.path


def not_ready(exchange: Exchange) -> None:
    """Refuse without having been asked."""
    if exchange.path == "/health/ready":
        exchange.answer(503, b'{"status":"unavailable","dependencies":{"sqs":{"ok":false,"error":"TimeoutError"}}}')


@contextmanager
def refused(_: Dev) -> Iterator[dict[str, str]]:
    """Ask where nobody listens."""
    yield {"APP_PORT": str(free_ports(1)[0])}


@contextmanager
def unresolved(_: Dev) -> Iterator[dict[str, str]]:
    """Ask for a name that nobody has (RFC 2606)."""
    yield {"APP_HOST": "soundbite.invalid"}


@contextmanager
def hangs(_: Dev) -> Iterator[dict[str, str]]:
    """Ask somebody who listens and never answers."""
    with socket.socket() as listener, ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def accept() -> None:
            while True:
                try:
                    held.enter_context(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield {"APP_PORT": str(listener.getsockname()[1])}


FAULTS = {
    "table deleted": Fault(table_deleted, "resources.table", "not there", "resources,api"),
    "API up but DynamoDB gone": Fault(table_deleted, "api.ready", "dynamodb", "api"),
    "TTL off": Fault(ttl_off, "resources.table_ttl", "DISABLED", "resources"),
    "bucket public": Fault(bucket_public, "security.bucket", "gives everybody s3:GetObject", "security"),
    "bucket without its block": Fault(bucket_public, "resources.bucket", "", "resources"),
    "queue without DLQ": Fault(queue_without_dead_letters, "resources.queue", "no dead-letter queue", "resources"),
    "DLQ filling": Fault(dead_letters, "resources.dead_letters", "2 messages", "resources"),
    "event source disabled": Fault(event_source_off, "resources.event_source", "Disabled", "resources"),
    "processor throwing": Fault(processor_throws, "monitoring.errors", "no luck today", "monitoring"),
    "old version behind the alias": Fault(old_version, "resources.alias", "the version behind live is", "resources"),
    "stack in ROLLBACK": Fault(stack_rolled_back, "stacks.state", "Queue is UPDATE_ROLLBACK_COMPLETE", "stacks"),
    "output missing": Fault(output_missing, "stacks.outputs", "Compute.LogGroupName", "stacks"),
    "tag missing": Fault(tag_missing, "stacks.tags", "Storage has no tag Owner", "stacks"),
    "alarm in ALARM": Fault(alarm_rings, "monitoring.states", "messages were lost", "monitoring"),
    "alarm missing": Fault(alarm_missing, "monitoring.alarms", "the dead-letter queue", "monitoring"),
    "dashboard missing": Fault(dashboard_missing, "monitoring.dashboard", "not there", "monitoring"),
    "log group without retention": Fault(logs_for_ever, "monitoring.retention", "for ever", "monitoring"),
    "listening to the world": Fault(
        listens_to_the_world, "security.listens", "app listens on 0.0.0.0", "security.listens"
    ),
    "secret gone": Fault(secret_gone, "config.secrets", "soundbite/gone", "config"),
    "wrong account": Fault(another_account, "identity.account", "999999999999", "identity"),
    "clock skew": Fault(clock_skewed, "identity.clock", "behind AWS", "identity"),
    "API slow": Fault(altered(slow), "performance.latency", "", "performance"),
    "200 with a wrong body": Fault(altered(wrong_body), "identity.health", "", "identity.health"),
    "another application": Fault(altered(another_application), "identity.health", "", "identity.health"),
    "health fine, journey failing": Fault(altered(unspoken), "journey.clip", "no voice", "journey.clip"),
    "CORS gone": Fault(altered(without_cors), "api.cors", "", "api"),
    "rate limit gone": Fault(altered(without_rate_limit), "api.rate_limit", "", "api"),
    "errors of another shape": Fault(altered(other_errors), "api.errors", "", "api"),
    "OpenAPI broken": Fault(altered(broken_description), "api.openapi", "", "api"),
    "half a response": Fault(altered(half), "api.health", "", "api"),
    "redirect loop": Fault(altered(redirect_loop), "api.health", "/health", "api"),
    "a dependency out of reach": Fault(altered(not_ready), "api.ready", "sqs", "api"),
    "connection refused": Fault(refused, "api.reachable", "refuse", "api"),
    "name that does not resolve": Fault(unresolved, "api.resolves", "soundbite.invalid", "api"),
    "connection that hangs": Fault(hangs, "api.health", "5 s", "api"),
}
"""Every fault that is seeded in a local environment; docs/validation.md has them all."""

"""What can be wrong with a working environment: each fault is seeded for real, and taken back at the end."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from tests.between import Exchange, between
from tests.conftest import ROOT, clean_environ, copied, free_ports
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
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
    others:
        How others end that cannot be well either; all that are not named pass, or do not apply.
    well:
        Checks that must have passed, since the fault is one that they do not see.
    """

    seed: Seed
    check: str
    words: str
    only: str
    outcome: str = "fail"
    others: Mapping[str, str] = MappingProxyType({})
    well: tuple[str, ...] = ()


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
        yield _external(port)


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


# Stacks


@contextmanager
def stack_deleted(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete a stack; afterwards there is one of that name again, of the same template."""
    client, name = aws(dev, "cloudformation"), f"{PROJECT}Observability"
    was = client.describe_stacks(StackName=name)["Stacks"][0]
    body = client.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    client.delete_stack(StackName=name)
    client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    try:
        yield {}
    finally:
        client.create_stack(
            StackName=name,
            TemplateBody=body if isinstance(body, str) else json.dumps(body),
            # That one is a name of SSM, of which the stack tells the value.
            Parameters=[each for each in was.get("Parameters", []) if each["ParameterKey"] != "BootstrapVersion"],
            Tags=was["Tags"],
            EnableTerminationProtection=bool(was.get("EnableTerminationProtection")),
        )
        client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


@contextmanager
def unprotected(dev: Dev) -> Iterator[dict[str, str]]:
    """Let the stack of the ledger be deleted by one call."""
    client, name = aws(dev, "cloudformation"), f"{PROJECT}Bootstrap"
    client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    try:
        yield {}
    finally:
        client.update_termination_protection(StackName=name, EnableTerminationProtection=True)


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


def output_changed(stack: str, name: str, value: str | None) -> Seed:
    """Give an output of a stack another value, or take it out."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        was: dict[str, Any] = {}

        def change(template: dict[str, Any]) -> None:
            was.update(template["Outputs"].pop(name))
            if value is not None:
                template["Outputs"][name] = {**was, "Value": value}

        assert _updated(dev, stack, change) == "UPDATE_COMPLETE"
        try:
            yield {}
        finally:
            _updated(dev, stack, lambda template: template["Outputs"].update({name: was}))

    return seed


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


SECRET = "soundbite/dev-localstack/metrics"


def add_secret(dev: Dev) -> None:
    """Give the environment a secret, which its settings refer to from then on."""
    aws(dev, "secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps({"token": "a" * 32}))
    dev.variables["APP_ENV_METRICS_TOKEN"] = f"secretsmanager:{SECRET}#token"


@contextmanager
def secret_gone(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete the application's secret."""
    client = aws(dev, "secretsmanager")
    client.delete_secret(SecretId=SECRET)
    try:
        yield {}
    finally:
        client.restore_secret(SecretId=SECRET)


@contextmanager
def secret_old(dev: Dev) -> Iterator[dict[str, str]]:
    """Have AWS say that the secret's value is of 100 days ago: only time makes one old."""

    def alter(exchange: Exchange) -> None:
        if exchange.asked.get("X-Amz-Target", "").endswith("ListSecretVersionIds"):
            made = (datetime.now(UTC) - timedelta(days=100)).timestamp()
            told = json.loads(exchange.body)
            versions = [{**each, "CreatedDate": made} for each in told["Versions"]]
            exchange.body = json.dumps({**told, "Versions": versions}).encode()

    with between(dev.ports[1], alter) as port:
        yield _external(port)


def line(file: str, text: str) -> Seed:
    """Add a line to an env file, of a copy of the checkout."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        with tempfile.TemporaryDirectory() as folder:
            root = copied(Path(folder) / "project")
            with (root / "envs" / f"{file}.env").open("a", encoding="utf-8") as stream:
                stream.write(f"{text}\n")
            dev.root, was = root, dev.root
            try:
                yield {}
            finally:
                dev.root = was

    return seed


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


# The application itself


SERVE = """
import json, sys
from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.platforms.machine import STOP_GRACE, Machine
loaded = environment.load("dev-localstack")
room = Machine(loaded)
if sys.argv[1] == "stop":
    room.app.stop(STOP_GRACE)
else:
    room.start_app(Cloud(loaded), json.loads(sys.argv[2]).__getitem__, inspect=False)
if sys.argv[1] == "ready":
    room.await_ready()
"""


def _serve(dev: Dev, how: str, **settings: str) -> None:
    """Have the application run with some settings: `ready` waits for it, `start` does not, `stop` ends it."""
    subprocess.run(
        [sys.executable, "-c", SERVE, how, json.dumps(outputs(dev))],
        env=clean_environ(**(dev.inv.variables | settings)), cwd=ROOT, timeout=120, check=True,
    )  # fmt: skip


def started_with(**settings: str) -> Seed:
    """Have the application run with other settings than its environment's; `{emulator}` in them is a port."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        _serve(dev, "start", **{name: value.format(emulator=dev.ports[1]) for name, value in settings.items()})
        try:
            until(dev.health, "the application does not answer")
            yield {}
        finally:
            _serve(dev, "ready")

    return seed


@contextmanager
def another_application(dev: Dev) -> Iterator[dict[str, str]]:
    """Have somebody else's server listen where the application should."""
    _serve(dev, "stop")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "health").write_text("<html>Welcome to somebody else!</html>", encoding="utf-8")
        argv = [sys.executable, "-m", "http.server", str(dev.ports[0]), "--bind=127.0.0.1", f"--directory={folder}"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: _listens(dev.ports[0]), "the other application does not listen")
                yield {}
            finally:
                process.kill()
                process.wait()
                _serve(dev, "ready")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def slow(dev: Dev) -> Iterator[dict[str, str]]:
    """Stop the application's processes, let them go on for a moment, and stop them again."""
    application = psutil.Process(dev.pid("app"))
    processes = [application, *application.children(recursive=True)]
    ended = threading.Event()

    def hinder() -> None:
        while not ended.wait(0.1):
            for each in processes:
                each.suspend()
            ended.wait(1.4)
            for each in processes:
                each.resume()

    hindering = threading.Thread(target=hinder)
    hindering.start()
    try:
        yield {}
    finally:
        ended.set()
        hindering.join()


# The application, seen through something that alters it


def altered(alter: Callable[[Exchange], None]) -> Seed:
    """Make a fault of what is between us and the application."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        with between(dev.ports[0], alter) as port:
            yield {"APP_PORT": str(port)}

    return seed


def wrong_body(exchange: Exchange) -> None:
    """Answer 200 with something else."""
    exchange.body = b'{"status":"ok"}' if exchange.path == "/health" else exchange.body


def other_errors(exchange: Exchange) -> None:
    """Give errors another shape."""
    if exchange.status in {400, 404}:
        exchange.body = b"Error: no\n    at handler (/app/dist/main.js:3:7)"


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


ALL = dict.fromkeys(("api.ready", "api.openapi", "api.cors", "api.errors", "api.rate_limit"), "fail")
"""What cannot be well where the application does not answer as it should, beside `api.health`."""

NOBODY = dict.fromkeys(("api.health", *ALL), "inconclusive")
"""What has nobody to ask."""

FAULTS = {
    "table deleted": Fault(
        table_deleted, "resources.table", "not there", "resources",
        others={"resources.table_ttl": "fail", "resources.table_backup": "fail"},
    ),
    "API up but DynamoDB gone": Fault(table_deleted, "api.ready", "dynamodb: ", "api"),
    "TTL off": Fault(ttl_off, "resources.table_ttl", "DISABLED", "resources"),
    "ledger without recovery": Fault(
        ledger_without_recovery, "resources.ledger", "point-in-time recovery is DISABLED, not ENABLED", "resources"
    ),
    "bucket public": Fault(bucket_public, "security.bucket", "gives everybody s3:GetObject", "security"),
    "bucket without its block": Fault(bucket_public, "resources.bucket", "has no block of public access", "resources"),
    "bucket without encryption": Fault(unencrypted, "resources.bucket_encryption", "no encryption rule", "resources"),
    "audio kept for ever": Fault(audio_for_ever, "resources.bucket_lifecycle", "has no lifecycle rule", "resources"),
    "old audio kept": Fault(versions_kept, "resources.bucket_versions", "versioning is True, not False", "resources"),
    "queue without DLQ": Fault(queue_without_dead_letters, "resources.queue", "no dead-letter queue", "resources"),
    "DLQ filling": Fault(dead_letters, "resources.dead_letters", "2 messages", "resources"),
    "event source disabled": Fault(event_source_off, "resources.event_source", "Disabled", "resources"),
    "processor changed": Fault(processor_changed, "resources.processor", "Timeout is 3, not 25", "resources"),
    "processor throwing": Fault(processor_throws, "monitoring.errors", "no luck today", "monitoring"),
    "old version behind the alias": Fault(old_version, "resources.alias", "the version behind live is", "resources"),
    "tags of images can be moved": Fault(
        tags_movable, "resources.repository", "tag mutability is MUTABLE, not IMMUTABLE", "resources"
    ),
    "stack deleted": Fault(
        stack_deleted, "stacks.present", "not there: Observability", "stacks", others={"stacks.outputs": "fail"}
    ),
    "stack in ROLLBACK": Fault(stack_rolled_back, "stacks.state", "Queue is UPDATE_ROLLBACK_COMPLETE", "stacks"),
    "stack unprotected": Fault(unprotected, "stacks.protected", "without termination protection: Bootstrap", "stacks"),
    "output missing": Fault(
        output_changed("Compute", "LogGroupName", None), "stacks.outputs", "Compute.LogGroupName", "stacks"
    ),
    "output missing that a setting needs": Fault(
        output_changed("Queue", "QueueUrl", None), "config.outputs", "there is no output Queue.QueueUrl", "config"
    ),
    "output of another region": Fault(
        output_changed("Queue", "QueueArn", "arn:aws:sqs:us-east-1:000000000000:elsewhere"),
        "identity.region", "is us-east-1, not eu-central-1", "identity",
    ),
    "tag missing": Fault(tag_missing, "stacks.tags", "Storage has no tag Owner", "stacks"),
    "alarm in ALARM": Fault(alarm_rings, "monitoring.states", "messages were lost", "monitoring"),
    "alarm missing": Fault(alarm_missing, "monitoring.alarms", "the dead-letter queue", "monitoring"),
    "dashboard missing": Fault(dashboard_missing, "monitoring.dashboard", "not there", "monitoring"),
    "log group without retention": Fault(logs_for_ever, "monitoring.retention", "for ever", "monitoring"),
    "listening to the world": Fault(
        listens_to_the_world, "security.listens", "app listens on 0.0.0.0", "security.listens"
    ),
    "secret gone": Fault(secret_gone, "config.secrets", SECRET, "config"),
    "secret old": Fault(secret_old, "security.secrets", "METRICS_TOKEN is 100 days old", "security", "warn"),
    "a file that does not load": Fault(
        line("production", "NO_SUCH_KEY=1"), "config.files", "NO_SUCH_KEY", "config",
        others={"config.keys": "inconclusive"},
    ),
    "a key set in one environment only": Fault(
        line("dev-aws", "APP_ENV_NEWLY_NEEDED=yes"), "config.keys",
        "APP_ENV_NEWLY_NEEDED is set in dev-aws (envs/dev-aws.env:", "config",
    ),
    "wrong account": Fault(another_account, "identity.account", "999999999999", "identity"),
    "clock skew": Fault(clock_skewed, "identity.clock", "behind AWS", "identity"),
    "API slow": Fault(slow, "performance.latency", "over its budget of 250 ms", "performance"),
    "200 with a wrong body": Fault(
        altered(wrong_body), "identity.health", "is another application: it answered", "identity,api"
    ),
    "another application": Fault(
        another_application, "identity.health", "answered 200 without JSON: <html>Welcome", "identity,api",
        others=ALL, well=("api.health",),
    ),
    "health fine, journey failing": Fault(
        processor_throws, "journey.clip", "is still pending after 15 s", "journey,identity.health,api.health,api.ready",
        others={"journey.idempotent": "fail"}, well=("identity.health", "api.health", "api.ready"),
    ),
    "CORS gone": Fault(
        started_with(APP_ENV_CORS_ORIGINS="https://other.example"), "api.cors",
        "may not call it: the preflight answered", "api",
    ),
    "rate limit gone": Fault(
        started_with(APP_ENV_RATE_LIMIT="1000000"), "api.rate_limit", "RateLimit-Limit is 1000000, not 100000", "api"
    ),
    "errors of another shape": Fault(altered(other_errors), "api.errors", "answered 404 without JSON", "api"),
    "OpenAPI broken": Fault(altered(broken_description), "api.openapi", "/api-json is not valid: ", "api"),
    "half a response": Fault(altered(half), "api.health", "got half an answer", "api", others=ALL),
    "redirect loop": Fault(
        altered(redirect_loop), "api.health", "redirects (302) to /health, not 200", "api", others=ALL
    ),
    "a dependency out of reach": Fault(
        started_with(APP_ENV_SQS_QUEUE_URL="http://127.0.0.1:{emulator}/000000000000/nobody"),
        "api.ready", "answered 503: sqs: QueueDoesNotExist", "api",
    ),
    "connection refused": Fault(refused, "api.reachable", "refuses connections", "api", others=NOBODY),
    "name that does not resolve": Fault(
        unresolved, "api.resolves", "soundbite.invalid does not resolve", "api",
        others={**NOBODY, "api.reachable": "inconclusive"},
    ),
    "connection that hangs": Fault(hangs, "api.health", "answer within 5 s", "api", others=ALL),
}  # fmt: skip
"""Every fault that is seeded in a local environment; docs/validation.md has them all."""

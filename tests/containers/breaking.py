"""What can be wrong with a deployed environment: each fault is seeded for real, and taken back at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from unittest import mock

from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.releases import Ledger, Lock
from tests.between import between
from tests.conftest import clean_environ
from tests.containers.conftest import docker
from tests.containers.rehearsals import PROJECT, Rehearsal, answer
from tests.integration.conftest import until
from tests.unit.faulty import Authority

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Seed = Callable[[Rehearsal], AbstractContextManager[tuple[str, ...]]]

WORLD = "0.0.0.0/0"
LEASE = 1.0
ME = {"who": "somebody", "where": "a machine", "reason": "a test", "operation": "", "since": "2026-01-01T00:00:00Z"}

KILLED = """
import os, signal, sys
from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.releases import Ledger, Lock
lock = Lock(Ledger(Cloud(environment.load(sys.argv[1], rehearsal=True))), 1.0)
lock.acquire({"who": "somebody", "where": "a machine", "reason": "killed", "operation": "", "since": ""})
os.kill(os.getpid(), signal.SIGKILL)
"""


class Fault(NamedTuple):
    """A fault: what makes it, and what finds it.

    Attributes
    ----------
    seed:
        Makes it, and takes it back; gives what messages must name.
    only:
        The groups or checks that are run.
    caught:
        The checks that end with `outcome`; all others of `only` pass.
    unknown:
        Those that are inconclusive, since they have nobody to ask.
    """

    seed: Seed
    only: str
    caught: tuple[str, ...]
    outcome: str = "fail"
    unknown: tuple[str, ...] = ()


def output(place: Rehearsal, name: str) -> str:
    """Return a stack's output, by `Stack.OutputName`."""
    stack, _, wanted = name.partition(".")
    named = f"{PROJECT}-{place.environment}-{stack}"
    found = place.aws("cloudformation").describe_stacks(StackName=named)["Stacks"][0]["Outputs"]
    return str(next(each["OutputValue"] for each in found if each["OutputKey"] == wanted))


def ledger(place: Rehearsal) -> Ledger:
    """Return its ledger."""
    with mock.patch.dict(os.environ, clean_environ(**place.variables), clear=True):
        found = Ledger(Cloud(environment.load(place.environment, rehearsal=True)))
    found.items.table = f"{PROJECT}-{place.environment}-ledger"
    return found


# What runs


def serving(place: Rehearsal, number: int) -> str:
    """Return the id of the container that serves on a host."""
    labelled = ("label=com.docker.compose.service=api", "label=soundbite.deployment")
    filters = [word for each in labelled for word in ("--filter", each)]
    return place.host(number, "docker", "ps", "--quiet", "--no-trunc", *filters)


@contextmanager
def another_image(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Have one host of three serve another image that is called the same deployment and answers just as well."""
    right = serving(place, 2)
    found = json.loads(place.host(2, "docker", "inspect", right))[0]
    options = [f"--label={name}={value}" for name, value in found["Config"]["Labels"].items()]
    options += [f"--env={each}" for each in found["Config"]["Env"]]
    options += [f"--volume={each['Source']}:{each['Destination']}" for each in found["Mounts"] if each["Source"]]
    place.host(2, "docker", "commit", right, "another:1")
    place.host(2, "docker", "stop", right)
    try:
        place.host(2, "docker", "run", "--detach", "--name=another", *options, "another:1")
        until(lambda: _answers(place, 2), "the other image does not serve", 20)
        yield place.container(2), "runs another:1, not sha256:"
    finally:
        place.host(2, "docker", "rm", "--force", "another")
        place.host(2, "docker", "start", right)
        place.host(2, "docker", "rmi", "another:1")
        until(lambda: _answers(place, 2), "the right image does not serve again", 20)


@contextmanager
def container_stopped(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Stop what serves on one host."""
    right = serving(place, 3)
    place.host(3, "docker", "stop", right)
    try:
        yield place.container(3), "its container is exited"
    finally:
        place.host(3, "docker", "start", right)
        until(lambda: _answers(place, 3), "it does not serve again", 20)


@contextmanager
def restarted(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Kill what serves on one host from within; its engine starts it again."""
    right = serving(place, 1)

    def told(what: str) -> str:
        return place.host(1, "docker", "inspect", "--format", f"{{{{.{what}}}}}", right)

    place.host(1, "kill", "-9", told("State.Pid"))
    until(lambda: told("RestartCount") == "1" and _answers(place, 1), "it was not started again", 20)
    try:
        yield place.container(1), ": 1 restarts"
    finally:
        # The engine forgets its count where somebody starts it.
        place.host(1, "docker", "restart", right)
        until(lambda: _answers(place, 1), "it does not serve again", 20)


@contextmanager
def old_processor(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Point the processor's alias to an older version."""
    client, name = place.aws("lambda"), output(place, "Compute.FunctionName")
    right = client.get_alias(FunctionName=name, Name="live")["FunctionVersion"]
    assert right != "1"
    client.update_alias(FunctionName=name, Name="live", FunctionVersion="1")
    try:
        yield "points at version 1", f"{place.environment}-2 has version {right}"
    finally:
        client.update_alias(FunctionName=name, Name="live", FunctionVersion=right)


@contextmanager
def balancer_stopped(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Stop the load balancer."""
    name = f"{place.variables['PROXY_PROJECT']}-balancer"
    docker("stop", "--time=1", name)
    try:
        yield f"{place.environment}.localhost:{place.variables['PROXY_PORT']}", "nothing listens there"
    finally:
        docker("start", name)
        until(lambda: _balanced(place), "the load balancer does not serve again", 20)


def _answers(place: Rehearsal, number: int) -> bool:
    try:
        return bool(answer(place.hosts[number - 1]))
    except (OSError, AssertionError):
        return False


def _balanced(place: Rehearsal) -> bool:
    try:
        return bool(balanced(place))
    except (OSError, AssertionError):
        return False


def balanced(place: Rehearsal) -> dict[str, object]:
    """Return what answers at APP_URL."""
    port = place.variables["PROXY_PORT"]
    return answer("127.0.0.1", port=int(port), named=f"{place.environment}.localhost:{port}")


@contextmanager
def expired(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Have somebody with a certificate that ended yesterday before the load balancer."""
    name = f"{place.environment}.localhost"
    path = place.checkout.root / "envs" / "rehearsal.env"
    text = path.read_text()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        ended = authority.server(days=-1, name=name)
        with between(int(place.variables["PROXY_PORT"]), lambda _: None, secure=ended) as port:
            place.checkout.put("rehearsal", APP_URL=f"https://{name}:{port}")
            place.variables["SSL_CERT_FILE"] = str(authority.file)
            try:
                yield name, "the certificate has expired"
            finally:
                del place.variables["SSL_CERT_FILE"]
                path.write_text(text)


# The ledger


@contextmanager
def marked_bad(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Mark the release bad that serves."""
    kept = ledger(place)
    release = kept.deployment(str(kept.serving())).release
    lock = Lock(kept, LEASE)
    lock.acquire(ME)
    kept.mark_bad(release, "it speaks too fast", lock.token)
    lock.release()
    try:
        yield release, "was marked bad: it speaks too fast"
    finally:
        key = {"pk": {"S": "bad"}, "sk": {"S": release}}
        place.aws("dynamodb").delete_item(TableName=kept.items.table, Key=key)


@contextmanager
def interrupted(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Leave the lock as an operation does that is interrupted."""
    lock = Lock(ledger(place), LEASE)
    lock.acquire(ME)
    lock.leave_interrupted()
    try:
        yield "interrupted: somebody on a machine", "--resume finishes it"
    finally:
        _taken_over(place)


@contextmanager
def killed(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Kill a holder of the lock: it is held, by nobody."""
    subprocess.run(
        [sys.executable, "-c", KILLED, place.environment],
        cwd=place.checkout.root, env=clean_environ(**place.inv.variables), timeout=30, check=False,
    )  # fmt: skip
    try:
        yield "its holder has not moved for 1 s", "somebody on a machine", "--resume finishes it"
    finally:
        _taken_over(place)


@contextmanager
def at_work(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Hold the lock, alive."""
    lock = Lock(ledger(place), LEASE)
    lock.acquire(ME)
    try:
        yield "somebody is at work: somebody on a machine", "a test"
    finally:
        lock.release()


def _taken_over(place: Rehearsal) -> None:
    lock = Lock(ledger(place), LEASE)
    lock.take_over(ME)
    lock.release()


# Secrets and settings


@contextmanager
def secret_deleted(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Delete the application's secret."""
    client, name = place.aws("secretsmanager"), _secret(place)
    client.delete_secret(SecretId=name)
    try:
        yield "METRICS_TOKEN", name
    finally:
        client.restore_secret(SecretId=name)


@contextmanager
def secret_changed(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Give the secret a new value, which the application has not."""
    client, name = place.aws("secretsmanager"), _secret(place)
    right = client.get_secret_value(SecretId=name)["VersionId"]
    new = client.put_secret_value(SecretId=name, SecretString=json.dumps({"token": "another-" * 4}))["VersionId"]
    try:
        yield "METRICS_TOKEN", f"changed since {place.environment}-2"
    finally:
        client.update_secret_version_stage(
            SecretId=name, VersionStage="AWSCURRENT", MoveToVersionId=right, RemoveFromVersionId=new
        )


def line(text: str, *words: str) -> Seed:
    """Add a line to this environment's file."""

    @contextmanager
    def seed(place: Rehearsal) -> Iterator[tuple[str, ...]]:
        path = place.checkout.root / "envs" / f"{place.environment}.env"
        was = path.read_text()
        path.write_text(f"{was}{text}\n")
        try:
            yield words
        finally:
            path.write_text(was)

    return seed


def _secret(place: Rehearsal) -> str:
    return f"soundbite/{place.environment}/metrics"


# Resources and security


@contextmanager
def silenced(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Switch an alarm's actions off."""
    client = place.aws("cloudwatch")
    found = client.describe_alarms()["MetricAlarms"]
    name = next(each["AlarmName"] for each in found if "-Observability-DeadLetters" in each["AlarmName"])
    client.disable_alarm_actions(AlarmNames=[name])
    try:
        yield (f"with their actions switched off: {name}",)
    finally:
        client.enable_alarm_actions(AlarmNames=[name])


@contextmanager
def no_recovery(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Switch the table's point-in-time recovery off."""
    client, name = place.aws("dynamodb"), output(place, "Database.TableName")

    def switch(on: bool) -> None:
        wanted = {"PointInTimeRecoveryEnabled": on}
        client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wanted)

    switch(False)
    try:
        yield ("point-in-time recovery is DISABLED, not ENABLED",)
    finally:
        switch(True)


@contextmanager
def bucket_public(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Let everybody read the bucket."""
    client, name = place.aws("s3"), output(place, "Storage.BucketName")
    block = client.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"]
    policy = client.get_bucket_policy(Bucket=name)["Policy"]
    said = json.loads(policy)
    reads = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{name}/*"}
    client.delete_public_access_block(Bucket=name)
    try:
        client.put_bucket_policy(Bucket=name, Policy=json.dumps({**said, "Statement": [*said["Statement"], reads]}))
        yield (name,)
    finally:
        client.put_bucket_policy(Bucket=name, Policy=policy)
        client.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=block)


def port(number: int, *words: str) -> Seed:
    """Return what opens a port to the world."""

    @contextmanager
    def opened(place: Rehearsal) -> Iterator[tuple[str, ...]]:
        client, group = place.aws("ec2"), output(place, "Api.SecurityGroupId")
        rule = {"IpProtocol": "tcp", "FromPort": number, "ToPort": number, "IpRanges": [{"CidrIp": WORLD}]}
        client.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
        try:
            yield group, f"tcp {number}", *words
        finally:
            client.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])

    return opened


@contextmanager
def almighty_role(place: Rehearsal) -> Iterator[tuple[str, ...]]:
    """Let the hosts do everything."""
    client, role = place.aws("iam"), output(place, "Api.InstanceRoleArn").rpartition("/")[2]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    client.put_role_policy(RoleName=role, PolicyName="Everything", PolicyDocument=json.dumps(document))
    try:
        yield (f"{role}: may *",)
    finally:
        client.delete_role_policy(RoleName=role, PolicyName="Everything")


FAULTS = {
    "another image on one host": Fault(another_image, "release", ("release.digest",)),
    "a container stopped": Fault(container_stopped, "release", ("release.hosts",)),
    "a container restarted": Fault(restarted, "release", ("release.restarts",), "warn"),
    "an old processor": Fault(old_processor, "release.processor", ("release.processor",)),
    "the release is bad": Fault(marked_bad, "release.recorded", ("release.recorded",), "warn"),
    "an operation was interrupted": Fault(interrupted, "release.lock", ("release.lock",)),
    "an operation was killed": Fault(killed, "release.lock", ("release.lock",)),
    "an operation is at work": Fault(at_work, "release.lock", ("release.lock",), "warn"),
    "a secret changed": Fault(secret_changed, "release.secrets,config", ("release.secrets",), "warn"),
    "a secret deleted": Fault(secret_deleted, "config", ("config.secrets",)),
    "a key without neighbours": Fault(
        line("APP_ENV_ONLY_HERE=yes", "APP_ENV_ONLY_HERE", "is set here and not in", "dev-aws-deployed", "production"),
        "config",
        ("config.keys",),
    ),
    "a secret in plain text": Fault(
        line("PROCESSOR_ENV_ACCESSTOKEN=12345", "in plain text: PROCESSOR_ENV_ACCESSTOKEN (envs/staging.env:"),
        "config.public",
        ("config.public",),
    ),
    "an alarm silenced": Fault(silenced, "monitoring", ("monitoring.actions",), "warn"),
    "no recovery": Fault(no_recovery, "resources", ("resources.table_backup",)),
    "a public bucket": Fault(bucket_public, "resources.bucket,security", ("resources.bucket", "security.bucket")),
    "ssh from everywhere": Fault(port(22), "security", ("security.ssh", "security.ports")),
    "another port": Fault(port(5432, "beside port 80"), "security", ("security.ports",)),
    "an almighty role": Fault(almighty_role, "security", ("security.iam",)),
    "an expired certificate": Fault(expired, "api.tls,api.reachable", ("api.tls",)),
    "no load balancer": Fault(
        balancer_stopped, "api", ("api.reachable",), unknown=("api.health", "api.ready", "api.headers")
    ),
}

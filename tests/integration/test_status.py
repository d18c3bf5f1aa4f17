"""`inv status`: what is known of each environment, what is not, and that nobody waits for who does not answer."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.releases import Deployment, Ledger, Lock
from tests.conftest import Inv, clean_environ, copied, free_ports
from tests.integration.conftest import Dev, Running, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ["dev-localstack", "dev-aws", "dev-aws-deployed", "staging", "production"]
TARGET, UNREACHABLE, BUSY = 2.5, 2.0, 3
"""Seconds for five that answer, seconds more for those that do not, and how much slower a busy machine may be."""

WE = {
    "who": "arn:aws:sts::222222222222:assumed-role/deployer/ada",
    "where": "laptop",
    "reason": "a test",
    "operation": "staging-7",
    "since": "2026-03-01T10:00:00Z",
}
QUEUES = {
    "Resources": {"Q": {"Type": "AWS::SQS::Queue"}, "D": {"Type": "AWS::SQS::Queue"}},
    "Outputs": {"QueueUrl": {"Value": {"Ref": "Q"}}, "DeadLetterQueueUrl": {"Value": {"Ref": "D"}}},
}


class Site:
    """An application that says `status`, or nothing at all."""

    def __init__(self) -> None:
        site = self
        self.status: int | None = 200

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if site.status is None:
                    time.sleep(5)
                self.send_response(site.status or 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@dataclass
class World:
    """Five environments, each with an account of its own in one emulator."""

    inv: Inv
    endpoint: str
    site: Site
    seconds: float = 0.0

    def file(self, name: str) -> Path:
        return self.inv.root / "envs" / f"{name}.env"

    @contextmanager
    def changed(self, **lines: str) -> Iterator[None]:
        """Set lines of env files, by name with `_` for `-`, for a while."""
        before = {each: self.file(each.replace("_", "-")).read_text() for each in lines}
        try:
            for each, text in lines.items():
                replace(self.file(each.replace("_", "-")), text)
            yield
        finally:
            for each, text in before.items():
                self.file(each.replace("_", "-")).write_text(text)

    def cloud(self, name: str) -> Cloud:
        account = environment.load(name).aws.account_id
        settings = {"EMULATOR": "external", "AWS_ENDPOINT_URL": self.endpoint, "AWS_ACCESS_KEY_ID": account}
        return Cloud(environment.load(name, settings))

    def look(self, *arguments: str, code: int = 0, within: float = TARGET, **more: str) -> dict[str, dict[str, Any]]:
        """Return what `inv status` tells of each environment, in time."""
        began = time.monotonic()
        done = Inv(self.inv.root, self.inv.variables | more)("status", "--json", *arguments)
        took = time.monotonic() - began
        assert done.returncode == code, done.stdout + done.stderr
        told = json.loads(done.stdout)
        sys.stdout.write(f"inv status {' '.join(arguments)}: {took:.2f} s, looking {told['seconds']:.2f} s\n")
        assert took < within * BUSY
        self.seconds = float(told["seconds"])
        return {each["environment"]: each for each in told["environments"]}


def replace(file: Path, lines: str) -> None:
    """Set keys of an env file; none may be there twice."""
    keys = {line.partition("=")[0] for line in lines.splitlines()}
    kept = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in keys]
    file.write_text("\n".join([*kept, *lines.splitlines(), ""]))


def deployment(number: int, **more: Any) -> Deployment:
    values: dict[str, Any] = {
        "id": f"staging-{number}",
        "number": number,
        "environment": "staging",
        "verb": "deploy",
        "release": "r-1f0c22aa91be",
        "image": f"r.example/api@sha256:{'0123456789abcdef' * 4}",
        "commit": "4ad59fc",
        "before": None,
        "source": None,
        "who": WE["who"],
        "where": "laptop",
        "started": "2026-03-01T10:00:00Z",
        "outcome": "succeeded",
        "verified": True,
    }
    return Deployment(**(values | more))


def add_table(ledger: Ledger) -> None:
    ledger.cloud.client("dynamodb").create_table(
        TableName=ledger.items.table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )


def add_queues(cloud: Cloud) -> list[str]:
    stack = cloud.environment.stack_name("Queue")
    client = cloud.client("cloudformation")
    client.create_stack(StackName=stack, TemplateBody=json.dumps(QUEUES))
    client.get_waiter("stack_create_complete").wait(StackName=stack, WaiterConfig={"Delay": 1})
    found = client.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
    values = {each["OutputKey"]: each["OutputValue"] for each in found}
    return [values["QueueUrl"], values["DeadLetterQueueUrl"]]


def add_alarm(cloud: Cloud, name: str, state: str) -> None:
    client = cloud.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName=cloud.environment.stack_name(name),
        MetricName="Errors",
        Namespace="AWS/Lambda",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    client.set_alarm_state(AlarmName=cloud.environment.stack_name(name), StateValue=state, StateReason="a test")


@pytest.fixture(scope="module")
def world(running: Dev, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return five environments: dev-localstack runs, staging is deployed, production never was."""
    root = copied(tmp_path_factory.mktemp("status") / "project")
    site = Site()
    endpoint = f"http://127.0.0.1:{running.ports[1]}"
    emulated = f"EMULATOR=external\nAWS_ENDPOINT_URL={endpoint}\nAWS_ACCESS_KEY_ID=${{AWS_ACCOUNT_ID}}\n"
    for name in NAMES[1:]:
        replace(root / "envs" / f"{name}.env", emulated + ("" if name == "dev-aws" else f"APP_URL={site.url}"))
    (root / ".gitignore").write_text(".soundbite/\n__pycache__/\nenvs/\n")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "A commit"]):
        subprocess.run([*git, *arguments], check=True)
    made = World(Inv(root, running.inv.variables), endpoint, site)

    staging = made.cloud("staging")
    ledger = Ledger(staging)
    add_table(ledger)
    lock = Lock(ledger, 60)
    lock.acquire(WE)
    for number in (6, 7):
        ledger.put_deployment(deployment(number), lock.token)
    ledger.put_serving("staging-7", lock.token)
    lock.release()
    ledger.add_verdict(verdict("staging-7"))
    queue, dead = add_queues(staging)
    for url, count in ((queue, 3), (dead, 1)):
        for _ in range(count):
            staging.client("sqs").send_message(QueueUrl=url, MessageBody="a clip")
    add_alarm(staging, "QueueAge", "ALARM")
    add_alarm(staging, "DeadLetters", "OK")
    add_alarm(made.cloud("dev-aws-deployed"), "QueueAge", "OK")
    return made


def verdict(of: str | None, **more: Any) -> dict[str, Any]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 2 * 3600))
    return {"started": started, "deployment": of, "outcome": "pass", "complete": True, "scope": "", **more}


def test_all_environments_are_shown_in_time(world: World) -> None:
    told = world.look()
    assert list(told) == NAMES
    assert [each["problem"] for each in told.values()] == [""] * 5

    here = told["dev-localstack"]
    revision = subprocess.run(
        ["git", "-C", world.inv.root, "describe", "--always", "--abbrev=12"], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert here["deployment"]["working_tree"].removesuffix("-dirty") == revision
    assert here["health"]["ok"]
    assert here["health"]["ms"] >= 0
    assert here["lock"]["state"] == "free"
    assert here["queue"]["queue"] == {"waiting": 0, "in_work": 0, "delayed": 0}
    assert here["queue"]["dead_letters"]["waiting"] == 0
    assert here["verdict"] is None

    staging = told["staging"]
    serves = staging["deployment"]
    assert (serves["id"], serves["release"], serves["commit"]) == ("staging-7", "r-1f0c22aa91be", "4ad59fc")
    assert serves["digest"].startswith("sha256:0123")
    assert serves["age_seconds"] > 3600
    assert staging["queue"]["queue"]["waiting"] == 3
    assert staging["queue"]["dead_letters"]["waiting"] == 1
    assert staging["alarms"] == {"defined": 2, "in_alarm": ["QueueAge"], "without_data": []}
    assert staging["verdict"]["outcome"] == "pass"
    assert staging["health"]["ok"]


def test_what_was_never_made_is_unknown_and_not_nought(world: World) -> None:
    production = world.look()["production"]
    assert production["reached"]
    assert "there is no table soundbite-production-ledger" in production["lock"]["unknown"]
    assert "there is no table" in production["deployment"]["unknown"]
    assert "no stack of production has the output Queue.QueueUrl" in production["queue"]["queue"]["unknown"]
    assert production["alarms"]["defined"] == 0
    done = world.inv("status", "--env=production")
    assert done.returncode == 0
    rows = {line[:14].strip(): line[14:].strip() for line in done.stdout.splitlines()}
    assert rows["alarms"] == "none defined"
    assert [rows[name] for name in ("release", "lock", "queue", "dead letters", "verdict")] == ["?"] * 5
    assert "production: deployment, lock, verdict: production has no ledger" in done.stdout


def columns(text: str) -> list[str]:
    """Return the lines above the reasons, which are told whole."""
    return list(itertools.takewhile(lambda line: not re.match(r"[\w-]+: ", line), text.splitlines()))


def test_people_read_them_side_by_side(world: World) -> None:
    done = world.inv("status", COLUMNS="160")
    assert done.returncode == 0
    first = done.stdout.splitlines()[0].split()
    assert first == NAMES
    assert "r-1f0c22aa91be" in done.stdout
    assert "0123456789ab" in done.stdout
    assert "1 of 2 in ALARM: QueueAge" in done.stdout
    assert "3 waiting" in done.stdout
    assert "pass, 2 h ago" in done.stdout
    assert " d ago" in done.stdout
    assert "working tree" in done.stdout
    assert max(map(len, columns(done.stdout))) <= 160

    narrow = world.inv("status", COLUMNS="60").stdout
    assert all(name in narrow for name in NAMES)
    assert max(map(len, columns(narrow))) <= 60


def test_the_summary_of_a_checkout_tells_what_environments_have(world: World) -> None:
    done = world.inv("ci.summary")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.partition("\nEnvironments\n")[2].splitlines()
    rows = {
        name: re.split(r" {2,}", rest.strip()) for name, _, rest in (line.strip().partition("  ") for line in lines)
    }
    assert rows["environment"] == ["release", "commit", "deployed", "last verdict"]
    assert rows["staging"][:2] == ["r-1f0c22aa91be (staging-7)", "4ad59fc"]
    assert rows["staging"][2].endswith(" d ago")
    assert rows["staging"][3].startswith("✓ pass, 2 h ago")
    assert rows["production"] == ["?", "?", "?", "?"]
    assert rows["dev-localstack"][0].startswith("working tree ")
    assert rows["dev-localstack"][1:] == ["-", "-", "none"]

    markdown = world.inv("ci.summary", "--markdown").stdout
    assert re.search(r"\| staging \| r-1f0c22aa91be \(staging-7\) \| 4ad59fc \| \d+ d ago \| ✓ pass, 2 h ago", markdown)


def test_alarms_of_an_environment_with_a_longer_name_are_not_its_own(world: World) -> None:
    told = world.look()
    assert told["dev-aws"]["alarms"]["defined"] == 0
    assert told["dev-aws-deployed"]["alarms"]["defined"] == 1


def test_what_answers_at_a_shared_port_is_not_taken_for_another_environment(world: World) -> None:
    told = world.look()
    assert told["dev-aws"]["url"] == told["dev-localstack"]["url"]
    assert told["dev-aws"]["health"] == {"ok": False, "ms": None, "problem": "not running"}
    assert told["dev-aws"]["deployment"] is None


def test_the_lock_tells_who_since_when_and_why(world: World) -> None:
    ledger = Ledger(world.cloud("staging"))
    lock = Lock(ledger, 60)
    lock.acquire(WE)
    held = world.look("--env=staging")["staging"]["lock"]
    assert (held["state"], held["who"], held["reason"]) == ("held", WE["who"], "a test")
    assert held["age_seconds"] > 3600
    text = " ".join(world.inv("status", "--env=staging", COLUMNS="200").stdout.split())
    assert "lock held, ada, since" in text
    assert "(staging-7: a test)" in text
    lock.leave_interrupted()
    assert world.look("--env=staging")["staging"]["lock"]["state"] == "interrupted"
    assert "interrupted, ada" in world.inv("status", "--env=staging", COLUMNS="200").stdout
    lock.take_over(WE)
    lock.release()
    assert world.look("--env=staging")["staging"]["lock"]["state"] == "free"


def test_a_verdict_says_of_what_it_is(world: World) -> None:
    ledger = Ledger(world.cloud("staging"))
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    ledger.add_verdict(verdict("staging-6", started=later, scope="only api"))
    assert world.look("--env=staging")["staging"]["verdict"]["deployment"] == "staging-6"
    text = " ".join(world.inv("status", "--env=staging", COLUMNS="200").stdout.split())
    assert "pass, 1 h ago, of staging-6, only api" in text
    ledger.add_verdict(verdict("staging-7", started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())))


@contextmanager
def silent() -> Iterator[int]:
    """Give a port that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        yield int(server.getsockname()[1])


UNREACHED = {
    "refused": ("AWS_ENDPOINT_URL=http://127.0.0.1:{closed}", "does not answer sts:GetCallerIdentity"),
    "silent": ("AWS_ENDPOINT_URL=http://127.0.0.1:{silent}", "does not answer sts:GetCallerIdentity"),
    "no such host": ("AWS_ENDPOINT_URL=http://nowhere.invalid:4566", "nowhere.invalid"),
    "another account": ("AWS_ACCESS_KEY_ID=999999999999", "belong to account 999999999999, but staging is account"),
    "no credentials": ("EMULATOR=none\nAWS_ENDPOINT_URL=\nAWS_ACCESS_KEY_ID=", "There are no usable credentials"),
    "no such profile": ("EMULATOR=none\nAWS_ENDPOINT_URL=\nAWS_ACCESS_KEY_ID=\nAWS_PROFILE=nope", "nope"),
}


@pytest.mark.parametrize("how", sorted(UNREACHED))
def test_one_out_of_reach_is_told_and_holds_up_nobody(world: World, how: str) -> None:
    lines, why = UNREACHED[how]
    with silent() as port:
        lines = lines.format(closed=free_ports(1)[0], silent=port)
        with world.changed(staging=lines):
            # Whoever is silent is to be named before the look's own two seconds are over. Somebody else's work may hold
            # that up once, not three times; it holds up nobody else.
            for _ in range(3 if how == "silent" else 1):
                told = world.look(within=TARGET + UNREACHABLE, HOME="/nonexistent")
                staging = told.pop("staging")
                if why in staging["problem"]:
                    break
            assert all(each["reached"] for each in told.values())
            assert not staging["reached"]
            assert why in staging["problem"]
            for part in ("deployment", "alarms", "lock", "queue", "verdict"):
                assert why in staging[part]["unknown"]
            assert staging["health"]["ok"]
            only = world.look("--env=staging", code=6, within=TARGET + UNREACHABLE, HOME="/nonexistent")
            assert not only["staging"]["reached"]
            text = world.inv("status", "--env=staging", HOME="/nonexistent")
            assert text.returncode == 6
            assert "not reached" in text.stdout
            assert "Traceback" not in text.stderr


@pytest.mark.parametrize("names", [["staging"], NAMES], ids=["one", "all"])
def test_those_that_never_answer_add_no_more_than_their_two_seconds(world: World, names: list[str]) -> None:
    added: list[float] = []
    # Compared in what looking takes by its own account, beside the same without them at the same time: the process and
    # the machine are not theirs. Somebody else's work may make it late once, not three times.
    while not added or (min(added) > UNREACHABLE and len(added) < 3):
        world.look(within=10)
        without = world.seconds
        with silent() as port:
            line = f"EMULATOR=external\nAWS_ENDPOINT_URL=http://127.0.0.1:{port}"
            with world.changed(**dict.fromkeys([name.replace("-", "_") for name in names], line)):
                told = world.look(code=6 if names == NAMES else 0, within=10)
        added.append(world.seconds - without)
        assert [name for name, each in told.items() if not each["reached"]] == names
        assert told["dev-localstack"]["health"]["ok"]
    assert min(added) <= UNREACHABLE


@pytest.mark.parametrize(
    ("status", "says"), [(503, "answered 503"), (None, "got no answer within"), (301, "answered 301")]
)
def test_an_application_that_is_not_well_is_told(world: World, status: int | None, says: str) -> None:
    world.site.status = status
    try:
        told = world.look(within=TARGET + UNREACHABLE)
    finally:
        world.site.status = 200
    for name in NAMES[2:]:
        assert told[name]["reached"]
        assert not told[name]["health"]["ok"]
        assert says in told[name]["health"]["problem"]


def test_wrong_settings_are_shown_in_their_column_and_refused_alone(world: World) -> None:
    with world.changed(staging="QUEUE_MAX_RECEIVES=many"):
        told = world.look()
        assert "QUEUE_MAX_RECEIVES" in told["staging"]["problem"]
        assert told["production"]["reached"]
        assert world.inv("status", "--env=staging").returncode == 2
    assert world.inv("status", "--env=nope").returncode == 2


def test_watching_without_a_terminal_prints_a_block_each_time(world: World) -> None:
    watched = Running(world.inv.start("status", "--watch", "--env=staging"))
    until(lambda: watched._so_far().count("found in") >= 3, "three blocks", 40)
    assert watched.end(signal.SIGINT) == 130
    assert "\x1b" not in watched.output
    assert "Interrupted." in watched.output


def test_watching_on_a_terminal_draws_in_the_same_place(world: World) -> None:
    own, theirs = pty.openpty()
    process = subprocess.Popen(
        world.inv.argv("status", "--watch", "--env=staging"),
        env=clean_environ(**world.inv.variables, TERM="xterm", COLUMNS="100", LINES="40"),
        cwd="/",
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    os.close(theirs)
    shown = ""
    end = time.monotonic() + 40
    try:
        while shown.count("found in") < 3 and time.monotonic() < end:
            if select.select([own], [], [], 1)[0]:
                shown += os.read(own, 65536).decode()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
        os.close(own)
    assert shown.count("\x1b[H") >= 3
    assert shown.count("\x1b[H\x1b[J") == 1

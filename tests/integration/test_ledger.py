"""The ledger against emulated AWS: what is written comes back, and who lost the lock writes nothing."""

from __future__ import annotations

import base64
import itertools
import json
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError

from soundbite import environment, web
from soundbite.cloud import Cloud
from soundbite.errors import ConfigurationError, Locked
from soundbite.releases import Deployment, Ended, Ledger, LedgerUnreachable, Lock, NoLedger, Operation, Release
from soundbite.releases.records import PLANNED, RECORDED, SWITCHED
from tests.conftest import clean_environ, free_ports
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAME = "staging"
WE = {"who": "ada", "where": "laptop", "reason": "a test", "operation": "", "since": "2026-03-01T10:00:00Z"}
LONG = 60.0
"""A lease that no test outlives."""

_accounts = itertools.count(300_000_000_000)


@dataclass
class Emulated:
    """Emulated AWS; every ledger in it is in an account of its own, so that tests do not meet."""

    port: int

    def settings(self) -> dict[str, str]:
        """Return the settings of an environment that nobody else has."""
        return {"EMULATOR_HOST": "127.0.0.1", "EMULATOR_PORT": str(self.port), "AWS_ACCOUNT_ID": str(next(_accounts))}

    def ledger(self, *, table: bool = True) -> Ledger:
        """Return a ledger, with nothing in it."""
        made = open_ledger(self.settings())
        if table:
            made.cloud.client("dynamodb").create_table(
                TableName=made.items.table,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
                BillingMode="PAY_PER_REQUEST",
            )
        return made


class Wire:
    """What is between a ledger and its table, to meddle with.

    Parameters
    ----------
    meddle:
        Called with the operation's name and a function that sends the request; returns the response.
    """

    def __init__(self, ledger: Ledger, meddle: Callable[[str, Callable[[], Any]], Any]) -> None:
        endpoint = ledger.cloud.client("dynamodb")._endpoint
        self._session, self._meddle = endpoint.http_session, meddle
        endpoint.http_session = self

    def send(self, request: Any) -> Any:
        target = request.headers["X-Amz-Target"]
        name = target.decode() if isinstance(target, bytes) else target
        return self._meddle(name.rpartition(".")[2], lambda: self._session.send(request))

    def close(self) -> None:
        self._session.close()


class Answer:
    """The body of a response."""

    def __init__(self, said: object) -> None:
        self._said = json.dumps(said).encode()

    def stream(self) -> Iterator[bytes]:
        yield self._said


def open_ledger(settings: dict[str, str]) -> Ledger:
    return Ledger(Cloud(environment.load(NAME, settings, rehearsal=True)))


def lose_the_first_answer(ledger: Ledger, method: str) -> list[str]:
    """Break the connection once after the table did what it was asked; return what is sent from then on."""
    sent: list[str] = []

    def meddle(name: str, send: Callable[[], Any]) -> Any:
        sent.append(name)
        response = send()
        if name == method and sent.count(method) == 1:
            raise ConnectionClosedError(endpoint_url="http://emulated")
        return response

    Wire(ledger, meddle)
    return sent


@contextmanager
def emulated(folder: Path) -> Iterator[Emulated]:
    """Run emulated AWS of our own."""
    (port,) = free_ports(1)
    own = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "STATE_DIR": str(folder), "TMPDIR": str(folder)}
    own |= {"SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "DOCKER_HOST": "unix:///none", "LOG_LEVEL": "WARNING"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=clean_environ(**own), cwd=folder, stdout=log, stderr=log
        )
    try:
        until(lambda: process.poll() is not None or _ready(port), "emulated AWS is ready")
        assert process.poll() is None, (folder / "log").read_text()
        yield Emulated(port)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(port: int) -> bool:
    try:
        return web.get(f"http://127.0.0.1:{port}/_ministack/ready", 2).status_code == 200
    except httpx.HTTPError:
        return False


def _deployment(number: int, **more: Any) -> Deployment:
    made = Deployment(
        id=f"{NAME}-{number}",
        number=number,
        environment=NAME,
        verb="deploy",
        release="r-1f0c22aa91be",
        image="r.example/api@sha256:0123",
        commit="4ad59fc",
        before=None,
        source=None,
        who="Ada Löw — 🚀",
        where="laptop",
        started="2026-03-01T10:00:00Z",
    )
    return replace(made, **more)


def _ended(number: int) -> Ended:
    deployment = _deployment(number, outcome="succeeded", verified=True)
    operation = Operation(deployment.id, "deploy", RECORDED, {})
    return Ended(
        deployment, operation, {"at": "2026-03-01T10:00:00Z", "event": "deploy"}, deployment.id, None, {"r-0": "old"}
    )


def _items(ledger: Ledger) -> list[dict[str, Any]]:
    """Return everything that is in the table but the lock."""
    found = ledger.cloud.client("dynamodb").scan(TableName=ledger.items.table, ConsistentRead=True)["Items"]
    return [each for each in found if each["pk"]["S"] != "lock"]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture(scope="module")
def missing(aws: Emulated) -> Ledger:
    """Return a ledger that has no table."""
    return aws.ledger(table=False)


@pytest.fixture
def ledger(aws: Emulated) -> Ledger:
    return aws.ledger()


@pytest.fixture
def lock(ledger: Ledger) -> Iterator[Lock]:
    made = Lock(ledger, LONG)
    made.acquire(WE)
    yield made
    made.release()


WRITES: dict[str, Callable[[Ledger, int], None]] = {
    "release": lambda ledger, token: ledger.add_release(Release("r-1", "i", None, "c", {}, "t"), token),
    "deployment": lambda ledger, token: ledger.put_deployment(_deployment(1), token),
    "operation": lambda ledger, token: ledger.put_operation(Operation("staging-1", "deploy", PLANNED, {}), token),
    "begun": lambda ledger, token: ledger.put_begun(
        _deployment(2), Operation("staging-2", "deploy", PLANNED, {}), token
    ),
    "ended": lambda ledger, token: ledger.put_ended(_ended(3), token),
    "serving": lambda ledger, token: ledger.put_serving("staging-1", token),
    "bad": lambda ledger, token: ledger.mark_bad("r-1", "it fails", token),
    "templates": lambda ledger, token: ledger.put_templates("a1", {"Api": {}}, token),
}
READS: dict[str, Callable[[Ledger], Any]] = {
    "release": lambda ledger: ledger.release("r-1"),
    "deployment": lambda ledger: ledger.deployment("staging-1"),
    "deployments": lambda ledger: ledger.deployments(),
    "operation": lambda ledger: ledger.operation("staging-1"),
    "serving": lambda ledger: ledger.serving(),
    "number": lambda ledger: ledger.next_number(),
    "audit": lambda ledger: ledger.audit({"at": "2026-03-01T10:00:00Z", "event": "x"}),
    "audited": lambda ledger: ledger.audited(),
    "templates": lambda ledger: ledger.templates("a1"),
    "look": lambda ledger: Lock(ledger, 1).look(),
    "acquire": lambda ledger: Lock(ledger, 1).acquire(WE),
    "take over": lambda ledger: Lock(ledger, 1).take_over(WE),
}


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_without_a_table_it_says_which_and_what_makes_it(missing: Ledger, name: str) -> None:
    with pytest.raises(NoLedger) as caught:
        READS[name](missing) if name in READS else WRITES[name](missing, 1)
    assert "there is no table soundbite-staging-ledger" in caught.value.message
    assert missing.cloud.environment.aws.account_id in caught.value.message
    assert "inv deploy.staging" in caught.value.hint
    assert "inv cdk.deploy --env=staging" in caught.value.hint


@pytest.mark.parametrize("name", ["serving", "deployment"])
def test_out_of_reach_it_says_so_within_seconds(name: str) -> None:
    (port,) = free_ports(1)
    ledger = open_ledger(Emulated(port).settings())
    begun = time.monotonic()
    with pytest.raises(LedgerUnreachable) as caught:
        WRITES[name](ledger, 1) if name in WRITES else READS[name](ledger)
    assert time.monotonic() - begun < 15
    assert caught.value.exit_code == 1
    assert ledger.items.table in caught.value.message
    assert f"127.0.0.1:{port}" in caught.value.message
    assert "Is the emulator running" in caught.value.hint


def test_an_empty_ledger_has_nothing(ledger: Ledger) -> None:
    for name in ("release", "operation", "serving", "templates"):
        assert READS[name](ledger) is None
    assert ledger.deployments() == []
    assert ledger.audited() == []
    assert ledger.next_number() == 1


def test_everything_comes_back_as_it_was_written(ledger: Ledger, lock: Lock) -> None:
    release = Release("r-1", "sha256:1", None, "4ad59fc", {"cdk": "é", "envs": "\U0001f680"}, "2026-03-01T10:00:00Z")
    ledger.add_release(release, lock.token)
    assert ledger.release("r-1") == release
    ledger.add_release(replace(release, commit="another"), lock.token)
    assert ledger.release("r-1") == release
    pushed_anew = replace(release, image="sha256:2")
    ledger.add_release(pushed_anew, lock.token)
    assert ledger.release("r-1") == pushed_anew

    deployment = _deployment(1, configuration={"GREETING": 'καλημέρα "\\\n\u2028\ud800'}, hosts=["api-1"], seconds=1.5)
    ledger.put_deployment(deployment, lock.token)
    assert ledger.deployment("staging-1") == deployment
    ledger.put_deployment(replace(deployment, outcome="succeeded", verified=True), lock.token)
    assert ledger.deployment("staging-1").verified
    assert [each.outcome for each in ledger.deployments()] == ["succeeded"]

    operation = Operation("staging-1", "deploy", PLANNED, {"hosts": {"api-1": ["blue", 1, None, 2.5]}})
    ledger.put_operation(operation, lock.token)
    ledger.put_operation(replace(operation, state=SWITCHED), lock.token)
    assert ledger.operation("staging-1") == replace(operation, state=SWITCHED)
    assert ledger.operation("staging-10") is None

    ledger.put_serving("staging-1", lock.token)
    assert ledger.serving() == "staging-1"
    ledger.put_serving(None, lock.token)
    assert ledger.serving() is None

    assert ledger.bad("r-1") == ""
    ledger.mark_bad("r-1", "es verliert Töne", lock.token)
    assert ledger.bad("r-1") == "es verliert Töne"
    assert ledger.bad("r-2") == ""


@pytest.mark.parametrize("end", ["taken over", "released", "interrupted", "never held", "kept"])
def test_who_does_not_hold_the_lock_writes_nothing(ledger: Ledger, end: str) -> None:
    ours, other = Lock(ledger, LONG), Lock(ledger, LONG)
    if end != "never held":
        ours.acquire(WE, keep=end == "kept")
    if end == "released":
        ours.release()
    elif end in {"interrupted", "taken over"}:
        ours.leave_interrupted()
    if end == "taken over":
        other.take_over(WE)
    for write in WRITES.values():
        with pytest.raises(Locked) as caught:
            write(ledger, ours.token)
        assert caught.value.exit_code == 4
        assert "Nothing was written" in caught.value.message
        assert "inv lock.status --env=staging" in caught.value.hint
    assert _items(ledger) == []
    if end == "taken over":
        for write in WRITES.values():
            write(ledger, other.token)
        # An ended one also says what is bad and what the audit trail tells; what serves is told twice.
        assert len(_items(ledger)) == len(WRITES) + 4
        other.release()


def test_a_write_whose_answer_was_lost_is_written_once_and_no_failure(ledger: Ledger, lock: Lock) -> None:
    sent = lose_the_first_answer(ledger, "TransactWriteItems")
    ledger.put_deployment(_deployment(1), lock.token)
    assert sent.count("TransactWriteItems") == 2
    assert ledger.deployment("staging-1") == _deployment(1)


def _conflict(name: str) -> AWSResponse:
    said: dict[str, Any] = {"__type": "com.amazonaws.dynamodb.v20120810#TransactionConflictException", "message": "x"}
    if name == "TransactWriteItems":
        reasons = [{"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}, {"Code": "None"}]
        said = {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons [...]",
            "CancellationReasons": reasons,
        }
    headers = HTTPHeaders.from_dict({"content-type": "application/x-amz-json-1.0"})
    return AWSResponse("http://emulated", 400, headers, Answer(said))


@pytest.mark.parametrize("method", ["TransactWriteItems", "UpdateItem", "PutItem"])
def test_two_writes_of_the_lock_that_meet_are_no_failure(aws: Emulated, method: str) -> None:
    # Of a record's transaction and a beat at the same moment, DynamoDB refuses one; botocore does not try it again.
    ledger = aws.ledger()
    met: list[str] = []

    def meddle(name: str, send: Callable[[], Any]) -> Any:
        if name == method and len(met) < 3:
            met.append(name)
            return _conflict(name)
        return send()

    Wire(ledger, meddle)
    lock = Lock(ledger, LONG)
    lock.acquire(WE)
    ledger.put_deployment(_deployment(1), lock.token)
    lock.release()
    assert len(met) == 3
    assert ledger.deployment("staging-1").number == 1
    assert lock.look().state == "free"


def test_two_writes_that_meet_for_good_end_with_a_failure(ledger: Ledger, lock: Lock) -> None:
    Wire(ledger, lambda name, send: _conflict(name) if name == "TransactWriteItems" else send())
    with pytest.raises(LedgerUnreachable, match="TransactionCanceledException"):
        ledger.put_deployment(_deployment(1), lock.token)
    assert _items(ledger) == []


def test_a_permission_that_is_missing_is_named_as_iam_calls_it(ledger: Ledger, lock: Lock) -> None:
    granted = False

    def refused(_: str, send: Callable[[], Any]) -> Any:
        if granted:
            return send()
        said = {"__type": "com.amazon.coral.service#AccessDeniedException", "Message": "not authorized"}
        headers = HTTPHeaders.from_dict({"content-type": "application/x-amz-json-1.0"})
        return AWSResponse("http://emulated", 400, headers, Answer(said))

    Wire(ledger, refused)
    for ask, needed in (
        (ledger.serving, "dynamodb:GetItem"),
        (ledger.deployments, "dynamodb:Query"),
        (lambda: ledger.audit({"at": "2026-03-01T10:00:00Z"}), "dynamodb:PutItem"),
        (lambda: Lock(ledger, LONG).acquire(WE), "dynamodb:GetItem"),
        (lambda: ledger.items.write_lock("put_item", Item={}), "dynamodb:PutItem"),
        (lambda: ledger.put_serving("staging-1", lock.token), "dynamodb:PutItem and dynamodb:ConditionCheckItem"),
    ):
        with pytest.raises(LedgerUnreachable) as caught:
            ask()
        assert caught.value.hint == f"The credentials lack the permission {needed}."
    granted = True


@pytest.mark.parametrize(
    ("id_", "said"),
    [
        ("staging-2", "staging has no deployment staging-2."),
        ("staging-99999999", "staging has no deployment staging-99999999."),
        ("production-1", "production-1 is a deployment of production, not of staging."),
        ("staging-01", "'staging-01' is not the id of a deployment, such as staging-7."),
        ("r-1f0c22aa91be", "'r-1f0c22aa91be' is not the id of a deployment, such as staging-7."),
        ("", "'' is not the id of a deployment, such as staging-7."),
    ],
)
def test_an_id_that_is_none_of_ours_is_told(ledger: Ledger, lock: Lock, id_: str, said: str) -> None:
    ledger.put_deployment(_deployment(1), lock.token)
    with pytest.raises(ConfigurationError) as caught:
        ledger.deployment(id_)
    assert caught.value.message == said
    assert "inv history --env=staging" in caught.value.hint


def test_deployments_come_newest_first_by_their_number(ledger: Ledger, lock: Lock) -> None:
    for number in (2, 100, 9, 12, 1, 11, 10, 3):
        ledger.put_deployment(_deployment(number), lock.token)
    assert [each.number for each in ledger.deployments()] == [100, 12, 11, 10, 9, 3, 2, 1]
    assert [each.number for each in ledger.deployments(3)] == [100, 12, 11]
    assert ledger.deployments(0) == []
    assert ledger.next_number() == 101


def test_more_than_fits_into_one_answer_comes_whole(ledger: Ledger, lock: Lock) -> None:
    large = {"NOTES": "x" * 250_000}
    for number in range(1, 10):
        ledger.put_deployment(_deployment(number, configuration=large), lock.token)
    sent: list[str] = []

    def meddle(name: str, send: Callable[[], Any]) -> Any:
        sent.append(name)
        return send()

    Wire(ledger, meddle)
    found = ledger.deployments()
    assert [each.number for each in found] == list(range(9, 0, -1))
    assert all(each.configuration == large for each in found)
    assert sent.count("Query") >= 3  # 2.2 MB, and an answer has 1 MB at most
    assert [each.number for each in ledger.deployments(6)] == [9, 8, 7, 6, 5, 4]


def test_the_audit_trail_has_every_entry_in_its_order(ledger: Ledger) -> None:
    at = [f"2026-03-{day:02d}T10:00:0{second}Z" for day in (1, 2, 11) for second in (0, 1)]
    for number, each in enumerate(at):
        ledger.audit({"at": each, "event": "switched", "token": number, "who": "Löw"})
    assert [each["at"] for each in ledger.audited()] == at
    assert ledger.audited()[0] == {"at": at[0], "event": "switched", "token": 0, "who": "Löw"}
    assert [each["at"] for each in ledger.audited("2026-03-02T10:00:01Z")] == at[3:]
    assert [each["at"] for each in ledger.audited("2026-03-02")] == at[2:]
    assert ledger.audited("2026-04") == []
    assert [each["at"] for each in ledger.audited(limit=2)] == at[-2:]


def test_entries_of_the_same_second_are_all_kept_in_their_order(ledger: Ledger) -> None:
    same = {"at": "2026-03-01T10:00:00Z", "token": 3}
    events = ["staged", "host", "host", "abort", "host"]
    for number, event in enumerate(events):
        ledger.audit({**same, "event": event, "number": number})
    ledger.audit({**same, "token": 12, "event": "a later holder"})
    found = ledger.audited()
    assert [each["event"] for each in found] == [*events, "a later holder"]
    assert [each["number"] for each in found[:-1]] == [0, 1, 2, 3, 4]


def test_equal_entries_of_many_at_once_are_all_kept(ledger: Ledger) -> None:
    entry = {"at": "2026-03-01T10:00:00Z", "event": "host", "token": 3}
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: ledger.audit(entry), range(30)))
    assert ledger.audited() == [entry] * 30


def test_an_entry_whose_answer_was_lost_is_kept_once(ledger: Ledger) -> None:
    sent = lose_the_first_answer(ledger, "PutItem")
    ledger.audit({"at": "2026-03-01T10:00:00Z", "event": "switched"})
    assert sent.count("PutItem") == 2
    assert [each["event"] for each in ledger.audited()] == ["switched"]


def test_nothing_is_cut_off_of_what_is_asked_for_whole(ledger: Ledger, lock: Lock) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ledger.put_deployment(_deployment(number), lock.token), range(1, 106)))
        entries = [{"at": "2026-03-01T10:00:00Z", "event": "x", "token": each} for each in range(1005)]
        list(pool.map(ledger.audit, entries))
    assert [each.number for each in ledger.deployments()] == list(range(105, 0, -1))
    assert ledger.audited() == entries


def _large() -> dict[str, Any]:
    noise = base64.b64encode(random.Random(7).randbytes(900_000)).decode()  # noqa: S311 - it must only not compress
    return {"Api": {"Resources": {"é": noise}}, "Compute": {"Resources": {}}}


def test_large_templates_come_back(ledger: Ledger, lock: Lock) -> None:
    ledger.put_templates("a1", _large(), lock.token)
    assert len(_items(ledger)) >= 3
    assert ledger.templates("a1") == _large()
    assert ledger.templates("a") is ledger.templates("a1#0") is None
    before = _items(ledger)
    ledger.put_templates("a1", {"Api": "something else"}, lock.token)
    assert _items(ledger) == before
    ledger.put_templates("a2", {}, lock.token)
    assert ledger.templates("a2") == {}


def test_templates_that_were_written_in_part_are_not_there_yet(ledger: Ledger, lock: Lock) -> None:
    client = ledger.cloud.client("dynamodb")
    ledger.put_templates("a1", _large(), lock.token)
    client.delete_item(TableName=ledger.items.table, Key={"pk": {"S": "templates"}, "sk": {"S": "a1#0"}})
    assert ledger.templates("a1") is None
    ledger.put_templates("a1", _large(), lock.token)
    assert ledger.templates("a1") == _large()
    client.delete_item(TableName=ledger.items.table, Key={"pk": {"S": "templates"}, "sk": {"S": "a1#1"}})
    with pytest.raises(ConfigurationError, match="where the templates of assembly a1 should be"):
        ledger.templates("a1")


def _by_hand(ledger: Ledger, pk: str, sk: str, **attributes: Any) -> None:
    item = {"pk": {"S": pk}, "sk": {"S": sk}, **attributes}
    ledger.cloud.client("dynamodb").put_item(TableName=ledger.items.table, Item=item)


KEYS = {
    "release": ("release", "r-1"),
    "deployment": ("deployment", "00000001"),
    "deployments": ("deployment", "00000001"),
    "operation": ("operation", "staging-1"),
    "serving": ("environment", "serving"),
    "audited": ("audit", "2026"),
    "templates": ("templates", "a1#0"),
    "look": ("lock", "lock"),
    "acquire": ("lock", "lock"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_record_of_a_newer_schema_names_the_version_that_reads_it(ledger: Ledger, name: str) -> None:
    _by_hand(ledger, *KEYS[name], schema={"N": "99"}, tool={"S": "7.4.0"}, body={"S": "{}"})
    with pytest.raises(ConfigurationError) as caught:
        READS[name](ledger)
    assert "records of schema 99, and this workflow knows 1" in caught.value.message
    assert "version 7.4.0 of the workflow or newer" in caught.value.hint


@pytest.mark.parametrize("name", KEYS)
def test_what_was_written_by_hand_is_told(ledger: Ledger, name: str) -> None:
    _by_hand(ledger, *KEYS[name], note={"S": "mine"})
    with pytest.raises(ConfigurationError) as caught:
        READS[name](ledger)
    assert "something else where" in caught.value.message
    assert "point-in-time recovery" in caught.value.hint

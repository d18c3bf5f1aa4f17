"""Deployments on bad days: accounts, ledger, hosts, disks, images and people break for real; what served serves."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import copied
from tests.containers.conftest import docker
from tests.containers.rehearsals import ACCOUNT, ENVIRONMENT, PROJECT, Rehearsal, answer, rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.timeout(900)]

DEPLOY = f"deploy.{ENVIRONMENT}"
BRIDGE = "172.17.0.1"
"""Where emulated AWS is, and the wire in front of it: the rehearsal's guard lets both be."""

SPY = """\
import glob, os, time
seen = set()
until = time.monotonic() + 60
while not os.path.exists("/tmp/enough") and time.monotonic() < until:
    for path in glob.glob("/proc/[0-9]*/cmdline") + glob.glob("/proc/[0-9]*/environ"):
        try:
            with open(path, "rb") as stream:
                seen.add(stream.read().replace(b"\\0", b" ").decode(errors="replace"))
        except OSError:
            pass
    time.sleep(0.02)
print("\\n".join(sorted(seen)))
"""
"""Collects the command lines and variables of all processes of a host, until a file is there."""

PASS, CUT, EXPIRED, OTHER_ACCOUNT = "pass", "cut", "expired", "other account"


class Asked(NamedTuple):
    """A request to AWS: the service by its signing name, and the action."""

    service: str
    action: str


class Wire:
    """What is between the workflow and emulated AWS: passes every request on, or does what `judge` says of it.

    Parameters
    ----------
    upstream:
        The emulator's port.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.judge: Callable[[Asked], str] = _pass
        self.asked: list[Asked] = []
        self._server = ThreadingHTTPServer((BRIDGE, 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://{BRIDGE}:{self._server.server_address[1]}"

    @contextmanager
    def broken(self, judge: Callable[[Asked], str]) -> Iterator[None]:
        """Break it for a while."""
        self.asked, self.judge = [], judge
        try:
            yield
        finally:
            self.judge = _pass

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _pass(_: Asked) -> str:
    return PASS


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - a class within
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            body = self._body()
            scope = re.search(r"Credential=\d+/\d+/[^/]+/([a-z0-9-]+)/", self.headers.get("Authorization", ""))
            named = re.search(rb"(?:^|&)Action=(\w+)", body)
            target = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
            asked = Asked(scope[1] if scope else "", target or (named[1].decode() if named else ""))
            verdict = wire.judge(asked)
            wire.asked.append(asked)
            if verdict == CUT:
                self.close_connection = True
                return
            if verdict == EXPIRED:
                self._answer(403 if not target else 400, *_expired(asked, target))
                return
            if verdict == OTHER_ACCOUNT:
                given = self.headers["Authorization"]
                del self.headers["Authorization"]
                self.headers["Authorization"] = given.replace(f"={ACCOUNT}/", "=999999999999/")
            self._forward(body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            pass

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            del self.headers["Transfer-Encoding"]
            return b"".join(parts)

        def _forward(self, body: bytes) -> None:
            dropped = {"connection", "content-length", "expect"}
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            upstream = http.client.HTTPConnection(BRIDGE, wire.upstream, timeout=60)
            try:
                upstream.request(self.command, self.path, body, {**headers, "Content-Length": str(len(body))})
                response = upstream.getresponse()
                text = response.read()
            except (OSError, http.client.HTTPException):
                self.close_connection = True
                return
            finally:
                upstream.close()
            self._answer(response.status, text, dict(response.getheaders()))

        def _answer(self, status: int, text: bytes, headers: dict[str, str]) -> None:
            self.send_response_only(status)
            kept = {"connection", "transfer-encoding"} | (set() if self.command == "HEAD" else {"content-length"})
            for name, value in headers.items():
                if name.lower() not in kept:
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(text)))
            with suppress(OSError):
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else text)

    return Handler


def _expired(asked: Asked, target: str) -> tuple[bytes, dict[str, str]]:
    """Return what AWS says to credentials that have expired, as the service's protocol says it."""
    text = "The security token included in the request is expired"
    if target or asked.service == "lambda":
        said = {"__type": "com.amazon.coral.service#ExpiredTokenException", "message": text}
        named = {"x-amzn-errortype": "ExpiredTokenException", "Content-Type": "application/x-amz-json-1.0"}
        return json.dumps(said).encode(), named
    error = f"<Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>{text}</Message></Error>"
    around = {"ec2": f"<Response><Errors>{error}</Errors></Response>", "s3": error}
    whole = around.get(asked.service, f"<ErrorResponse>{error}<RequestId>1</RequestId></ErrorResponse>")
    return whole.encode(), {"Content-Type": "text/xml"}


@dataclass
class Scene:
    """Two hosts with two verified deployments of two images, the second of which serves.

    Attributes
    ----------
    told:
        All that deploying the second said.
    processes:
        Command lines and variables of all processes that ran on the first host meanwhile.
    back:
        How a rollback ended while there was nothing to go back to.
    """

    place: Rehearsal
    wire: Wire
    told: str = ""
    processes: str = ""
    back: str = ""

    def look(self) -> dict[str, Any]:
        """Return what serves, by clients, hosts and ledger, past the workflow."""
        return {
            "answers": self.place.answers(),
            "colours": [self.place.host(number, "readlink", f"{self.folder}/colours/live") for number in (1, 2)],
            "serving": self.serving["source"] or self.serving["id"],
            "processor": self.place.alias(),
            "lock": self.lock,
        }

    @property
    def lock(self) -> str:
        return str(self.item("lock", "lock")["state"]["S"])

    @property
    def deployments(self) -> list[dict[str, Any]]:
        """The deployments in the ledger, oldest first."""
        found = self.place.aws("dynamodb").query(
            TableName=self.table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "deployment"}},
        )["Items"]
        return [json.loads(each["body"]["S"]) for each in found]

    @property
    def serving(self) -> dict[str, Any]:
        """The deployment that serves by the ledger."""
        id_ = json.loads(self.item("environment", "serving")["body"]["S"])["deployment"]
        return next(each for each in self.deployments if each["id"] == id_)

    @property
    def table(self) -> str:
        return f"{PROJECT}-{ENVIRONMENT}-ledger"

    @property
    def folder(self) -> str:
        """The workflow's folder on a host."""
        return f"/var/lib/{self.place.variables['PROXY_PROJECT']}-{ENVIRONMENT}"

    def item(self, kind: str, key: str) -> dict[str, Any]:
        found = self.place.aws("dynamodb").get_item(TableName=self.table, Key={"pk": {"S": kind}, "sk": {"S": key}})
        return dict(found["Item"])


@pytest.fixture(scope="module")
def made(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("bad-deploys")
    place = rehearsal(copied(folder / "project"), f"sbtest-{uuid.uuid4().hex[:10]}", folder / "home", folder / "state")
    wire = Wire(int(place.variables["EMULATOR_PORT"]))
    around = {"EMULATOR": "external", "AWS_ENDPOINT_URL": wire.url}
    try:
        place.up(2)
        place.variables.update(around)
        scene = Scene(place, wire)
        place.deploy("first")
        scene.back = place.run("rollback", code=3).stderr
        with watched(place) as processes:
            place.write("second")
            done = place.run(DEPLOY)
        scene.told, scene.processes = done.stdout + done.stderr, processes[0]
        yield scene
    finally:
        for name in around:
            place.variables.pop(name, None)
        place.down()
        wire.close()


@pytest.fixture
def scene(made: Scene) -> Iterator[Scene]:
    """Return the scene, and see that it is left as it was."""
    before = made.look()
    assert before["lock"] == "free"
    made.place.write("second")
    yield made
    after = made.look()
    if after["lock"] != "free":
        made.place.inv(*made.place.command(DEPLOY, "--abort"))
    assert after == before


@contextmanager
def watched(place: Rehearsal) -> Iterator[list[str]]:
    """Collect what runs on the first host meanwhile."""
    found: list[str] = []
    argv = ["docker", "exec", place.container(1), "python3", "-c", SPY]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        reader = threading.Thread(target=lambda: found.append(process.communicate(timeout=90)[0]))
        reader.start()
        try:
            yield found
        finally:
            place.host(1, "touch", "/tmp/enough")  # noqa: S108 - within the host
            reader.join(90)


@dataclass
class Until:
    """Looks again and again whether something is so, and remembers."""

    so: Callable[[], bool]
    well: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._ended.is_set() and not self.well:
            with suppress(OSError, AssertionError, http.client.HTTPException):
                self.well = self.so()
            self._ended.wait(0.01)

    def end(self) -> None:
        self._ended.set()


@contextmanager
def until(so: Callable[[], bool]) -> Iterator[Until]:
    watching = Until(so)
    thread = threading.Thread(target=watching.watch, daemon=True)
    thread.start()
    try:
        yield watching
    finally:
        watching.end()
        thread.join(10)


def changing(text: str) -> str:
    """Return the argument that makes a deployment another one, without building anything."""
    return f"--set=APP_ENV_GREETING={text}"


def outcomes(scene: Scene) -> list[str]:
    return [each["outcome"] for each in scene.deployments]


# Accounts and credentials


def test_credentials_of_another_account_change_nothing_and_both_accounts_are_named(scene: Scene) -> None:
    before = len(scene.deployments)
    with scene.wire.broken(lambda asked: OTHER_ACCOUNT if asked.service == "sts" else PASS):
        for done in (
            scene.place.run(DEPLOY, changing("x"), code=2),
            scene.place.run("rollback", code=2),
            scene.place.run("lock.acquire", "--reason=x", code=2),
        ):
            assert f"credentials belong to account 999999999999, but {ENVIRONMENT} is account {ACCOUNT}" in done.stderr
            assert f"(envs/{ENVIRONMENT}.env:" in done.stderr
            assert "Nothing was changed" in done.stderr
    assert len(scene.deployments) == before
    changed = {"TransactWriteItems", "PutItem", "UpdateItem", "CreateChangeSet"}
    assert not changed & {each.action for each in scene.wire.asked}


def test_credentials_that_expire_half_way_stop_it_and_it_can_be_taken_back_after_signing_in(scene: Scene) -> None:
    def expire(_: Asked) -> str:
        written = [each for each in scene.wire.asked if each.action == "TransactWriteItems"]
        return EXPIRED if len(written) >= 2 else PASS

    serving = scene.place.names()
    with scene.wire.broken(expire):
        said = scene.place.deploy("", changing("expired"), code=1)
    assert "The security token included in the request is expired" in said
    assert "The credentials have expired: sign in again (aws sso login)." in said
    assert scene.place.names() == serving
    assert scene.lock in {"held", "interrupted"}  # nobody could say so any more: its beat stands still
    assert "--resume" in scene.place.deploy("", changing("other"), "--lock-wait=10s", code=4)
    scene.place.run(DEPLOY, "--abort")
    assert outcomes(scene)[-1] == "aborted"


def test_credentials_that_have_expired_before_it_begins_are_wrong_configuration(scene: Scene) -> None:
    with scene.wire.broken(lambda _: EXPIRED):
        said = scene.place.deploy("", changing("x"), code=2)
    assert "sign in again (aws sso login)" in said


# The ledger


def test_a_ledger_that_is_lost_before_the_switch_stops_it_and_its_lock_is_nobodys_to_release(scene: Scene) -> None:
    def cut(asked: Asked) -> str:
        written = [each for each in scene.wire.asked if each.action == "TransactWriteItems"]
        return CUT if asked.service == "dynamodb" and len(written) >= 2 else PASS

    before = scene.look()
    with scene.wire.broken(cut):
        said = scene.place.deploy("", changing("unwritten"), code=1)
    assert f"The ledger {scene.table}" in said
    assert {name: value for name, value in scene.look().items() if name != "lock"} == {
        name: value for name, value in before.items() if name != "lock"
    }
    said = scene.place.run("lock.release", code=3).stderr
    assert f"The lock of {ENVIRONMENT} is an operation's" in said
    assert "--resume finishes it, --abort takes it back" in said
    scene.place.run(DEPLOY, "--abort", "--reason=the ledger was away")
    assert outcomes(scene)[-1] == "aborted"
    assert scene.place.json("audit")[-1]["why"] == "the ledger was away"


def test_a_ledger_that_is_lost_after_the_switch_does_not_stop_it_and_is_told_later(scene: Scene) -> None:
    place, before, serving = scene.place, scene.deployments[-1]["id"], scene.serving["id"]
    with (
        until(lambda: answer(place.hosts[0])["greeting"] == "late") as switched,
        scene.wire.broken(lambda asked: CUT if switched.well and asked.service == "dynamodb" else PASS),
    ):
        said = place.deploy("", changing("late"), code=1)
    assert "the ledger could not be told" in said
    assert f"inv {DEPLOY} --resume records it" in said
    assert {each["greeting"] for each in place.answers()} == {"late"}
    place.run(DEPLOY, "--resume")
    newest = scene.deployments[-1]
    assert newest["id"] != before
    assert (newest["outcome"], newest["verified"]) == ("succeeded", True)
    assert {each["greeting"] for each in place.answers()} == {"late"}
    place.run("rollback", f"--to={serving}")


# Hosts


def test_a_host_that_is_down_stops_it_before_anything_is_changed(scene: Scene) -> None:
    place, before = scene.place, len(scene.deployments)
    docker("kill", place.container(2))
    try:
        said = place.deploy("", changing("x"), code=1)
        assert f"{place.container(2)} ({place.hosts[1]}): no SSH connection to port 22" in said
        assert "Is it running?" in said
        assert answer(place.hosts[0])["name"] == "second"
        assert (scene.lock, len(scene.deployments)) == ("free", before)
    finally:
        docker("start", place.container(2))
        with until(lambda: answer(place.hosts[1])["name"] == "second") as back:
            deadline = time.monotonic() + 30
            while not back.well and time.monotonic() < deadline:
                time.sleep(0.05)
    assert back.well  # at boot, by itself


def test_a_host_with_another_key_or_one_that_is_not_known_is_not_trusted(scene: Scene, tmp_path: Path) -> None:
    place = scene.place
    known = tmp_path / "known_hosts"
    lines = (Path(place.variables["STATE_DIR"]) / "ssh" / "known_hosts").read_text(encoding="utf-8").splitlines()
    first, second = (next(line for line in lines if line.startswith(f"{each} ")) for each in place.hosts)
    swapped = f"{second.split(' ')[0]} {first.split(' ', 1)[1]}"
    known.write_text(f"{first}\n{swapped}\n", encoding="utf-8")
    said = place.deploy("", changing("x"), code=1, HOSTS_KNOWN_HOSTS=str(known))
    assert f"{place.container(2)} ({place.hosts[1]}): its host key is not the one known" in said
    assert "another machine, or somebody in between. Nothing was sent to it." in said
    assert f"correct {known}" in said
    known.write_text(f"{first}\n", encoding="utf-8")
    said = place.deploy("", changing("x"), code=1, HOSTS_KNOWN_HOSTS=str(known))
    assert f"{place.container(2)} ({place.hosts[1]})" in said
    assert "known_hosts" in said
    assert f"add it to {known}" in said


def test_an_engine_that_stopped_is_named_with_its_host_and_the_others_stay_as_they_are(scene: Scene) -> None:
    place = scene.place
    place.host(2, "mv", "/run/docker.sock", "/run/docker.sock.away")
    try:
        said = place.deploy("", changing("x"), code=1)
    finally:
        place.host(2, "mv", "/run/docker.sock.away", "/run/docker.sock")
    assert f"{place.container(2)} ({place.hosts[1]})" in said
    assert "its engine does not run" in said
    assert "systemctl restart docker" in said
    assert "Nothing was changed" in said


def test_a_disk_that_is_full_of_images_is_said_and_what_served_serves(scene: Scene) -> None:
    place = scene.place
    full = "mount -t tmpfs -o size=64k tmpfs /var/lib/docker/tmp && (cat /dev/zero > /var/lib/docker/tmp/.full || true)"
    place.host(2, "sh", "-c", full)
    try:
        said = place.deploy("third", code=5)
    finally:
        place.host(2, "umount", "/var/lib/docker/tmp")
    assert f"{place.container(2)} ({place.hosts[1]})" in said
    assert "no space left on device" in said
    assert "Free some space there" in said
    assert "serves, as before" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_disk_that_is_full_here_is_said_and_what_served_serves(scene: Scene) -> None:
    place, before = scene.place, scene.look()
    cache = place.checkout.root / ".soundbite" / "cache"
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(cache)], check=True)
    try:
        with suppress(OSError), (cache / "full").open("wb") as stream:
            while True:
                stream.write(bytes(4096))
        said = place.deploy("tight", processor="tight", code=1)
    finally:
        subprocess.run(["umount", str(cache)], check=True)
    assert "no space left" in said.lower()
    assert "Free some space" in said
    assert scene.look() == before


def test_a_disk_that_is_full_where_deployments_are_kept_is_said_and_what_served_serves(scene: Scene) -> None:
    place, kept = scene.place, f"{scene.folder}/deployments"
    fill = f"cp -a {kept} /kept && mount -t tmpfs -o size=1m,mode=700 tmpfs {kept} && cp -a /kept/. {kept}/ && "
    fill += f"(cat /dev/zero > {kept}/.full || true)"
    place.host(2, "sh", "-c", fill)
    try:
        said = place.deploy("", changing("x"), code=5)
    finally:
        place.host(2, "sh", "-c", f"umount {kept}; rm -r /kept")
    assert f"{place.container(2)} ({place.hosts[1]})" in said
    assert "No space left on device" in said
    assert "Free some space there" in said


# Images and configuration


@pytest.mark.parametrize(
    ("ailment", "words"),
    [("broken", "/health: 500: broken within"), ("deaf", "is not ready after 2 s")],
)
def test_an_application_that_does_not_answer_well_never_serves(scene: Scene, ailment: str, words: str) -> None:
    said = scene.place.deploy(f"third {ailment}", code=5, APP_START_TIMEOUT="2s")
    assert words in said
    assert "serves, as before" in said
    assert outcomes(scene)[-1] == "failed"


def test_an_nginx_configuration_that_fails_its_test_is_not_used(scene: Scene) -> None:
    place = scene.place
    path = place.checkout.root / "compose" / "nginx" / "hosts" / "nginx.conf"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("keepalive_timeout 75s;", "keepalive_timeout seventy;"), encoding="utf-8")
    try:
        said = place.deploy(code=5)
    finally:
        path.write_text(good, encoding="utf-8")
    assert "nginx refuses its new configuration, so it is not used" in said
    assert "keepalive_timeout" in said
    for number in (1, 2):
        assert "seventy" not in place.host(number, "cat", f"{scene.folder}/proxy/nginx.conf")
        inside = place.host(number, "docker", "ps", "--quiet", "--filter", "name=-proxy-").split()
        tested = place.host(number, "docker", "exec", inside[0], "nginx", "-c", "/etc/soundbite/nginx.conf", "-T")
        assert "keepalive_timeout 75s;" in tested


def test_a_secret_that_was_deleted_is_said_before_anything_is_changed(scene: Scene) -> None:
    place, before = scene.place, len(scene.deployments)
    client, name = place.aws("secretsmanager"), f"soundbite/{ENVIRONMENT}/metrics"
    client.delete_secret(SecretId=name, RecoveryWindowInDays=7)
    try:
        for done in (place.run(DEPLOY, changing("x"), code=2), place.run("rollback", "--plan", code=2)):
            assert f"METRICS_TOKEN=secretsmanager:{name}#token" in done.stderr
            assert "Nothing was changed" in done.stderr
    finally:
        client.restore_secret(SecretId=name)
    assert len(scene.deployments) == before


def test_an_image_that_is_gone_is_said_before_a_rollback_changes_anything(scene: Scene) -> None:
    place, before = scene.place, len(scene.deployments)
    first = scene.deployments[0]
    manifest = Manifest(first["image"])
    manifest.delete()
    try:
        said = place.run("rollback", f"--to={first['id']}", code=2).stderr
    finally:
        manifest.put()
    assert f"{first['id']} cannot be gone back to" in said
    assert manifest.digest in said
    assert len(scene.deployments) == before
    assert place.json("rollback", "--plan", f"--to={first['id']}")["to"] == first["id"]


class Manifest:
    """An image's manifest in the registry, to be taken away and put back."""

    _TYPES = ", ".join(
        f"application/vnd.{each}+json"
        for each in (
            *("docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2"),
            *("oci.image.manifest.v1", "oci.image.index.v1"),
        )
    )

    def __init__(self, image: str) -> None:
        repository, _, self.digest = image.partition("@")
        self._place, _, name = repository.partition("/")
        self._path = f"/v2/{name}/manifests/{self.digest}"
        _, headers, self._text = self._ask("GET", 200)
        self._type = headers["Content-Type"]

    def delete(self) -> None:
        self._ask("DELETE", 202)

    def put(self) -> None:
        self._ask("PUT", 201, self._text)

    def _ask(self, method: str, wanted: int, body: bytes | None = None) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection(self._place, timeout=10)
        headers = {"Content-Type": self._type} if body else {"Accept": self._TYPES}
        connection.request(method, self._path, body, headers)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        assert response.status == wanted, (response.status, text)
        return response.status, response.headers, text


# Arguments


@pytest.mark.parametrize(
    ("task", "argument", "code", "says"),
    [
        ("rollback", "--to=nonsense", 2, "'nonsense' is not the id of a deployment, such as dev-aws-deployed-7."),
        ("rollback", "--to=dev-aws-deployed-999", 2, "dev-aws-deployed has no deployment dev-aws-deployed-999."),
        ("rollback", "--to=staging-1", 2, "staging-1 is a deployment of staging, not of dev-aws-deployed."),
        (DEPLOY, "--release=r-nope", 2, "dev-aws-deployed never verified a release r-nope."),
        (DEPLOY, "--resume", 3, "Nothing of dev-aws-deployed was interrupted: its lock is free."),
        (DEPLOY, "--abort", 3, "Nothing of dev-aws-deployed was interrupted: its lock is free."),
    ],
)
def test_what_is_not_there_is_refused(made: Scene, task: str, argument: str, code: int, says: str) -> None:
    before = len(made.deployments)
    assert says in made.place.run(task, argument, code=code).stderr
    assert (made.lock, len(made.deployments)) == ("free", before)


def test_there_is_nothing_to_go_back_to_where_nothing_was_before_or_it_serves_already(scene: Scene) -> None:
    assert f"{ENVIRONMENT} has no verified deployment before {ENVIRONMENT}-1 that is not bad." in scene.back
    assert f"inv history --env={ENVIRONMENT} lists all" in scene.back
    serving = scene.serving["id"]
    assert f"{serving} is what serves." in scene.place.run("rollback", f"--to={serving}", code=3).stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([DEPLOY, "--plan", "--resume"], "--plan and --resume are different things."),
        ([DEPLOY, "--plan", "--resume", "--abort"], "--plan and --resume and --abort are different things."),
        (["deploy"], "Say which environment."),
        (["deploy", "--env=dev-aws"], "dev-aws is not deployed: its application runs on this machine ("),
        (["deploy", "--env=stagin"], "There is no environment 'stagin'; did you mean staging?"),
        ([DEPLOY, "--lock-wait=soon"], "not 'soon'"),
        ([DEPLOY, "--set=APP_ENV_GREETING"], "--set=APP_ENV_GREETING has no value."),
        ([DEPLOY, "--set=APP_PROT=1"], "APP_PORT"),
        (["lock.acquire", f"--env={ENVIRONMENT}"], "Say why"),
    ],
)
def test_wrong_arguments_are_refused_in_words(made: Scene, words: list[str], says: str) -> None:
    done = made.place.inv(*words, "--rehearse")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_where_an_environment_wants_a_yes_and_nobody_can_say_it_nothing_is_changed(scene: Scene) -> None:
    place, before = scene.place, len(scene.deployments)
    for task, more in ((DEPLOY, changing("unasked")), ("rollback", f"--to={scene.deployments[0]['id']}")):
        said = place.run(task, more, code=2, CONFIRM="yes").stderr
        assert "There is no terminal to ask at. Nothing was changed." in said
        assert "--yes goes on without asking." in said
        assert f"{ENVIRONMENT} in account {ACCOUNT}" in said
    assert (scene.lock, len(scene.deployments)) == ("free", before)


# People


def test_a_persons_lock_keeps_everybody_out_until_it_is_released(scene: Scene) -> None:
    place, before = scene.place, len(scene.deployments)
    place.run("lock.acquire", "--reason=freeze until Monday")
    try:
        told = place.json("lock.status")
        assert (told["state"], told["reason"]) == ("kept", "freeze until Monday")
        for task, words in (
            (DEPLOY, [changing("x")]),
            (DEPLOY, [changing("x"), "--lock-wait=1s"]),
            ("rollback", []),
            (DEPLOY, ["--abort"]),
        ):
            said = place.run(task, *words, code=4).stderr
            assert f"arn:aws:iam::{ACCOUNT}:" in said
            assert "freeze until Monday" in said
            assert f"inv lock.release --env={ENVIRONMENT} releases it." in said
    finally:
        place.run("lock.release")
    assert (scene.lock, len(scene.deployments)) == ("free", before)


# Secrets


def test_no_secret_is_seen_anywhere_but_in_its_file(scene: Scene) -> None:
    place = scene.place
    text = place.aws("secretsmanager").get_secret_value(SecretId=f"soundbite/{ENVIRONMENT}/metrics")["SecretString"]
    secret = json.loads(text)["token"]
    assert len(secret) > 20
    assert "switch" in scene.told
    assert secret not in scene.told
    assert "agent.pyz serve" in scene.processes
    assert secret not in scene.processes
    pages = place.aws("dynamodb").get_paginator("scan").paginate(TableName=scene.table)
    items = [item for page in pages for item in page["Items"]]
    assert any(item["pk"]["S"] == "operation" for item in items)
    assert secret not in json.dumps(items, default=str)
    for number in (1, 2):
        ids = place.host(number, "docker", "ps", "--all", "--quiet").split()
        assert len(ids) == 2  # what serves, and the proxy
        assert secret not in place.host(number, "docker", "inspect", *ids)
        places = ("/var/lib", "/tmp", "/run", "/etc", "/root")  # noqa: S108 - within the host
        grep = ["grep", "-rsl", "--exclude-dir=netns", "--exclude-dir=overlay2", "--", secret, *places]
        found = docker("exec", place.container(number), *grep, check=False).split()
        assert found
        for each in found:
            assert re.fullmatch(rf"{scene.folder}/deployments/{ENVIRONMENT}-\d+/secrets/METRICS_TOKEN", each), each
            assert place.host(number, "stat", "-c", "%a %U", each.rpartition("/")[0]) == "700 root"
    own = [path for path in (place.checkout.root / ".soundbite").rglob("*") if path.is_file()]
    assert not [path for path in own if secret.encode() in path.read_bytes()]

"""All environments side by side on one engine: what they promise of each other, and the days on which they cannot run.

Each test is one long journey in steps, because what it stands on (stacks in four accounts, five containers) costs more
than the steps.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest

from soundbite import web
from tests.conftest import ROOT, Inv, free_ports
from tests.containers.conftest import docker, remove
from tests.containers.registries import RegistryServer
from tests.integration.conftest import Running, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(1200)

ACCOUNTS = {
    "dev-localstack": "000000000000",
    "dev-aws": "111111111111",
    "dev-aws-deployed": "111111111111",
    "staging": "222222222222",
    "production": "333333333333",
}
PATHS = {name: "prod" if name == "production" else name for name in ACCOUNTS}
LONG = 240
"""Seconds that a whole `inv dev.multienv` may take on a busy machine; how long it takes is asserted by itself."""
MIB = 2**20
MOST_MEMORY = 1536 * MIB
UNITS = {"B": 1, "kB": 1000, "KiB": 2**10, "MB": 10**6, "MiB": MIB, "GB": 10**9, "GiB": 2**30}
ASK = """
const ask = ([name, host, port, path, as]) => new Promise((done) => {
  const request = require('node:http').get({ host, port, path, headers: { Host: as }, timeout: 3000 }, (answer) => {
    let text = '';
    answer.on('data', (part) => (text += part)).on('end', () => done([name, answer.statusCode, text.slice(0, 300)]));
  });
  request.on('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', (error) => done([name, 0, String(error.code ?? error.message)]));
});
Promise.all(JSON.parse(process.argv[1]).map(ask)).then((all) => console.log(JSON.stringify(all)));
"""
"""Asks addresses from inside a container: name, host, port, path, and the Host to say."""


@dataclass
class Fleet:
    """A rehearsal of a test's own: names, ports and state that nobody shares."""

    name: str
    state: Path
    proxy: int
    emulator: int
    root: Path = ROOT
    more: dict[str, str] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)

    @property
    def inv(self) -> Inv:
        own = {
            "PROXY_PROJECT": self.name,
            "PROXY_PORT": str(self.proxy),
            "EMULATOR_PORT": str(self.emulator),
            "STATE_DIR": str(self.state),
        }
        return Inv(self.root, own | self.more)

    def up(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.inv("dev.multienv", "--json", timeout=LONG, **more)

    def start(self) -> Running:
        """Begin to bring it up."""
        self.running.append(Running(self.inv.start("dev.multienv")))
        return self.running[-1]

    def down(self) -> subprocess.CompletedProcess[str]:
        return self.inv("dev.multienv", "--down", timeout=LONG)

    def project(self, environment: str) -> str:
        return f"{self.name}-{environment}"

    def container(self, environment: str) -> str:
        return f"{self.name}-proxy-1" if environment == "proxy" else f"{self.project(environment)}-api-1"

    def url(self, environment: str) -> str:
        return f"http://127.0.0.1:{self.proxy}/{PATHS[environment]}"

    def get(self, environment: str, path: str, **headers: str) -> httpx.Response:
        return web.get(f"{self.url(environment)}{path}", 20, headers=headers)

    def containers(self) -> list[str]:
        """Return the names of its containers: one that is going may be listed and no longer be known."""
        return docker("ps", "-a", "--filter", f"name={self.name}", "--format", "{{.Names}}").split()

    def inspected(self) -> dict[str, dict[str, Any]]:
        """Return what the engine knows of each container, by its name."""
        names = self.containers()
        found = json.loads(docker("inspect", *names)) if names else []
        return {each["Name"].lstrip("/"): each for each in found}

    def processes(self) -> list[psutil.Process]:
        """Return the processes of the emulator, its functions, and any `inv` of ours."""
        found = []
        for process in psutil.process_iter():
            try:
                where = f"{' '.join(process.cmdline())} {process.environ().get('STATE_DIR', '')}"
                gone = process.status() == psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if str(self.state) in where and process.pid != os.getpid() and not gone:
                found.append(process)
        return found

    def left(self) -> list[str]:
        """Return everything that there is of it: containers, networks, volumes, processes."""
        listed = [f"container {each}" for each in self.containers()]
        for kind in ("network", "volume"):
            names = docker(kind, "ls", "--filter", f"name={self.name}", "--format", "{{.Name}}").split()
            listed += [f"{kind} {each}" for each in names]
        for process in self.processes():
            try:
                listed.append(f"process {process.pid} {' '.join(process.cmdline())[:150]}")
            except psutil.Error:
                continue
        return listed

    def destroy(self) -> None:
        """Leave nothing behind, whatever happened."""
        for each in self.running:
            if each.process.poll() is None:
                each.end(signal.SIGKILL, LONG)
        self.down()
        for process in self.processes():
            try:
                process.kill()
            except psutil.Error:
                continue
        remove(self.name)
        shutil.rmtree(self.state, ignore_errors=True)


@pytest.fixture
def fleet(engine: str, bridge: str, tmp_path: Path) -> Iterator[Fleet]:
    proxy, emulator = free_ports(2)
    made = Fleet(f"sbtest-{uuid.uuid4().hex[:10]}", tmp_path / "state", proxy, emulator)
    yield made
    made.destroy()


@pytest.fixture
def registry(engine: str, tmp_path: Path) -> Iterator[RegistryServer]:
    with RegistryServer(tmp_path / "registry") as server:
        yield server
        for line in docker("images", "--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}").splitlines():
            repository, tag, digest = line.split()
            if repository.startswith(f"{server.host}/"):
                names = [f"{repository}:{tag}"] if tag != "<none>" else []
                docker("rmi", "-f", *names, f"{repository}@{digest}", check=False)


def _pushed(fleet: Fleet, registry: RegistryServer) -> str:
    """Build and push what all run; return the digest that the registry has."""
    fleet.more["IMAGE_REPOSITORY"] = f"{registry.host}/soundbite/api"
    done = fleet.inv("build", "--env=staging", "--push", "--rehearse", timeout=600)
    assert done.returncode == 0, done.stderr
    with httpx.Client(base_url=f"{registry.url}/v2/soundbite/api", trust_env=False, timeout=20) as client:
        (tag,) = client.get("/tags/list").json()["tags"]
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        return client.head(f"/manifests/{tag}", headers=accept).headers["Docker-Content-Digest"]


def _from_inside(container: str, asked: list[tuple[str, str, int, str, str]]) -> dict[str, tuple[int, str]]:
    told = json.loads(docker("exec", container, "node", "-e", ASK, json.dumps(asked)))
    return {name: (status, text) for name, status, text in told}


def _undisturbed(ask: Callable[[], dict[str, tuple[int, str]]]) -> dict[str, tuple[int, str]] | None:
    """Return what was answered; None if the engine made a network within two seconds of it."""
    since = time.time() - 2
    answers = ask()
    when = ["--since", f"{since:.3f}", "--until", f"{time.time() + 2:.3f}"]
    made = docker("events", *when, "--filter", "type=network", "--filter", "event=create", "--format", "{{.Actor.ID}}")
    return None if made else answers


def _bytes(text: str) -> float:
    number = text.rstrip("BkKMGi")
    return float(number) * UNITS[text.removeprefix(number)]


def _memory(fleet: Fleet) -> tuple[float, float]:
    """Return the bytes that all containers use, and those that the emulator and its functions do."""
    names = list(fleet.inspected())
    lines = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", *names).splitlines()
    assert len(lines) == len(names)
    here = 0.0
    for process in fleet.processes():
        try:
            here += process.memory_full_info().uss
        except psutil.Error:
            continue
    return sum(_bytes(line.split(" / ")[0].strip()) for line in lines), here


def _spoken(fleet: Fleet) -> dict[str, str]:
    """Speak a clip in each environment, through the proxy; return their ids."""
    ids = {}
    for name in ACCOUNTS:
        url, body, key = f"{fleet.url(name)}/soundbite", {"text": f"This is {name}."}, str(uuid.uuid4())
        posted = httpx.post(url, json=body, headers={"Idempotency-Key": key}, timeout=20, trust_env=False)
        assert posted.status_code == 202, posted.text
        ids[name] = posted.json()["id"]

    def ready(name: str) -> dict[str, Any]:
        clip = fleet.get(name, f"/soundbite/{ids[name]}").json()
        assert clip["status"] in {"pending", "ready"}, clip
        return clip if clip["status"] == "ready" else {}

    for name in ACCOUNTS:
        clip = until(partial(ready, name), f"the clip of {name} to be ready")
        audio = web.get(clip["url"], 20)
        assert audio.status_code == 200
        assert audio.content[:4] == b"RIFF"
    return ids


def _listening(connections: Iterable[Any]) -> set[tuple[str, int]]:
    return {(each.laddr.ip, each.laddr.port) for each in connections if each.status == psutil.CONN_LISTEN}


def test_five_environments_side_by_side(fleet: Fleet, registry: RegistryServer, bridge: str) -> None:  # noqa: PLR0915
    digest = _pushed(fleet, registry)
    started = time.monotonic()
    umask = os.umask(0o077)  # the strictest: what containers read must be readable all the same
    try:
        done = fleet.up()
    finally:
        os.umask(umask)
    print(f"five environments up from nothing: {time.monotonic() - started:.1f} s")  # noqa: T201
    assert done.returncode == 0, done.stderr
    told = {each["environment"]: each for each in json.loads(done.stdout)}
    assert {name: each["account"] for name, each in told.items()} == ACCOUNTS

    # By path and by name, each says who it is, and that it is the image of the registry.
    for name in ACCOUNTS:
        assert told[name]["url"] == fleet.url(name)
        assert told[name]["host"] == f"http://{name}.localhost:{fleet.proxy}"
        assert told[name]["image"] == f"{registry.host}/soundbite/api@{digest}"
        root = f"http://127.0.0.1:{fleet.proxy}"
        answers = [fleet.get(name, "/health"), fleet.get(name, "/health/ready")]
        hosts = f"{name}.localhost:{fleet.proxy}", f"{PATHS[name]}.localhost"
        answers += [web.get(f"{root}/health", 20, headers={"Host": host}) for host in hosts]
        assert [each.status_code for each in answers] == [200] * len(answers)
        for each in (answers[0], *answers[2:]):
            assert (each.json()["environment"], each.json()["release"]) == (name, digest)
        moved = web.get(f"{root}/{PATHS[name]}", 20)
        assert (moved.status_code, moved.headers["location"].rpartition("/")[0][-len(PATHS[name]) :]) == (
            308,
            PATHS[name],
        )
    nobody = web.get(f"http://127.0.0.1:{fleet.proxy}/other/health", 20)
    assert (nobody.status_code, nobody.text) == (404, "There is no such environment.\n")

    # A clip of each, which no other environment has: not even the one in the same account.
    ids = _spoken(fleet)
    for name, clip in ids.items():
        found = {other for other in ACCOUNTS if fleet.get(other, f"/soundbite/{clip}").status_code == 200}
        assert found == {name}

    # Every container is what its compose files promise, and gets its secret as a file.
    containers = fleet.inspected()
    assert set(containers) == {fleet.container(name) for name in (*ACCOUNTS, "proxy")}
    intervals = {"dev-localstack": 10, "dev-aws": 300, "dev-aws-deployed": 120, "staging": 60, "production": 30}
    for name in ACCOUNTS:
        config, host = containers[fleet.container(name)]["Config"], containers[fleet.container(name)]["HostConfig"]
        assert config["Healthcheck"]["Interval"] == intervals[name] * 10**9
        assert config["Healthcheck"]["Test"] == ["CMD", "node", "/app/healthcheck.mjs"]
        assert config["User"] == "1000:1000"
        assert host["ReadonlyRootfs"] is True
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert host["PortBindings"] in ({}, None)
        networks = containers[fleet.container(name)]["NetworkSettings"]["Networks"]
        assert list(networks) == [fleet.project(name)]
    everything = json.dumps(containers)
    for name in ("dev-aws-deployed", "staging", "production"):
        secret = fleet.state / name / "compose" / "secrets" / "METRICS_TOKEN"
        token = secret.read_text()
        assert len(token) > 20
        assert token not in everything
        assert token not in done.stdout + done.stderr
        assert token not in (fleet.state / name / "compose" / "values.json").read_text()
        assert secret.parent.stat().st_mode & 0o777 == 0o700
        assert fleet.get(name, "/metrics").status_code == 401
        assert fleet.get(name, "/metrics", Authorization=f"Bearer {token}").status_code == 200

    # Only this machine is listened on.
    listening = _listening(psutil.net_connections("tcp"))
    assert {ip for ip, port in listening if port == fleet.proxy} == {"127.0.0.1"}
    assert {ip for ip, port in listening if port == fleet.emulator} == {bridge}
    for process in fleet.processes():
        assert {ip for ip, _ in _listening(process.net_connections("tcp"))} <= {"127.0.0.1", bridge}, process

    # From inside one: emulated AWS and itself, but no way to another, nor round by the proxy.
    addresses = {
        name: each["IPAddress"]
        for container in containers.values()
        for name, each in container["NetworkSettings"]["Networks"].items()
        if container["Name"] != f"/{fleet.container('proxy')}"
    }
    of_proxy = containers[fleet.container("proxy")]["NetworkSettings"]["Networks"]
    production, here = fleet.project("production"), of_proxy[fleet.project("staging")]
    inside_asked = partial(
        _from_inside,
        fleet.container("staging"),
        [
            ("itself", "api", 3000, "/health", "api"),
            ("aws", bridge, fleet.emulator, "/_ministack/ready", bridge),
            ("by address", addresses[production], 3000, "/health", "api"),
            ("by name", fleet.container("production"), 3000, "/health", "api"),
            ("by path", here["IPAddress"], 8080, "/prod/health", "localhost"),
            ("by host", fleet.container("proxy"), 8080, "/health", "production.localhost"),
            ("by itself", here["IPAddress"], 8080, "/staging/health", "localhost"),
            ("other side", of_proxy[production]["IPAddress"], 8080, "/prod/health", "localhost"),
            ("published", here["Gateway"], fleet.proxy, "/prod/health", "localhost"),
            ("bridge", bridge, fleet.proxy, "/prod/health", "localhost"),
        ],
    )
    # While the engine makes a network, of another test for example, it takes away its own rule that keeps them apart
    # for a moment (docs/limits.md): an answer counts when none was made about then, and then it must be the right one.
    answers_inside = until(lambda: _undisturbed(inside_asked), "a moment in which no network is made", LONG)
    assert json.loads(answers_inside["itself"][1])["environment"] == "staging"
    reached = {name: status for name, (status, _) in answers_inside.items() if status}
    assert reached == {"itself": 200, "aws": 200, "by path": 403, "by host": 403, "by itself": 403}

    # With a clip spoken in each, all of it fits.
    inside, outside = _memory(fleet)
    print(f"memory: containers {inside / MIB:.0f} MiB, emulator and functions {outside / MIB:.0f} MiB")  # noqa: T201
    assert outside > 0
    assert inside + outside <= MOST_MEMORY

    # Again: nothing changes, and it is quick.
    started = time.monotonic()
    again = fleet.up()
    print(f"again: {time.monotonic() - started:.1f} s")  # noqa: T201
    assert again.returncode == 0, again.stderr
    assert time.monotonic() - started < 90
    assert json.loads(again.stdout) == json.loads(done.stdout)
    assert {name: (each["Id"], each["State"]["StartedAt"]) for name, each in fleet.inspected().items()} == {
        name: (each["Id"], each["State"]["StartedAt"]) for name, each in containers.items()
    }

    # A setting changes: the applications are made again, and the proxy, which is not, finds them.
    changed = fleet.up(APP_ENV_RATE_WINDOW_SECONDS="61")
    assert changed.returncode == 0, changed.stderr
    now = fleet.inspected()
    assert all(now[fleet.container(name)]["Id"] != containers[fleet.container(name)]["Id"] for name in ACCOUNTS)
    assert now[fleet.container("proxy")]["Id"] == containers[fleet.container("proxy")]["Id"]
    assert fleet.get("staging", f"/soundbite/{ids['staging']}").status_code == 200

    # Down: nothing is left, and that is said when asked again.
    gone = fleet.down()
    assert gone.returncode == 0, gone.stderr
    assert "state saved" in gone.stderr
    assert fleet.left() == []
    assert not list(fleet.state.rglob("METRICS_TOKEN"))
    once_more = fleet.down()
    assert once_more.returncode == 0
    assert "Nothing of it runs." in once_more.stderr


def test_the_proxys_port_taken_by_a_process(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", fleet.proxy)):
        done = fleet.up()
    assert done.returncode == 1
    assert f"Port {fleet.proxy} (PROXY_PORT) is taken by " in done.stderr
    assert f"(pid {os.getpid()}: " in done.stderr
    assert f"PROXY_PORT={fleet.proxy + 1} inv …, for good in envs/rehearsal.env." in done.stderr
    assert fleet.left() == []


def test_the_proxys_port_taken_by_a_container(fleet: Fleet, unique: str) -> None:
    docker("run", "-d", "--name", unique, "-p", f"127.0.0.1:{fleet.proxy}:80", "nginx:1.26.3")
    done = fleet.up()
    assert done.returncode == 1
    assert f"Port {fleet.proxy} (PROXY_PORT) is taken by the container {unique}." in done.stderr
    assert fleet.left() == []


def test_the_emulators_port_taken(fleet: Fleet, bridge: str) -> None:
    with socket.create_server((bridge, fleet.emulator)):
        done = fleet.up()
    assert done.returncode == 1
    assert f"Port {fleet.emulator} (EMULATOR_PORT) is taken by " in done.stderr
    assert f"(pid {os.getpid()}: " in done.stderr
    assert "for good in envs/rehearsal.env." in done.stderr
    assert fleet.left() == []


@pytest.mark.parametrize("which", ["staging", ""])
def test_a_compose_project_of_somebody_else_is_left_alone(fleet: Fleet, unique: str, which: str) -> None:
    name = fleet.project(which) if which else fleet.name
    label = f"--label=com.docker.compose.project={name}"
    theirs = docker("run", "-d", "--name", unique, label, "nginx:1.26.3")
    # What an earlier run of ours left does not make theirs ours.
    for place in ("proxy", "staging/compose"):
        (fleet.state / place).mkdir(parents=True)
        (fleet.state / place / "values.json").write_text('{"services": {}}')
    done = fleet.up()
    assert done.returncode == 1
    assert f"There is a compose project {name} already, of somebody else: {unique}. It was left alone." in done.stderr
    assert "PROXY_PROJECT=" in done.stderr
    down = fleet.down()
    assert down.returncode == 0, down.stderr
    assert docker("inspect", "--format", "{{.Id}} {{.State.Running}}", unique) == f"{theirs} true"
    assert fleet.left() == []


def _copy(fleet: Fleet, project: Path, environment: str, **settings: str) -> Fleet:
    """Return the fleet as a copy of the checkout sees it, in which one environment's file is different."""
    path = project / "envs" / f"{environment}.env"
    kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in settings]
    path.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in settings.items())]) + "\n")
    (project / ".soundbite").mkdir(exist_ok=True)
    if not (project / ".soundbite" / "cache").exists():
        (project / ".soundbite" / "cache").symlink_to(ROOT / ".soundbite" / "cache")
    return Fleet(fleet.name, fleet.state, fleet.proxy, fleet.emulator, project, dict(fleet.more))


def test_bad_days(fleet: Fleet, project: Path) -> None:
    # SIGTERM while stacks are deployed.
    up = fleet.start()
    up.wait_for("✓ emulator", LONG)
    assert up.end(signal.SIGTERM, LONG) == 143
    assert "Interrupted." in up.output
    assert "Traceback" not in up.output
    assert fleet.left() == []

    # SIGTERM while containers start.
    up = fleet.start()
    until(lambda: fleet.containers() or up.process.poll() is not None, "a container", LONG)
    assert up.end(signal.SIGTERM, LONG) == 143, up.output
    assert "Traceback" not in up.output
    assert fleet.left() == []

    # SIGKILL while containers start: the next one takes over what is there.
    up = fleet.start()
    until(lambda: fleet.containers() or up.process.poll() is not None, "a container", LONG)
    assert up.end(signal.SIGKILL, LONG) == -signal.SIGKILL
    assert fleet.left() != []
    done = fleet.up()
    assert done.returncode == 0, done.stderr
    assert {each["answers"]["environment"] for each in json.loads(done.stdout)} == set(ACCOUNTS)
    before = {name: each["Id"] for name, each in fleet.inspected().items()}

    # One that ends for good, while the others run: they stay as they were, for this run did not start them.
    broken = _copy(fleet, project, "dev-aws", APP_ENV_LOG_LEVEL="nonsense")
    started = time.monotonic()
    failed = broken.up()
    assert time.monotonic() - started < 120
    _says_what_it_said(failed, "dev-aws", "LOG_LEVEL", "nothing; the container is exited, exit code 1")
    after = {name: each["Id"] for name, each in fleet.inspected().items()}
    assert {name for name in before if before[name] != after.get(name)} <= {fleet.container("dev-aws")}
    assert fleet.get("staging", "/health").status_code == 200

    # One that runs and never gets ready, and nothing ran before: all of it is taken down.
    assert fleet.down().returncode == 0
    _copy(fleet, project, "dev-aws", APP_ENV_LOG_LEVEL="info")
    broken = _copy(fleet, project, "staging", APP_ENV_DYNAMODB_TABLE="no-such-table")
    started = time.monotonic()
    failed = broken.up(APP_START_TIMEOUT="20s")
    print(f"given up after {time.monotonic() - started:.1f} s")  # noqa: T201
    assert time.monotonic() - started < 150
    _says_what_it_said(
        failed, "staging", '"route":"/health/ready","status":503', '127.0.0.1:3000/health: 200 {"status":"ok"'
    )
    assert "(it has 20 s)" in failed.stderr
    assert f"{fleet.url('staging')}/health/ready: 503: " in failed.stderr
    assert fleet.left() == []


def _says_what_it_said(failed: subprocess.CompletedProcess[str], environment: str, log: str, health: str) -> None:
    assert failed.returncode == 1, failed.stderr
    message = failed.stderr[failed.stderr.index(f"✗ {environment} is not ready") :]
    its_log, _, its_health = message.partition("Its health check says:\n")
    assert log in its_log.partition("Its last lines:\n")[2]
    assert its_health.startswith(f"  {health}")
    assert json.loads(failed.stdout)["exit_code"] == 1
    assert "Traceback" not in failed.stderr

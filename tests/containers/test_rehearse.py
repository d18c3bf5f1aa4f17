"""The ground of a rehearsal on a real engine: its hosts are hosts, and it leaves nothing behind.

The tests of one scene stand in an order: the last ones change it, and take it down.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shlex
import shutil
import signal
import socket
import sys
import tarfile
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

import psutil
import pytest

from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError
from soundbite.platforms.hosts import Host, HostFailed, Remote, find
from tests.conftest import Inv, clean_environ, free_ports
from tests.containers.conftest import docker, remove
from tests.integration.conftest import Running, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from soundbite.environment import Environment

pytestmark = [pytest.mark.timeout(900)]

LONG = 600
"""Seconds that an `up` may take where the hosts' image is built first."""
PROXY_IMAGE = "nginx:1.26.3"
SESSION_MANAGER = """\
import os, pathlib, socket, sys, threading
pathlib.Path(os.environ['ASKED']).write_text(' '.join(sys.argv[1:]))
host = socket.create_connection((sys.argv[sys.argv.index('--target') + 1], 22))


def back():
    while data := host.recv(65536):
        os.write(1, data)
    os._exit(0)


threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    host.sendall(data)
"""


@dataclass
class Scene:
    """A rehearsal of a test's own: names, ports and state that nobody shares."""

    state: Path
    name: str = field(default_factory=lambda: f"sbtest-{uuid.uuid4().hex[:10]}")
    ports: list[int] = field(default_factory=lambda: free_ports(3))

    @property
    def emulator(self) -> int:
        return self.ports[0]

    @property
    def registry(self) -> int:
        return self.ports[1]

    @property
    def proxy(self) -> int:
        return self.ports[2]

    @property
    def balancer(self) -> str:
        return f"{self.name}-balancer"

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PROXY_PROJECT": self.name,
            "EMULATOR_PORT": str(self.emulator),
            "PROXY_PORT": str(self.proxy),
            "STATE_DIR": str(self.state),
            "IMAGE_REPOSITORY": f"127.0.0.1:{self.registry}/staging/api",
        }

    @property
    def inv(self) -> Inv:
        return Inv(variables=self.variables)

    def up(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = self.inv("rehearse.up", *arguments, timeout=LONG)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done

    def down(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done = self.inv("rehearse.down", *arguments, timeout=LONG)
        assert done.returncode == 0, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        done = self.inv("rehearse.status", "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def loaded(self, **more: str) -> Environment:
        with mock.patch.dict(os.environ, clean_environ(**self.variables, **more), clear=True):
            return environment.load("staging", rehearsal=True)

    def hosts(self) -> list[Host]:
        """Return the hosts as a deployment finds them."""
        return find(Cloud(self.loaded()))

    def ask(self, host: Host, command: str, **more: str) -> str:
        """Run a command on a host, as a deployment does."""
        remote = Remote(host, self.loaded(**more))
        try:
            code, out, err = remote.run(command, timeout=30)
        finally:
            remote.close()
        assert code == 0, err + out
        return out.strip()

    def container(self, number: int) -> str:
        return f"{self.name}-staging-host-{number}"

    def balanced(self, host: str = "staging.localhost") -> tuple[int, str]:
        """Ask the load balancer for a host by its name; return the answer's status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.proxy, timeout=10)
        try:
            connection.request("GET", "/", headers={"Host": f"{host}:{self.proxy}"})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def started(self) -> dict[str, str]:
        """Return when each container was started, by its id."""
        ids = docker("ps", "-aq", "--no-trunc", "--filter", f"name={self.name}").split()
        return {each: docker("inspect", "--format", "{{.State.StartedAt}}", each) for each in ids}

    def left(self) -> list[str]:
        """Return everything that there is of it: containers, volumes, networks, the emulator."""
        listed = []
        label = f"label=soundbite.state={self.state}"
        for by in (label, f"name={self.name}"):
            listed += docker("ps", "--all", "--filter", by, "--format", "container {{.Names}}").splitlines()
            for kind in ("volume", "network"):
                listed += docker(kind, "ls", "--filter", by, "--format", f"{kind} {{{{.Name}}}}").splitlines()
        return listed + [f"process {each.pid}" for each in self.processes()]

    def processes(self) -> list[psutil.Process]:
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

    def destroy(self) -> None:
        """Leave nothing behind, whatever happened."""
        for process in self.processes():
            try:
                process.kill()
            except psutil.Error:
                continue
        remove(self.name)
        shutil.rmtree(self.state, ignore_errors=True)


@pytest.fixture(scope="module")
def scene(engine: str, bridge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Return a rehearsal with two hosts of staging."""
    made = Scene(tmp_path_factory.mktemp("rehearse") / "state")
    try:
        told = json.loads(made.up("--json").stdout)
        assert [each["name"] for each in told] == [made.container(1), made.container(2)]
        assert [each["url"] for each in told] == [f"http://{each['address']}:80" for each in told]
        assert {each["environment"] for each in told} == {"staging"}
        yield made
    finally:
        made.destroy()


@pytest.fixture
def another(engine: str, bridge: str, tmp_path: Path) -> Iterator[Scene]:
    """Return a rehearsal that is not up."""
    made = Scene(tmp_path / "state")
    yield made
    made.destroy()


def _tiny(folder: Path, name: str) -> str:
    """Make an image of one file; return its content."""
    content = uuid.uuid4().hex
    with tarfile.open(folder / "tiny.tar", "w") as tar:
        entry = tarfile.TarInfo("content")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    docker("import", str(folder / "tiny.tar"), name)
    return content


def test_every_host_is_one(scene: Scene) -> None:
    hosts = scene.hosts()
    assert [(each.name, each.port) for each in hosts] == [(scene.container(1), 22), (scene.container(2), 22)]
    here = docker("info", "--format", "{{.ID}}")
    engines = {scene.ask(each, "sudo -n docker info --format '{{.ID}}'") for each in hosts}
    assert len({here, *engines}) == 3
    for number, each in enumerate(hosts, 1):
        assert scene.ask(each, "whoami; hostname").split() == ["deploy", f"staging-host-{number}"]
        assert scene.ask(each, "sudo -n docker compose version --short")
        assert scene.ask(each, "python3 -c 'print(1)'") == "1"
        # What an application there needs: the proxy's image, emulated AWS, and that a container runs.
        assert scene.ask(each, f"sudo -n docker image inspect --format '{{{{.Id}}}}' {PROXY_IMAGE}")
        address = f"/dev/tcp/{scene.loaded().emulator.host}/{scene.emulator}"
        run = f"sudo -n docker run --rm --memory=64m {PROXY_IMAGE} bash -c '< {address} && echo it answers'"
        assert scene.ask(each, run) == "it answers"


def test_a_host_is_known_by_its_key(scene: Scene, tmp_path: Path) -> None:
    first, second = scene.hosts()
    known = (scene.state / "ssh" / "known_hosts").read_text()
    assert known.count("ssh-ed25519") == 2
    assert (scene.state / "ssh" / "id_ed25519").stat().st_mode & 0o777 == 0o600
    (tmp_path / "known_hosts").write_text(
        known.replace(f"{first.address} ", "other ")
        .replace(f"{second.address} ", f"{first.address} ")
        .replace("other ", f"{second.address} ")
    )
    with pytest.raises(HostFailed, match="its host key is not the one known"):
        scene.ask(first, "true", HOSTS_KNOWN_HOSTS=str(tmp_path / "known_hosts"))


def test_a_host_is_reached_through_a_jump_host_that_must_be_known_too(scene: Scene, tmp_path: Path) -> None:
    first, second = scene.hosts()
    by = f"deploy@{first.address}:22"
    assert scene.ask(second, "echo $SSH_CONNECTION").split()[0] != first.address
    assert scene.ask(second, "echo $SSH_CONNECTION", HOSTS_GATEWAY=by).split()[0] == first.address
    known = (scene.state / "ssh" / "known_hosts").read_text().splitlines(keepends=True)
    (tmp_path / "known_hosts").write_text("".join(each for each in known if first.address not in each))
    with pytest.raises(HostFailed, match="not found in known_hosts"):
        scene.ask(second, "true", HOSTS_GATEWAY=by, HOSTS_KNOWN_HOSTS=str(tmp_path / "known_hosts"))


def test_a_host_is_reached_by_session_manager(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The AWS CLI is stood in for: what it is asked is noted, and its channel is a socket to the host's sshd."""
    (tmp_path / "aws").write_text(f"#!{sys.executable}\n{SESSION_MANAGER}")
    (tmp_path / "aws").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    host = scene.hosts()[0]
    assert scene.ask(host, "hostname", HOSTS_GATEWAY="ssm") == "staging-host-1"
    document = "--document-name AWS-StartSSHSession --parameters portNumber=22"
    asked = f"ssm start-session --target {host.address} {document} --region eu-central-1"
    assert (tmp_path / "asked").read_text() == asked
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SoundbiteError, match="aws is not installed"):
        scene.ask(host, "hostname", HOSTS_GATEWAY="ssm")


def test_an_image_has_one_name_here_and_there(scene: Scene, tmp_path: Path) -> None:
    name = f"127.0.0.1:{scene.registry}/{scene.name}/tiny"
    content = _tiny(tmp_path, f"{name}:1")
    docker("push", f"{name}:1")
    (pinned,) = json.loads(docker("image", "inspect", "--format", "{{json .RepoDigests}}", f"{name}:1"))
    assert pinned.startswith(f"{name}@sha256:")
    for each in scene.hosts():
        scene.ask(each, f"sudo -n docker pull --quiet {pinned}")
        made = scene.ask(each, f"sudo -n docker create {pinned} none")
        assert content in scene.ask(each, f"sudo -n docker cp {made}:/content - | tar -xO; sudo -n docker rm {made}")
    connections: list[Any] = psutil.net_connections("tcp")
    listening = [each.laddr for each in connections if each.status == psutil.CONN_LISTEN]
    assert {each.ip for each in listening if each.port == scene.registry} == {"127.0.0.1"}


def test_its_address_answers_for_the_hosts(scene: Scene) -> None:
    assert scene.loaded().app_url == f"http://staging.localhost:{scene.proxy}"
    assert docker("port", scene.balancer) == f"8080/tcp -> 127.0.0.1:{scene.proxy}"
    assert scene.balanced()[0] == 502  # the hosts have nothing that answers
    assert scene.balanced("somebody.localhost")[0] == 404
    hosts = scene.hosts()
    serve = f"sudo -n docker run --detach --name web --publish 80:80 {PROXY_IMAGE} sh -c"
    for each in hosts:
        conf = f"events {{}} http {{ server {{ listen 80; return 200 {each.name}; }} }}"
        begin = f"echo '{conf}' > /tmp/nginx.conf; exec nginx -c /tmp/nginx.conf -g 'daemon off;'"
        scene.ask(each, f"{serve} {shlex.quote(begin)}")
    try:
        until(lambda: _seen(scene, 4) == {each.name for each in hosts}, "not each host answers", 30)
        scene.ask(hosts[0], "sudo -n docker rm --force web")
        # One that refuses costs nobody an answer.
        assert {scene.balanced() for _ in range(8)} == {(200, hosts[1].name)}
    finally:
        for each in hosts:
            scene.ask(each, "sudo -n docker rm --force web")


def _seen(scene: Scene, times: int) -> set[str]:
    """Return who answers."""
    answers = [scene.balanced() for _ in range(times)]
    return {body for status, body in answers if status == 200}


def test_again_changes_nothing_and_is_quick(scene: Scene) -> None:
    before, hosts = scene.started(), scene.hosts()
    started = time.monotonic()
    done = scene.up("--env=staging", "--hosts=2")
    took = time.monotonic() - started
    print(f"again: {took:.1f} s")  # noqa: T201
    assert took < 20
    assert done.stdout.splitlines()[-1] == "now: inv deploy.staging --rehearse --build --yes"
    assert (scene.started(), scene.hosts()) == (before, hosts)


def test_a_host_comes_back_where_it_was(scene: Scene) -> None:
    hosts = scene.hosts()
    scene.ask(hosts[0], "sudo -n mkdir -p /var/lib/kept && sudo -n touch /var/lib/kept/file")
    docker("restart", "--time=10", scene.container(1))

    def answers() -> bool:
        try:
            return bool(scene.ask(hosts[0], "sudo -n docker version --format '{{.Server.Version}}'"))
        except (HostFailed, AssertionError):
            return False

    until(answers, "the host's sshd and engine", 30)
    assert scene.ask(hosts[0], f"ls /var/lib/kept && sudo -n docker image ls --quiet {PROXY_IMAGE}").startswith("file")
    assert scene.hosts() == hosts


def test_status_tells_what_runs(scene: Scene) -> None:
    found = scene.status()
    assert found["emulator"]["state"] == "running"
    assert found["registry"] == {"state": "running", "address": f"127.0.0.1:{scene.registry}"}
    assert [(each["name"], each["address"], each["state"]) for each in found["hosts"]] == [
        (each.name, each.address, "running") for each in scene.hosts()
    ]
    shown = scene.inv("rehearse.status").stdout
    assert all(name in shown for name in ("emulator", "registry", scene.container(1), scene.container(2)))


def test_a_host_that_is_gone_is_made_again_and_one_that_stopped_is_started(scene: Scene) -> None:
    before = scene.hosts()
    docker("rm", "--force", scene.container(1))
    docker("stop", scene.container(2))
    kept = docker("inspect", "--format", "{{.Id}}", scene.container(2))
    done = scene.up()
    assert "1 made, 1 started" in done.stderr
    assert docker("inspect", "--format", "{{.Id}}", scene.container(2)) == kept
    assert [each.name for each in scene.hosts()] == [each.name for each in before]
    for each in scene.hosts():
        assert scene.ask(each, "sudo -n docker version --format '{{.Server.Version}}'")


def test_fewer_hosts_are_fewer(scene: Scene) -> None:
    (first, _) = scene.hosts()
    done = scene.up("--hosts=1")
    assert "1 removed" in done.stderr
    assert scene.hosts() == [first]
    assert not [each for each in scene.left() if scene.container(2) in each]
    assert (scene.state / "ssh" / "known_hosts").read_text().count("ssh-ed25519") == 1


def test_where_its_port_is_taken_there_is_no_load_balancer(scene: Scene) -> None:
    docker("rm", "--force", scene.balancer)
    with socket.create_server(("127.0.0.1", scene.proxy)):
        done = scene.up("--hosts=1")
    (line,) = [each for each in done.stderr.splitlines() if "load balancer" in each]
    assert f"left out: Port {scene.proxy} (PROXY_PORT) is taken by " in line
    assert "The hosts answer at their own addresses only" in line
    assert not [each for each in scene.left() if scene.balancer in each]
    assert f"http://staging.localhost:{scene.proxy}, started" in scene.up("--hosts=1").stderr
    assert scene.balanced()[0] == 502


def test_a_load_balancer_that_does_not_start_fails_with_its_log(scene: Scene) -> None:
    docker("rm", "--force", scene.balancer)
    (folder,) = scene.state.rglob("balancer/environments")
    (folder / "broken.conf").write_text("nonsense;\n")
    said = scene.up("--hosts=1", code=1).stderr
    (folder / "broken.conf").unlink()
    assert f"The load balancer on 127.0.0.1:{scene.proxy} ended as soon as it was started.\n" in said
    assert 'unknown directive "nonsense"' in said
    assert not [each for each in scene.left() if scene.balancer in each]
    assert len(scene.status()["hosts"]) == 1
    assert f"http://staging.localhost:{scene.proxy}, started" in scene.up("--hosts=1").stderr
    assert scene.balanced()[0] == 502


def test_soundbite_itself_is_deployed_to_it_and_all_is_well(scene: Scene) -> None:
    done = scene.inv("deploy.staging", "--rehearse", "--build", "--yes", timeout=LONG)
    assert done.returncode == 0, done.stderr
    done = scene.inv("validate", "--env=staging", "--rehearse", "--journey", "--json", timeout=LONG)
    checks = json.loads(done.stdout)["checks"]
    unwell = {each["id"]: each["message"] for each in checks if each["outcome"] not in {"pass", "skip"}}
    assert (done.returncode, unwell) == (0, {})
    passed = {each["id"] for each in checks if each["outcome"] == "pass"}
    assert len(passed) >= 40
    # Its own checks, asked through load balancer, nginx and the host's socket.
    assert {"api.openapi", "api.cors", "api.errors", "journey.clip", "performance.latency", "release.hosts"} <= passed
    assert scene.balanced()[0] != 502


def test_down_of_one_environment_leaves_the_ground(scene: Scene) -> None:
    assert scene.container(1) in scene.down("--env=staging").stderr
    found = scene.status()
    assert (found["emulator"]["state"], found["registry"]["state"], found["hosts"]) == ("running", "running", [])
    until(lambda: scene.balanced()[0] == 404, "the load balancer still knows it", 10)


def test_down_leaves_nothing(scene: Scene) -> None:
    done = scene.down()
    assert "state saved" in done.stderr
    assert scene.left() == []
    assert "Nothing of the rehearsal runs." in scene.down().stderr
    assert scene.status()["emulator"]["state"] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--env=dev-aws"], "dev-aws is not deployed: PLATFORM=local (envs/dev-aws.env:"),
        (["--env=stagin"], "There is no environment 'stagin'; did you mean staging?"),
        (["--hosts=0"], "--hosts=0: a rehearsal has 1 to 8 hosts."),
        (["--hosts=9"], "--hosts=9: a rehearsal has 1 to 8 hosts."),
        (["--hosts=two"], "--hosts=two is no number."),
    ],
)
def test_what_cannot_be_is_refused(another: Scene, arguments: list[str], says: str) -> None:
    assert says in another.up(*arguments, code=2).stderr
    assert another.left() == []


def test_the_registrys_port_taken(another: Scene) -> None:
    with socket.create_server(("127.0.0.1", another.registry)):
        done = another.up(code=1)
    assert f"Port {another.registry} (IMAGE_REPOSITORY) is taken by " in done.stderr
    other = f"127.0.0.1:{another.registry + 1}/staging/api"
    assert f"IMAGE_REPOSITORY={other} inv …, for good in envs/rehearsal.env." in done.stderr
    assert another.left() == []


def test_what_is_somebody_elses_is_left_alone(another: Scene) -> None:
    theirs = docker("create", "--name", another.container(2), PROXY_IMAGE)
    done = another.up(code=1)
    assert f"There is a {another.container(2)} already, of somebody else. It was left alone." in done.stderr
    another.down()
    assert another.left() == [f"container {another.container(2)}"]
    assert docker("inspect", "--format", "{{.Id}}", another.container(2)) == theirs


def test_interrupted_it_leaves_nothing(another: Scene) -> None:
    up = Running(another.inv.start("rehearse.up", "--hosts=1"))
    up.wait_for("✓ hosts", LONG)
    assert up.end(signal.SIGTERM, 60) == 143, up.output
    assert "Traceback" not in up.output
    assert another.left() == []

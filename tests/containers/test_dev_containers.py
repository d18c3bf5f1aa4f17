"""`inv dev.localstack --containers`: the same environment as with processes, in containers."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from soundbite import web
from tests.conftest import free_ports
from tests.containers import services
from tests.containers.conftest import docker, remove
from tests.integration.conftest import Dev, copy_app, stock, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path


class Contained(Dev):
    """A local environment in containers; `project` is its compose project."""

    @property
    def project(self) -> str:
        """The compose project's name."""
        return self.variables["COMPOSE_PROJECT"]

    def up(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """Bring it up, detached, and see that this worked."""
        done = self.inv("dev.localstack", "--containers", "--detach", *flags, timeout=300)
        assert done.returncode == 0, done.stderr
        return done

    def health(self) -> dict[str, Any]:
        """What the application says of itself; empty while nginx has nobody to ask."""
        try:
            answer = web.get(f"{self.url}/health", 2)
        except httpx.HTTPError:
            return {}
        return dict(answer.json()) if answer.status_code == 200 else {}

    def containers(self, key: str = "{{.Names}}") -> list[str]:
        """Its containers, running or not."""
        return docker("ps", "-a", "--filter", f"name={self.project}-", "--format", key).splitlines()

    def destroy(self) -> None:
        """Remove it whatever happened, and leave nothing behind."""
        remove(self.project)
        super().destroy()


def made(folder: Path, name: str) -> Contained:
    """Return a local environment of a test's own."""
    return Contained(folder / "state", copy_app(folder), free_ports(3), variables={"COMPOSE_PROJECT": name})


@pytest.fixture
def contained(tmp_path: Path, unique: str) -> Iterator[Contained]:
    """Return a local environment that is not up yet."""
    here = made(tmp_path, unique)
    yield here
    here.destroy()


@pytest.fixture
def furnished(contained: Contained, saved: Path) -> None:
    """Have the environment lack nothing but images: its infrastructure is there."""
    stock(contained, saved)


def test_a_day_of_work_in_containers(contained: Contained, tmp_path: Path) -> None:
    """One environment, from nothing to gone; in one test, because bringing it up is what takes long."""
    contained.up()
    assert sorted(contained.containers()) == [
        f"{contained.project}-{name}-1" for name in ("api", "emulator", "processor", "proxy")
    ]
    status = contained.status()
    assert status["ready"]
    assert status["containers"]
    assert {name: each["state"] for name, each in status["processes"].items()} == dict.fromkeys(
        ("app", "processor", "emulator", "proxy"), "running"
    )

    # Everything that works for processes works here.
    smoke = contained.inv("dev.smoke", f"--keep={tmp_path}")
    assert smoke.returncode == 0, smoke.stderr
    assert list(tmp_path.glob("*.wav"))
    logs = contained.inv("dev.logs", "--service=app", "--lines=5")
    assert "app       | {" in logs.stdout
    spoken = contained.inv("dev.logs", "--service=processor")
    assert "clip ready" in spoken.stdout
    shell = contained.inv("dev.shell", "--command=echo $DYNAMODB_TABLE")
    assert shell.stdout.startswith("SoundBite-dev-localstack-Database-")

    # A save is live without anything being started anew.
    ids = contained.containers("{{.ID}}")
    path = contained.app / "src" / "health" / "health.controller.ts"
    text = path.read_text()
    path.write_text(text.replace("status: 'ok', environment,", "status: 'ok', saved: 'yes', environment,"))
    assert path.read_text() != text
    until(lambda: contained.health().get("saved") == "yes", "the saved file is live")
    assert contained.containers("{{.ID}}") == ids

    # Again: taken over as it is.
    path.write_text(text)
    until(lambda: "saved" not in contained.health(), "the file as it was is live")
    again = contained.up()
    assert "was running" in again.stderr
    # The labels of a build name the commit, so the same content is the same image.
    assert contained.containers("{{.ID}}") == ids

    # The other way is refused, and says how.
    other = contained.inv("dev.localstack", "--detach")
    assert other.returncode == 1
    assert "runs in containers (app, processor, emulator, proxy): not as processes beside that" in other.stderr
    assert "inv dev.down --env=dev-localstack stops it" in other.stderr
    assert contained.status()["ready"]

    # Down leaves nothing but the state, which is good for processes too.
    clip = httpx.post(
        f"{contained.url}/soundbite",
        json={"text": "Kept.", "userId": "me"},
        headers={"Idempotency-Key": "kept"},
        timeout=10,
    ).json()
    until(
        lambda: web.get(f"{contained.url}/soundbite/{clip['id']}", 5).json()["status"] == "ready",
        "the clip is ready",
    )
    down = contained.inv("dev.down")
    assert down.returncode == 0, down.stderr
    assert "stop emulator   state saved" in down.stderr
    assert contained.containers() == []
    for kind in ("network", "volume"):
        assert docker(kind, "ls", "-q", "--filter", f"name={contained.project}") == ""
    processes = contained.inv("dev.localstack", "--detach")
    assert processes.returncode == 0, processes.stderr
    kept = web.get(f"{contained.url}/soundbite/{clip['id']}", 5).json()
    assert kept["status"] == "ready"
    assert contained.inv("dev.down").returncode == 0
    assert contained.left() == []

    # Reset deletes what was kept.
    assert contained.inv("dev.reset", "--confirm=dev-localstack").returncode == 0
    assert not (contained.folder / "emulator").exists()


@pytest.mark.usefixtures("furnished")
def test_an_application_that_cannot_start_shows_its_own_words(contained: Contained) -> None:
    started = time.monotonic()
    done = contained.inv(
        *("dev.localstack", "--containers", "--detach"),
        timeout=300,
        APP_ENV_LOG_LEVEL="nonsense",
        APP_START_TIMEOUT="20s",
    )
    assert done.returncode == 1, done.stderr
    assert "SoundBite cannot start; set these variables" in done.stderr
    assert "LOG_LEVEL" in done.stderr
    assert "Its health check says:" in done.stderr
    assert "Traceback" not in done.stderr
    assert contained.containers() == []
    assert time.monotonic() - started < 240


def test_a_project_of_somebody_else_is_left_alone(contained: Contained) -> None:
    label = f"com.docker.compose.project={contained.project}"
    image = "nginx:1.26.3"
    docker("run", "-d", "--name", f"{contained.project}-theirs", "--label", label, image, "sleep", "600")
    done = contained.inv("dev.localstack", "--containers", "--detach", timeout=300)
    assert done.returncode == 1, done.stderr
    assert f"There is a compose project {contained.project} already, of somebody else" in done.stderr
    assert "COMPOSE_PROJECT=" in done.stderr
    assert contained.containers("{{.Names}} {{.State}}") == [f"{contained.project}-theirs running"]


def test_a_port_that_a_container_publishes_is_told_with_its_name(contained: Contained) -> None:
    port = contained.ports[0]
    name = f"{contained.project}x"
    docker("run", "-d", "--name", name, "-p", f"127.0.0.1:{port}:80", "nginx:1.26.3", "sleep", "600")
    try:
        done = contained.inv("dev.localstack", "--containers", "--detach", timeout=300)
        assert done.returncode == 1, done.stderr
        assert f"Port {port} (APP_PORT) is taken by the container {name}." in done.stderr
        assert contained.containers() == []
    finally:
        docker("rm", "-f", name)


def test_without_an_engine_it_says_how_to_get_one(contained: Contained) -> None:
    done = contained.inv("dev.localstack", "--containers", "--detach", DOCKER_HOST="unix:///nonexistent/docker.sock")
    assert done.returncode == 1
    assert "No Docker engine answers" in done.stderr
    assert "scripts/engine up" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_foreground_follows_rebuilds_and_ends_with_the_signal(contained: Contained) -> None:
    import signal

    foreground = contained.foreground("--containers")
    foreground.wait_for("Logs follow", 240)
    assert contained.health()["environment"] == "dev-localstack"
    web.get(f"{contained.url}/health/ready", 5)
    # Kill the emulator: it is started again, its infrastructure with it.
    emulator = f"{contained.project}-emulator-1"
    before = json.loads(docker("inspect", emulator))[0]["State"]["StartedAt"]
    docker("kill", "--signal=KILL", emulator)

    def again() -> bool:
        found = docker("inspect", emulator, check=False)
        state = json.loads(found or "[]")
        return bool(state and state[0]["State"]["Running"] and state[0]["State"]["StartedAt"] != before)

    until(again, "the emulator runs again")
    foreground.wait_for("had ended without saving")
    until(lambda: web.get(f"{contained.url}/health/ready", 5).status_code == 200, "ready again", 120)
    assert foreground.end(signal.SIGINT, 60) == 130, foreground.output
    assert contained.containers() == []


@pytest.mark.usefixtures("furnished")
def test_a_kill_in_the_middle_is_taken_over(contained: Contained) -> None:
    import signal

    begun = contained.foreground("--containers")
    begun.wait_for("✓ emulator", 240)
    assert begun.end(signal.SIGKILL) == -signal.SIGKILL
    assert any("emulator" in name for name in contained.containers())
    contained.up()
    assert contained.inv("dev.smoke").returncode == 0


def test_it_is_proved_as_processes_are(contained: Contained) -> None:
    done = contained.inv("dev.test", "--env=dev-localstack", "--containers", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "✓ identity.health" in done.stderr
    assert "✓ journey.clip" in done.stderr
    assert docker("ps", "-aq", "--filter", "name=soundbite-test-") == ""


@pytest.mark.usefixtures("furnished")
def test_dev_aws_gets_credentials_as_a_file(contained: Contained, bridge: str) -> None:
    """Emulated AWS on the engine's bridge stands for AWS."""
    account = "111111111111"
    contained.variables["EMULATOR_HOST"] = bridge
    host = contained.inv("setup-localstack")
    assert host.returncode == 0, host.stderr
    aws = Contained(contained.state, contained.app, [*free_ports(2), contained.ports[2]], env="dev-aws")
    secret = "a-secret-that-is-nowhere-else"
    aws.variables = {
        "COMPOSE_PROJECT": f"{contained.project}-aws",
        "AWS_ENDPOINT_URL": f"http://{bridge}:{contained.ports[1]}",
        "AWS_ACCESS_KEY_ID": account,
        "AWS_SECRET_ACCESS_KEY": secret,
        "PROCESSOR_ENV_SPEECH": "offline",  # the emulator has no Polly
    }
    try:
        loopback = aws.inv("dev.aws", "--containers", "--detach", AWS_ENDPOINT_URL="http://127.0.0.1:9")
        assert loopback.returncode == 2, loopback.stderr
        assert "which containers do not reach" in loopback.stderr

        done = aws.inv("dev.aws", "--containers", "--detach", "--deploy", "--yes", timeout=300)
        assert done.returncode == 0, done.stderr
        assert aws.health()["environment"] == "dev-aws"
        posted = httpx.post(
            f"{aws.url}/soundbite",
            json={"text": "Through a file.", "userId": "me"},
            headers={"Idempotency-Key": "file"},
            timeout=10,
        )
        assert posted.status_code == 202, posted.text
        until(
            lambda: web.get(f"{aws.url}/soundbite/{posted.json()['id']}", 5).json()["status"] == "ready",
            "the clip is ready",
        )
        for name in aws.containers():
            shown = docker("inspect", name)
            assert secret not in shown
            assert account not in json.loads(shown)[0]["Config"]["Env"]
        assert sorted(aws.containers()) == [f"{aws.project}-{name}-1" for name in ("api", "processor", "proxy")]
    finally:
        down = aws.inv("dev.down", "--env=dev-aws")
        contained.inv("dev.down")
    assert down.returncode == 0, down.stderr
    assert aws.containers() == []


@pytest.mark.usefixtures("furnished")
def test_build_pushes_to_the_repository_that_a_stack_made(contained: Contained) -> None:
    """Emulated AWS is a registry too, and signs docker in with ECR's token: a small image will do."""
    setup = contained.inv("setup-localstack")
    assert setup.returncode == 0, setup.stderr
    tiny = services.TINY.format(name=contained.project).replace("content", "package.json")
    (contained.app / "Dockerfile").write_text(tiny)
    more = {"IMAGE_REPOSITORY": "output:Compute.RepositoryUri", "APP_DOCKER_TARGET": "production"}
    done = contained.inv("build", "--push", "--json", timeout=300, **more)
    assert done.returncode == 0, done.stderr
    image = json.loads(done.stdout)[0]["image"]
    try:
        assert image.startswith(f"127.0.0.1:{contained.ports[1]}/soundbite-dev-localstack-compute-images")
        ask = "aws() { :; }; python3 - <<'E'\nimport os\nprint(os.environ['AWS_ACCESS_KEY_ID'])\nE"
        assert contained.inv("dev.shell", f"--command={ask}").stdout.strip() == "000000000000"
        docker("rmi", _tag(image))
        assert image not in docker("images", "--format", "{{.Repository}}@{{.Digest}}")
        docker("pull", image)
    finally:
        docker("rmi", "--force", _tag(image), check=False)
        docker("rmi", "--force", image, check=False)
        if left := docker("images", "--quiet", "--filter", f"label=sbtest={contained.project}", check=False).split():
            docker("rmi", "--force", *left, check=False)


def _tag(image: str) -> str:
    listed = docker("images", "--format", "{{.Repository}}:{{.Tag}}", image.partition("@")[0], check=False)
    return next((name for name in listed.split() if "<none>" not in name), image)

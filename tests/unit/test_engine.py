"""The engine that is away, that is not ours to use, or lacks Compose: each is one message, with what to do."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from soundbite import engine, plugins
from soundbite.errors import SoundbiteError
from soundbite.shell import CommandFailed, Completed
from tests.conftest import Inv
from tests.containers.conftest import installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AWAY = [
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "ERROR: Cannot connect to the Docker daemon at tcp://10.0.0.1:2375. Is the docker daemon running?",
    (
        "failed to connect to the docker API at unix:///nonexistent; check if the path is correct and if the daemon is "
        "running: dial unix /nonexistent: connect: no such file or directory"
    ),
    'error during connect: Get "http://10.0.0.1:2375/v1.50/version": dial tcp 10.0.0.1:2375: i/o timeout',
    "unable to get image 'nginx': Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?",
    'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.24/info": dial unix /var/run/docker.sock: connect: connection refused',
]
DENIED = [
    (
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get "
        '"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/version": dial unix /var/run/docker.sock: connect: permission denied'
    ),
    "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get ...",
    "ERROR: permission denied while trying to connect to the Docker daemon socket at unix:///run/user/1/engine.sock",
    "permission denied while trying to connect to the docker API at unix:///home/me/engine.sock",
]
OTHERS = [
    "Error response from daemon: No such image: absent:latest",
    (
        "#7 0.412 Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?\n"
        "------\n > [test 3/3] RUN npm test:\n"
        "0.412 permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock\n"
        '------\nERROR: failed to solve: process "/bin/sh -c npm test" did not complete successfully: exit code: 1'
    ),
    "",
]


def explained(stderr: str) -> SoundbiteError:
    """Return what is made of a command that said this and failed."""
    return engine.explained(CommandFailed(Completed(("docker", "version"), 1, "", stderr)))


@pytest.mark.parametrize("words", AWAY)
def test_an_engine_that_is_away_is_told(words: str) -> None:
    error = explained(f"WARNING: Error loading config file\n{words}\n\n")
    assert error.message == f"No Docker engine answers: {words[:300]}"
    assert "scripts/engine up" in error.hint


@pytest.mark.parametrize("words", DENIED)
def test_an_engine_that_is_not_ours_to_use_is_told(words: str) -> None:
    error = explained(words)
    assert error.message == "This user may not use the Docker engine (permission denied on its socket)."
    assert "group docker" in error.hint


@pytest.mark.parametrize("words", OTHERS)
def test_another_failure_stays_itself_whatever_a_build_printed(words: str) -> None:
    error = explained(words)
    assert isinstance(error, CommandFailed)
    assert error.message.startswith("docker version ended with exit code 1")


def test_a_full_disk_gets_a_hint() -> None:
    error = explained("#9 3.2 write /usr/lib/x: no space left on device\nERROR: failed to solve")
    assert "no space left on device" in error.message
    assert "inv images.prune" in error.hint


def test_nothing_of_ours_chooses_what_docker_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "COMPOSE_FILE",
        "COMPOSE_PROJECT_NAME",
        "APP_PORT",
        "DOCKER_DEFAULT_PLATFORM",
        "AWS_SECRET_ACCESS_KEY",
    ):
        monkeypatch.setenv(name, "other")
    monkeypatch.setenv("DOCKER_HOST", "unix:///engine.sock")
    monkeypatch.setenv("DOCKER_BUILDKIT", "0")
    known = engine.variables_of_docker()
    assert known["DOCKER_HOST"] == "unix:///engine.sock"
    assert known["DOCKER_BUILDKIT"] == "1"
    assert known["PATH"] == os.environ["PATH"]
    assert "other" not in known.values()


# As a person meets it


def refused(done: subprocess.CompletedProcess[str], message: str, hint: str) -> None:
    """See that a task ended with one clear message and what to do."""
    assert done.returncode == 1, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("✗ ")
    assert message in lines[0]
    assert lines[1].startswith("→ ")
    assert hint in lines[1]
    assert done.stdout == ""


TASKS = pytest.mark.parametrize(
    "arguments", [["build"], ["build", "--plan"], ["images.list"], ["images.prune"]], ids=str
)


@TASKS
def test_tasks_without_an_engine(inv: Inv, arguments: list[str], tmp_path: Path) -> None:
    installed("docker")
    done = inv(*arguments, DOCKER_HOST=f"unix://{tmp_path}/absent.sock")
    refused(
        done, f"No Docker engine answers: Cannot connect to the Docker daemon at unix://{tmp_path}", "scripts/engine"
    )


@pytest.fixture
def forbidden(tmp_path: Path) -> Iterator[str]:
    """Return the address of an engine's socket that nobody may open."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        yield f"unix://{path}"


@TASKS
def test_tasks_without_permission(arguments: list[str], forbidden: str) -> None:
    installed("docker")
    # Root may open everything, unless it gives that up.
    drop = [installed("setpriv"), "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = Inv(front=tuple(drop))(*arguments, DOCKER_HOST=forbidden)
    refused(done, "This user may not use the Docker engine (permission denied", "sudo usermod -aG docker")


@TASKS
def test_tasks_without_docker(inv: Inv, arguments: list[str], tmp_path: Path) -> None:
    # A PATH with what else a build asks for.
    for tool in ("git", "sh"):
        (tmp_path / tool).symlink_to(installed(tool))
    refused(inv(*arguments, PATH=str(tmp_path)), "docker is not installed, or not on PATH", "inv doctor")


# Compose


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the first folder of PATH; the docker in it is the real one without its plugin for Compose."""
    real = installed("docker")
    folder = tmp_path / "tools"
    folder.mkdir()
    script(
        folder / "docker", f'[ "$1" = compose ] && {{ echo "docker: unknown command" >&2; exit 1; }}; exec {real} "$@"'
    )
    monkeypatch.setattr(plugins, "_FOLDERS", ())
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    # Nothing else of this machine's PATH: a docker-compose may be there.
    monkeypatch.setenv("PATH", f"{folder}:{_shell_folder(tmp_path)}")
    return folder


def script(path: Path, text: str) -> None:
    """Write a program."""
    path.write_text(f"#!{shutil.which('sh')}\n{text}\n")
    path.chmod(0o755)


def _shell_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shell"
    folder.mkdir()
    (folder / "sh").symlink_to(installed("sh"))
    return folder


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("1.29.2", "; docker-compose on PATH is Compose v1 (1.29.2), which knows other files."),
        ("2.40.0", "; docker-compose on PATH (2.40.0) is not the plugin."),
        ("", "."),
    ],
)
def test_compose_v2_is_wanted(tools: Path, version: str, said: str) -> None:
    if version:
        script(tools / "docker-compose", f"echo {version}")
    with pytest.raises(SoundbiteError) as caught:
        engine.require_compose()
    assert caught.value.message == f"Compose v2 (docker compose) is not there{said}"
    assert "docker-compose-plugin" in caught.value.hint


def test_a_docker_compose_that_cannot_be_run_is_no_compose(tools: Path) -> None:
    script(tools / "docker-compose", "echo broken >&2; exit 1")
    with pytest.raises(SoundbiteError, match=r"is not there\.\n"):
        engine.require_compose()


def test_with_its_plugin_nothing_is_said() -> None:
    docker = installed("docker")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("there is no Compose v2 plugin")
    engine.require_compose()

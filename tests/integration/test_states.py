"""From every state to the next: nothing, up, down, reset, killed; and what is kept."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import uuid
from typing import TYPE_CHECKING

import httpx
import pytest

from soundbite import web
from tests.conftest import free_ports
from tests.integration.conftest import until

if TYPE_CHECKING:
    from tests.integration.conftest import Dev


def _post(dev: Dev, text: str) -> str:
    answer = httpx.post(f"{dev.url}/soundbite", json={"text": text}, headers={"Idempotency-Key": str(uuid.uuid4())})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def _get(dev: Dev, clip: str) -> httpx.Response:
    return web.get(f"{dev.url}/soundbite/{clip}", 10)


def test_down_when_nothing_runs_is_fine(dev: Dev) -> None:
    done = dev.inv("dev.down")
    assert done.returncode == 0
    assert "Nothing of dev-localstack runs." in done.stderr


def test_what_is_not_running_is_told(dev: Dev) -> None:
    assert dev.status()["ready"] is False
    assert "no logs yet" in dev.inv("dev.logs").stderr


@pytest.mark.usefixtures("stocked")
def test_clips_survive_down_and_up_and_other_ports(dev: Dev) -> None:
    dev.up()
    clip = _post(dev, "Keep me.")
    until(lambda: _get(dev, clip).json()["status"] == "ready", "the clip to be ready")
    down = dev.inv("dev.down")
    assert down.returncode == 0
    assert "state saved" in down.stderr
    assert dev.left() == []
    again = dev.up()
    assert "6 stacks, unchanged" in again.stderr, again.stderr
    kept = _get(dev, clip).json()
    assert kept["status"] == "ready"
    assert httpx.get(kept["url"]).content[:4] == b"RIFF"
    dev.inv("dev.down")
    dev.ports = free_ports(3)
    dev.up()
    assert _get(dev, clip).json()["status"] == "ready"
    assert dev.inv("dev.smoke").returncode == 0


@pytest.mark.usefixtures("stocked")
def test_stacks_cut_off_in_the_middle_are_deployed_again_and_not_waited_for(dev: Dev) -> None:
    """A stop while a stack is made or changed saves it as being worked on, and nobody goes on with it."""
    assert dev.inv("setup-localstack").returncode == 0
    assert dev.inv("dev.down").returncode == 0
    saved = dev.folder / "emulator" / "state" / "cloudformation.json"
    states = iter(f"{each}_IN_PROGRESS" for each in ("CREATE", "UPDATE", "DELETE", "ROLLBACK", "UPDATE_ROLLBACK") * 2)
    text, count = re.subn(r'"StackStatus": "\w+"', lambda _: f'"StackStatus": "{next(states)}"', saved.read_text())
    assert count >= 5
    saved.write_text(text)
    done = dev.inv("setup-localstack", timeout=100)
    assert done.returncode == 0, done.stderr
    assert "differ from this checkout" in done.stderr


@pytest.mark.usefixtures("stocked")
def test_a_changed_queue_setting_changes_the_queue_alone(dev: Dev) -> None:
    dev.up()
    pid = dev.pid("app")
    done = dev.inv("dev.localstack", "--detach", QUEUE_VISIBILITY_TIMEOUT="45s")
    assert done.returncode == 0, done.stderr
    assert "Queue differ" in done.stderr, done.stderr
    assert "Database" not in done.stderr
    assert dev.pid("app") == pid
    checked = dev.inv("setup-localstack", QUEUE_VISIBILITY_TIMEOUT="45s")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.usefixtures("stocked")
def test_a_missing_resource_is_found_by_setup(dev: Dev) -> None:
    done = dev.inv("setup-localstack")
    assert done.returncode == 0, done.stderr
    assert dev.health() == {}
    deleted = dev.inv(
        "dev.shell",
        f"--command={sys.executable} -c '{_DELETE_TABLE}'",
        SHELL="/bin/sh",
    )
    assert deleted.returncode == 0, deleted.stderr
    again = dev.inv("setup-localstack")
    assert again.returncode == 1
    assert "✗ resources.table" in again.stderr
    assert "✓ resources.queue" in again.stderr


_DELETE_TABLE = 'import boto3, os; boto3.client("dynamodb").delete_table(TableName=os.environ["DYNAMODB_TABLE"])'


@pytest.mark.usefixtures("stocked")
def test_a_killed_emulator_is_said_and_rebuilt_and_reset_wants_the_name_and_deletes_everything(dev: Dev) -> None:
    dev.up()
    clip = _post(dev, "Lost.")
    until(lambda: _get(dev, clip).json()["status"] == "ready", "the clip to be ready")
    os.killpg(dev.pid("emulator"), signal.SIGKILL)
    until(lambda: dev.status()["processes"]["emulator"]["state"] == "died", "the emulator to be seen dead")
    done = dev.up()
    assert "had ended without saving" in done.stderr
    assert "Lost is what was written since 20" in done.stderr
    assert _get(dev, clip).status_code == 404
    assert dev.inv("dev.smoke").returncode == 0

    refused = dev.inv("dev.reset")
    assert refused.returncode == 2
    assert "--confirm=dev-localstack" in refused.stderr
    wrong = dev.inv("dev.reset", "--confirm=staging")
    assert wrong.returncode == 3
    assert dev.health()
    done = dev.inv("dev.reset", "--confirm=dev-localstack")
    assert done.returncode == 0, done.stderr
    assert dev.left() == []
    assert not (dev.folder / "emulator").exists()


def test_an_emulator_that_never_saved_is_rebuilt_from_nothing(dev: Dev) -> None:
    dev.up()
    os.killpg(dev.pid("emulator"), signal.SIGKILL)
    done = dev.up()
    assert "since its first start" in done.stderr
    assert "✓ deploy" in done.stderr
    assert dev.inv("dev.smoke").returncode == 0


def test_an_emulator_killed_under_load_is_rebuilt_in_the_foreground(dev: Dev) -> None:
    up = dev.foreground()
    up.wait_for("Logs follow")
    for number in range(20):
        _post(dev, f"Load {number}.")
    os.killpg(dev.pid("emulator"), signal.SIGKILL)
    up.wait_for("had ended without saving")
    until(lambda: dev.inv("dev.smoke").returncode == 0, "a clip through the rebuilt infrastructure")
    assert up.end(signal.SIGINT) == 130
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_a_killed_inv_leaves_what_the_next_one_takes_over(dev: Dev) -> None:
    up = dev.foreground()
    up.wait_for("Logs follow")
    pids = {name: dev.pid(name) for name in ("app", "processor", "emulator")}
    assert up.end(signal.SIGKILL) == -signal.SIGKILL
    assert dev.health()
    done = dev.up()
    assert {name: dev.pid(name) for name in pids} == pids
    assert done.stderr.count("was running") == 2
    assert dev.inv("dev.down").returncode == 0
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_a_deleted_state_folder_starts_from_nothing(dev: Dev) -> None:
    dev.up()
    dev.inv("dev.down")
    shutil.rmtree(dev.state)
    dev.up()
    assert dev.inv("dev.smoke").returncode == 0

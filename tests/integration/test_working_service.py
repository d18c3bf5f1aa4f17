"""The main job: SoundBite answers, and everything around it tells the truth."""

from __future__ import annotations

import json
import signal
import uuid
import wave
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import psutil

from tests.integration.conftest import Running, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Dev


def test_it_answers_and_says_which_environment_it_is(running: Dev) -> None:
    health = running.health()
    assert health["status"] == "ok"
    assert health["environment"] == "dev-localstack"
    assert health["release"] == "working-tree"


def test_a_clip_is_spoken_and_plays(running: Dev, tmp_path: Path) -> None:
    done = running.inv("dev.smoke", f"--keep={tmp_path}")
    assert done.returncode == 0, done.stderr
    (audio,) = tmp_path.glob("*.wav")
    with wave.open(str(audio)) as sound:
        assert sound.getnframes() / sound.getframerate() > 0.3
        assert any(sound.readframes(sound.getnframes()))


def test_a_second_up_takes_over_what_runs(running: Dev) -> None:
    before = {name: running.pid(name) for name in ("app", "processor", "emulator")}
    done = running.up()
    assert {name: running.pid(name) for name in before} == before
    assert done.stderr.count("was running") == 2
    assert "6 stacks, unchanged" in done.stderr


def test_two_at_once_do_not_spoil_each_other(running: Dev) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: running.inv("dev.localstack", "--detach"), range(2)))
    assert [done.returncode for done in both] == [0, 0], [done.stderr for done in both]
    assert running.status()["ready"]


def test_status_tells_what_runs(running: Dev) -> None:
    status = running.status()
    assert status["ready"] is True
    assert {name: each["state"] for name, each in status["processes"].items()} == {
        "app": "running",
        "processor": "running",
        "emulator": "running",
    }
    table = running.inv("dev.status").stdout
    assert f"{running.url} is ready" in table


def test_nothing_listens_beyond_this_machine(running: Dev) -> None:
    assert running.inv("dev.smoke").returncode == 0
    groups = [psutil.Process(running.pid(name)) for name in ("app", "processor", "emulator")]
    family = [each for process in groups for each in (process, *process.children(recursive=True))]
    listening = [
        connection.laddr.ip
        for process in family
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 2
    assert set(listening) <= {"127.0.0.1", "::1"}


def test_the_logs_are_prefixed_and_can_be_chosen(running: Dev) -> None:
    assert running.inv("dev.smoke").returncode == 0
    lines = until(
        lambda: running.inv("dev.logs", "--service=processor").stdout.splitlines(),  # noqa: PLW0108 - asks anew
        "a line of the processor's log",
    )
    assert all(line.startswith("processor |") for line in lines)
    both = running.inv("dev.logs").stdout
    assert "app       |" in both
    assert "processor |" in both


def test_the_logs_can_be_followed_until_interrupted(running: Dev) -> None:
    follow = Running(running.inv.start("dev.logs", "--follow", "--service=app", "--lines=1"))
    follow.wait_for("app       |")
    assert running.inv("dev.smoke").returncode == 0
    follow.wait_for('"route":"/soundbite/:id"')
    assert follow.end(signal.SIGINT) == 130


def test_an_unknown_service_is_named(running: Dev) -> None:
    done = running.inv("dev.logs", "--service=database")
    assert done.returncode == 2
    assert "Known are: app, processor, emulator." in done.stderr


def test_the_shell_has_the_environments_variables(running: Dev) -> None:
    done = running.inv("dev.shell", "--command=env", SHELL="/bin/sh", AWS_PROFILE="somebody-else")
    assert done.returncode == 0, done.stderr
    found = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    assert found["AWS_ENDPOINT_URL"] == f"http://127.0.0.1:{running.ports[1]}"
    assert found["ENVIRONMENT"] == "dev-localstack"
    assert found["DYNAMODB_TABLE"]
    assert "AWS_PROFILE" not in found


def test_the_shells_exit_code_is_ours(running: Dev) -> None:
    assert running.inv("dev.shell", "--command=exit 7", SHELL="/bin/sh").returncode == 7


def test_what_the_shell_has_does_not_confuse_inv(running: Dev) -> None:
    done = running.inv("dev.status", "--json", AWS_ENDPOINT_URL=f"http://127.0.0.1:{running.ports[1]}")
    assert json.loads(done.stdout)["ready"] is True


def test_clips_posted_at_once_all_end_ready_none_twice(running: Dev) -> None:
    count = 60

    def post(client: httpx.Client, number: int) -> str:
        body = {"text": f"Clip number {number}.", "userId": "crowd"}
        answer = client.post("/soundbite", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with httpx.Client(base_url=running.url, timeout=30) as client, ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda number: post(client, number), range(count)))
        assert len(set(ids)) == count
        waiting = set(ids)

        def all_ready() -> bool:
            for clip in list(waiting):
                status = client.get(f"/soundbite/{clip}").json()["status"]
                assert status in {"pending", "ready"}
                if status == "ready":
                    waiting.discard(clip)
            return not waiting

        until(all_ready, "all clips ready")


def test_setup_leaves_a_running_application_alone(running: Dev) -> None:
    before = running.pid("app")
    done = running.inv("setup-localstack")
    assert done.returncode == 0, done.stderr
    assert running.pid("app") == before
    assert done.stderr.count("✓ resources.") == 15


def test_cdk_sees_no_difference_in_what_is_deployed(running: Dev) -> None:
    done = running.inv("cdk.diff", "--env=dev-localstack")
    assert done.returncode == 0, done.stderr
    assert "no differences in 6 stacks" in done.stdout
    again = running.inv("cdk.deploy", "--env=dev-localstack")
    assert again.returncode == 0
    assert "unchanged" in again.stderr

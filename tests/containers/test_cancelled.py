"""A deploy or rollback that CI cancels, in any state: SIGINT is enough; what hangs is gone with SIGKILL at the latest.

GitHub's runner sends SIGINT to the process that it started, SIGTERM 7.5 s later, SIGKILL 2.5 s after that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
import pytest

from soundbite import emulator
from soundbite.processes import Process
from tests.containers.conftest import docker
from tests.containers.killing import beside, settled, two_hosts
from tests.containers.rehearsals import Load, Rehearsal, until_said

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(300)]

DEPLOY = ("infrastructure", "artifacts", "stage", "switch", "checks", "drain", "record")
ROLLBACK = ("stage", "switch", "drain")
"""Steps, at whose end a process is cancelled: before, in and after the switch."""

RUNNER = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 5.0))
"""What GitHub's runner sends, and how long it waits after each."""


class Cancelled(NamedTuple):
    """How a process ended: its exit code, the signal that it took, and the seconds since the first one."""

    code: int
    by: signal.Signals
    seconds: float


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with two_hosts(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def elsewhere(place: Rehearsal) -> Rehearsal:
    return beside(place)


def cancelled(process: subprocess.Popen[str]) -> Cancelled:
    """Cancel a task as the runner does; nothing that it started lives on."""
    began = time.monotonic()
    for signum, patience in RUNNER:
        process.send_signal(signum)
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        taken = Cancelled(code, signum, time.monotonic() - began)
        assert process.stdout is not None
        process.stdout.close()
        return taken
    raise AssertionError("it outlived SIGKILL")


def left(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return what lives on of the session that a task was started in."""
    found = []
    for each in psutil.process_iter():
        try:
            if os.getsid(each.pid) == process.pid and each.status() != psutil.STATUS_ZOMBIE:
                found.append(each)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def by_sigint_alone(place: Rehearsal, process: subprocess.Popen[str], *, at_its_end: bool = False) -> bool:
    """Cancel a task and see that SIGINT was enough; return whether it was interrupted, as its lock says then.

    Parameters
    ----------
    at_its_end:
        Whether it may have done everything by then, so that nothing of it was left to interrupt.
    """
    ended = cancelled(process)
    assert left(process) == []
    assert ended.by == signal.SIGINT
    assert ended.seconds < 5
    assert place.names() == {"service"}  # something serves, on every host
    if at_its_end and place.json("lock.status")["state"] == "free":
        assert ended.code in {0, 130}
        return False
    assert ended.code == 130
    refused = place.run("lock.status", "--json", *place.command(f"deploy.{place.environment}"), code=4)
    assert json.loads(refused.stdout)["state"] == "interrupted"
    assert "--resume finishes it, --abort takes it back" in refused.stderr
    return True


@contextmanager
def hanging(pid: int | None, *hosts: str) -> Iterator[None]:
    """Have a process and some hosts stand still for a while."""
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    for each in hosts:
        docker("pause", each)
    try:
        yield
    finally:
        for each in hosts:
            docker("unpause", each)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def greetings(place: Rehearsal) -> set[str]:
    """Return what the hosts greet with."""
    return {str(each["greeting"]) for each in place.answers()}


def test_a_deploy_cancelled_in_every_state_ends_by_sigint_and_is_settled_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    serves = greetings(place)
    with Load(place.hosts, rate=60, clients=4) as load:
        for number, point in enumerate(DEPLOY):
            greeting = f"cancelled {number}"
            process = place.start(f"--set=APP_ENV_GREETING={greeting}")
            until_said(process, f"✓ {point}")
            interrupted = by_sigint_alone(place, process, at_its_end=point == "record")
            how = "--abort" if number % 2 else "--resume"
            if interrupted:
                elsewhere.deploy("", how)
            settled(place)
            if not interrupted or how == "--resume":
                serves = {greeting}
            assert greetings(place) == serves, point
        count = load.count
    assert load.failed == []
    assert count > 500


def test_a_rollback_cancelled_in_any_state_ends_by_sigint_and_is_settled_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    place.deploy("", "--set=APP_ENV_GREETING=to be left")
    with Load(place.hosts, rate=60, clients=4) as load:
        for point, how, serves in zip(
            ROLLBACK, ("--abort", "--abort", "--resume"), ("to be left", "to be left", "hello"), strict=True
        ):
            process = place.start(f"--to={place.environment}-1", task="rollback")
            until_said(process, f"✓ {point}")
            assert by_sigint_alone(place, process)
            elsewhere.deploy("", how)
            settled(place)
            assert greetings(place) == {serves}, point
    assert load.failed == []


def test_a_deploy_cancelled_while_a_host_and_aws_hang_ends_by_sigint_too(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    before = greetings(place)
    process = place.start("--set=APP_ENV_GREETING=hanging")
    until_said(process, "✓ stage")  # next is the switch
    aws = Process(emulator.NAME, Path(place.variables["STATE_DIR"]) / "shared").pid()
    with hanging(aws, place.container(2)):
        ended = cancelled(process)
        assert left(process) == []
    assert ended == (130, signal.SIGINT, ended.seconds)
    elsewhere.deploy("", "--abort")  # the lock could not be told: its lease runs out
    settled(place)
    assert greetings(place) == before


def test_a_deploy_that_heeds_no_signal_is_gone_with_sigkill_and_settled_after_its_lease(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    process = place.start("--set=APP_ENV_GREETING=stopped")
    until_said(process, "✓ stage")
    with hanging(process.pid):
        ended = cancelled(process)
        assert left(process) == []
    assert (ended.code, ended.by) == (-signal.SIGKILL, signal.SIGKILL)
    elsewhere.deploy("", "--resume")
    settled(place)
    assert greetings(place) == {"stopped"}

"""Deploys and rollbacks that are cut off in any state: something serves, and another checkout settles them.

They are killed, cancelled as CI does it, or lose their connections. One scene serves all of it, in this order.
GitHub's runner sends SIGINT to the process that it started, SIGTERM 7.5 s later, SIGKILL 2.5 s after that.
"""

from __future__ import annotations

import json
import os
import random
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
from tests.containers.conftest import docker, paused
from tests.containers.killing import beside, finished, killed, settled, two_hosts
from tests.containers.load import Load
from tests.containers.rehearsals import Rehearsal, answer, ended, last_words, until_said
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [pytest.mark.timeout(1200)]

SEED = 20261123
DEPLOY = ("infrastructure", "artifacts", "stage", "switch", "checks", "drain", "record")
ROLLBACK = ("examine", "stage", "switch", "checks", "drain", "record")
CANCELLED = ("stage", "switch", "checks")
"""Steps, at whose end a process is cut off: between them lie all states, with and without what comes first in each."""

AT_THE_END = {"drain", "record"}
"""Steps after which everything may be done before the signal comes: nothing but the record's one write is left."""

CUT = "pkill -f '^sshd-session: deploy'"
"""Cuts all connections to a host."""

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


def served(host: str) -> bool:
    """Tell whether a host serves."""
    try:
        return bool(answer(host)["name"])
    except (OSError, AssertionError):
        return False


def cancelled(process: subprocess.Popen[str], signals: Sequence[tuple[signal.Signals, float]] = RUNNER) -> Cancelled:
    """Cancel a task as the runner does, with all its signals or the first ones, which must do."""
    began = time.monotonic()
    for signum, patience in signals:
        process.send_signal(signum)
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            continue
        taken = Cancelled(code, signum, time.monotonic() - began)
        assert process.stdout is not None
        process.stdout.close()
        return taken
    raise AssertionError(f"it outlived {', '.join(each.name for each, _ in signals)}:\n{last_words(process)}")


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
    ended = cancelled(process, RUNNER[:1])
    assert left(process) == []
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
    try:
        with paused(*hosts):
            yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextmanager
def always_cut(place: Rehearsal) -> Iterator[None]:
    """Cut every connection to the first host for a while, long before a step there can be done."""
    loop = f"rm -f /run/whole; until [ -e /run/whole ]; do {CUT}; sleep 0.01; done"
    with subprocess.Popen(["docker", "exec", place.container(1), "sh", "-c", loop]) as cutting:
        try:
            yield
        finally:
            place.host(1, "touch", "/run/whole")
            cutting.wait(30)


def greetings(place: Rehearsal) -> set[str]:
    """Return what the hosts greet with."""
    return {str(each["greeting"]) for each in place.answers()}


def test_a_deploy_killed_in_every_state_is_finished_or_taken_back_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    with Load(place.hosts, rate=60, clients=4) as load:
        for number, point in enumerate(DEPLOY):
            process = place.start(f"--set=APP_ENV_GREETING=kill {number}")
            until_said(process, f"✓ {point}")
            killed(process)
            assert place.names() == {"service"}  # something serves, on every host
            how = "--abort" if number % 2 else "--resume"
            said = finished(place, elsewhere, how)
            settled(place)
            greetings = {each["greeting"] for each in place.answers()}
            if how == "--resume":
                assert greetings == {f"kill {number}"}, said
            elif "is aborted" in said:
                assert greetings == {f"kill {number - 1}"}, said
        count = load.count
    assert load.failed == []
    assert count > 500


def test_what_was_staged_and_went_with_a_reboot_is_staged_anew(place: Rehearsal, elsewhere: Rehearsal) -> None:
    process = place.start("--set=APP_ENV_GREETING=rebooted")
    until_said(process, "✓ stage")
    killed(process)
    docker("restart", "--time=2", place.container(1))
    until(lambda: "Server" in place.host(1, "sh", "-c", "docker version 2>&1 || true"), "its engine to answer")
    until(lambda: served(place.hosts[0]), "it to serve what it served")
    said = finished(place, elsewhere, "--resume")
    settled(place)
    assert {each["greeting"] for each in place.answers()} == {"rebooted"}, said


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_deploy_says_so_in_its_lock_and_refuses_others(place: Rehearsal, signum: signal.Signals) -> None:
    before = {each["greeting"] for each in place.answers()}
    process = place.start("--set=APP_ENV_GREETING=interrupted")
    until_said(process, "✓ infrastructure")
    code, took = killed(process, signum)
    assert code == 128 + signum
    assert took < 5.5
    assert place.json("lock.status")["state"] == "interrupted"
    refused = place.deploy("", code=4)
    assert "--resume finishes it, --abort takes it back" in refused
    assert "interrupted" in place.run("lock.release", code=3).stderr
    place.deploy("", "--abort")
    assert "Nothing of dev-aws-deployed was interrupted" in place.deploy("", "--abort", code=3)
    settled(place)
    assert {each["greeting"] for each in place.answers()} == before


def test_a_connection_that_is_cut_is_made_anew_and_one_that_always_is_leaves_what_served(place: Rehearsal) -> None:
    process = place.start("--set=APP_ENV_GREETING=cut once")
    until_said(process, "✓ artifacts")
    time.sleep(0.5)
    place.host(1, "sh", "-c", f"{CUT} || true")
    code, said = ended(process)
    assert code == 0, said
    assert {each["greeting"] for each in place.answers()} == {"cut once"}

    process = place.start("--set=APP_ENV_GREETING=cut")
    until_said(process, "✓ artifacts")
    with always_cut(place):
        code, said = ended(process)
    assert code == 1, said
    assert "the connection was lost" in said
    assert f"{place.container(1)} (" in said
    assert {each["greeting"] for each in place.answers()} == {"cut once"}
    assert place.json("lock.status")["state"] == "interrupted"
    place.deploy("", "--abort")
    settled(place)


def test_a_rollback_killed_in_every_state_is_finished_or_taken_back_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    first = f"{place.environment}-1"
    for number, point in enumerate(ROLLBACK):
        if number == 0 or greetings(place) == {"hello"}:  # else what was taken back left it as it was
            greeting = f"before {number}"
            place.deploy("", f"--set=APP_ENV_GREETING={greeting}")
        process = place.start(f"--to={first}", task="rollback")
        until_said(process, f"✓ {point}")
        killed(process)
        assert place.names() == {"service"}
        how = "--resume" if number % 2 else "--abort"
        said = finished(place, elsewhere, how)
        settled(place)
        assert greetings(place) <= {"hello", greeting}
        if how == "--resume" and "interrupted" not in said:
            assert greetings(place) == {"hello"}


def test_killed_at_random_moments(place: Rehearsal, elsewhere: Rehearsal) -> None:
    chance = random.Random(SEED)  # noqa: S311 - which moments, by a seed
    for number in range(10):
        process = place.start(f"--set=APP_ENV_GREETING=random {number}")
        until_said(process, "✓ compare")
        time.sleep(chance.uniform(0, 6))
        if process.poll() is None:
            signum = chance.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
            code, took = killed(process, signum)
            if signum != signal.SIGKILL and code not in {0, 5}:
                assert code == 128 + signum
                assert took < 5.5
        else:
            ended(process)
        assert place.names() == {"service"}
        if place.json("lock.status")["state"] != "free":
            finished(place, elsewhere, chance.choice(["--resume", "--abort"]))
        settled(place)


def test_a_deploy_cancelled_in_every_state_ends_by_sigint_and_is_settled_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    serves = greetings(place)
    with Load(place.hosts, rate=60, clients=4) as load:
        for number, point in enumerate(DEPLOY):
            greeting = f"cancelled {number}"
            process = place.start(f"--set=APP_ENV_GREETING={greeting}")
            until_said(process, f"✓ {point}")
            interrupted = by_sigint_alone(place, process, at_its_end=point in AT_THE_END)
            how = "--abort" if number % 2 else "--resume"
            # Between the record's write and the lock's release it is done, and there is nothing to take back.
            recorded = interrupted and place.json("history")[0]["verified"]
            if interrupted:
                said = elsewhere.deploy("", how)
                assert ("Nothing was left to do" in said) == recorded, said
                assert point in AT_THE_END or not recorded
            settled(place)
            if not interrupted or recorded or how == "--resume":
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
            CANCELLED, ("--abort", "--abort", "--resume"), ("to be left", "to be left", "hello"), strict=True
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
        ended = cancelled(process, RUNNER[:1])
        assert left(process) == []
    assert ended.code == 130
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


def test_an_interruption_does_not_wait_for_what_a_host_does(place: Rehearsal) -> None:
    before = greetings(place)
    place.write("service slow")
    process = place.start()
    until(lambda: len(place.host(1, "docker", "ps", "--quiet").split()) == 3, "it to start beside what serves", 60)
    ended = cancelled(process, RUNNER[:1])  # the application takes 4 s to start, and longer where the machine is busy
    assert ended.code == 130
    assert ended.seconds < 4
    place.deploy("", "--abort")
    settled(place)
    assert greetings(place) == before
    place.write("service")

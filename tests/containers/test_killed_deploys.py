"""A deploy or rollback that is killed at any moment: something serves, and another machine finishes or takes back."""

from __future__ import annotations

import os
import random
import signal
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import copied
from tests.containers.rehearsals import Load, Rehearsal, ended, rehearsal, until_said

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(600)]

SEED = 20261123
POINTS = ("infrastructure", "artifacts", "stage", "switch", "checks", "drain", "record")
"""Steps, at whose end a process is killed: between them lie all states, with and without what comes first in each."""
ROLLBACK_POINTS = ("examine", "stage", "switch", "checks", "drain", "record")


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Return two hosts with a verified deployment, for all tests: each leaves it settled."""
    folder = tmp_path_factory.mktemp("killed")
    name = f"sbtest-{uuid.uuid4().hex[:10]}"
    made = rehearsal(copied(folder / "project"), name, folder / "home", folder / "state")
    try:
        made.up(2)
        made.deploy("service")
        yield made
    finally:
        made.down()


@pytest.fixture(scope="module")
def elsewhere(place: Rehearsal) -> Rehearsal:
    """Return the same rehearsal from another checkout, whose tree has changed since."""
    other = place.another("elsewhere")
    other.checkout.put("staging", OWNER="somebody")
    other.checkout.commit()
    return other


def killed(process: subprocess.Popen[str], signum: signal.Signals = signal.SIGKILL) -> tuple[int, float]:
    """Kill a task; return its exit code and the seconds until it was gone."""
    began = time.monotonic()
    os.kill(process.pid, signum)
    code, _ = ended(process, 30)
    return code, time.monotonic() - began


def settled(place: Rehearsal) -> dict[str, Any]:
    """See that ledger and hosts agree, that nothing is left half done, and that the lock is free."""
    lock, history, hosts = place.told("lock.status", "history", "hosts.list")
    assert lock["state"] == "free", lock
    serving = next(each for each in history if each["serving"])
    assert serving["verified"]
    assert all(each["outcome"] for each in history), history
    assert {each["deployment"] for each in hosts} == {serving["id"]}
    assert all(each["idle"] == [] for each in hosts), hosts
    assert {each["release"] for each in place.answers()} == {serving["release"]}
    return dict(serving)


def finished(place: Rehearsal, elsewhere: Rehearsal, how: str) -> str:
    """Finish or take back what was cut off, from another checkout; return what was said.

    Killed when all was done but its own end, there is nothing left; killed before it had the lock, there was nothing.
    """
    free = place.json("lock.status")["state"] == "free"
    return elsewhere.run(f"deploy.{place.environment}", how, code=3 if free else 0).stderr


def test_a_deploy_killed_in_every_state_is_finished_or_taken_back_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    with Load(place.hosts, rate=60, clients=4) as load:
        for number, point in enumerate(POINTS):
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


def test_a_rollback_killed_in_every_state_is_finished_or_taken_back_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    first = f"{place.environment}-1"
    for number, point in enumerate(ROLLBACK_POINTS):
        greeting = f"before {number}"
        place.deploy("", f"--set=APP_ENV_GREETING={greeting}")
        process = place.start(f"--to={first}", task="rollback")
        until_said(process, f"✓ {point}")
        killed(process)
        assert place.names() == {"service"}
        how = "--resume" if number % 2 else "--abort"
        said = finished(place, elsewhere, how)
        settled(place)
        greetings = {each["greeting"] for each in place.answers()}
        assert greetings <= {"hello", greeting}
        if how == "--resume" and "interrupted" not in said:
            assert greetings == {"hello"}


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
    cut = ("sh", "-c", "pkill -f '^sshd-session: deploy' || true")
    process = place.start("--set=APP_ENV_GREETING=cut once")
    until_said(process, "✓ artifacts")
    time.sleep(0.5)
    place.host(1, *cut)
    code, said = ended(process)
    assert code == 0, said
    assert {each["greeting"] for each in place.answers()} == {"cut once"}

    process = place.start("--set=APP_ENV_GREETING=cut")
    until_said(process, "✓ artifacts")
    while process.poll() is None:
        place.host(1, *cut)
        time.sleep(0.1)
    code, said = ended(process)
    assert code == 1, said
    assert "the connection was lost" in said
    assert f"{place.container(1)} (" in said
    assert {each["greeting"] for each in place.answers()} == {"cut once"}
    assert place.json("lock.status")["state"] == "interrupted"
    place.deploy("", "--abort")
    settled(place)

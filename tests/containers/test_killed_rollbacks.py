"""A rollback that is killed in any state, and deploys killed at random moments."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.containers.killing import beside, finished, killed, settled, two_hosts
from tests.containers.rehearsals import Rehearsal, ended, until_said

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(600)]

SEED = 20261123
POINTS = ("examine", "stage", "switch", "checks", "drain", "record")
"""Steps, at whose end a process is killed."""


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with two_hosts(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def elsewhere(place: Rehearsal) -> Rehearsal:
    return beside(place)


def test_a_rollback_killed_in_every_state_is_finished_or_taken_back_elsewhere(
    place: Rehearsal, elsewhere: Rehearsal
) -> None:
    first = f"{place.environment}-1"
    for number, point in enumerate(POINTS):
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

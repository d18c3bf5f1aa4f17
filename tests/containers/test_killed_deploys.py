"""A deploy that is killed in any state: something serves, and another checkout finishes it or takes it back."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.containers.conftest import docker
from tests.containers.killing import beside, finished, killed, settled, two_hosts
from tests.containers.rehearsals import Load, Rehearsal, answer, ended, until_said
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(600)]

POINTS = ("infrastructure", "artifacts", "stage", "switch", "checks", "drain", "record")
"""Steps, at whose end a process is killed: between them lie all states, with and without what comes first in each."""


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with two_hosts(tmp_path_factory) as made:
        yield made


@pytest.fixture(scope="module")
def elsewhere(place: Rehearsal) -> Rehearsal:
    return beside(place)


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


def served(host: str) -> bool:
    """Tell whether a host serves."""
    try:
        return bool(answer(host)["name"])
    except (OSError, AssertionError):
        return False


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

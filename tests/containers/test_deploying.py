"""Releases on three rehearsed hosts, under load: one goes out, another, a third fails and goes back, and a rollback."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from tests.containers.conftest import docker
from tests.containers.load import Load
from tests.containers.rehearsals import Rehearsal, rehearsal
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(1200)]


@pytest.fixture
def place(project: Path, unique: str, tmp_path: Path) -> Iterator[Rehearsal]:
    made = rehearsal(project, unique, tmp_path / "home", tmp_path / "state")
    try:
        yield made
    finally:
        made.down()


def serve(place: Rehearsal, name: str) -> bool:
    """Tell whether every host answers with a service of that name."""
    try:
        return place.names() == {name}
    except (OSError, AssertionError):
        return False


def test_three_hosts_two_releases_a_failure_and_a_rollback_under_load(place: Rehearsal) -> None:  # noqa: PLR0915 - a story
    place.up(3)
    planned = place.deploy("first", "--plan", processor="first")
    assert "nothing" not in planned
    assert place.json("hosts.list")[0]["deployment"] is None  # a plan changes nothing

    place.deploy()
    assert place.names() == {"first"}
    assert place.alias() == "first"
    assert all(each["token"] > 10 for each in place.answers())  # the secret is there as a file
    assert {each["greeting"] for each in place.answers()} == {"hello"}

    with Load(place.hosts) as load:
        second = place.deploy("second", processor="second")
        assert "configuration" not in second
        assert place.names() == {"second"}
        assert place.alias() == "second"

        # The first one compiled the agent on each host; it is known again, and not installed anew.
        for number in (1, 2, 3):
            packed = place.host(number, "sh", "-c", "python3 -m zipfile -l /var/lib/*/agent.pyz")
            assert "agent/program.pyc" in packed

        # A deploy of what serves changes nothing and says so.
        began = time.monotonic()
        assert "serves already on 3 hosts; nothing to do" in place.deploy()
        assert time.monotonic() - began < 15

        failed = place.deploy("third crash", code=5, processor="third")
        assert "no luck today" in failed  # the container's own words
        assert f"{place.environment}-2 serves, as before" in failed
        assert place.names() == {"second"}
        assert place.alias() == "second"

        # Configuration alone is a deployment too.
        place.write("second", processor="second")
        place.deploy("", "--set=APP_ENV_GREETING=good day")
        assert {each["greeting"] for each in place.answers()} == {"good day"}

        place.run("rollback", "--reason=too formal")
        assert {each["greeting"] for each in place.answers()} == {"hello"}
        assert place.names() == {"second"}

        place.run("rollback", "--to=dev-aws-deployed-1", "--reason=second is worse")
        assert place.names() == {"first"}
        assert place.alias() == "first"
        count = load.count
    assert load.failed == []
    assert set(load.served) == {"first", "second"}
    assert count > 1000

    # The release that was left is bad now, and says so.
    refused = place.deploy("second", code=3, processor="second")
    assert "was marked bad" in refused
    assert "second is worse" in refused
    assert "wants a reason" in place.deploy("", "--override-bad", code=2)
    place.deploy("", "--override-bad", "--reason=mended elsewhere")
    assert place.names() == {"second"}

    history = place.json("history")
    assert [(each["id"].rpartition("-")[2], each["verb"], each["state"]) for each in history] == [
        ("7", "deploy", "verified"),
        ("6", "rollback", "verified"),
        ("5", "rollback", "verified"),
        ("4", "deploy", "verified"),
        ("3", "deploy", "failed"),
        ("2", "deploy", "verified"),
        ("1", "deploy", "verified"),
    ]
    assert [each["id"] for each in history if each["serving"]] == [f"{place.environment}-7"]
    trail = place.json("audit")
    assert [each["outcome"] for each in trail] == [
        *("succeeded", "succeeded", "failed"),
        *("succeeded", "succeeded", "succeeded", "succeeded"),
    ]
    assert all(re.fullmatch(r"arn:aws:iam::111111111111:\S+", each["who"]) for each in trail)
    assert {each["colour"] for each in place.json("hosts.list")} <= {"blue", "green"}
    # What is old is gone: three deployments stay startable on each host.
    assert all(len(each["deployments"]) == 3 for each in place.json("hosts.list"))

    # Without the ledger, by the hosts' own records.
    docker("stop", "--time=1", f"{place.variables['PROXY_PROJECT']}-registry")  # images are still on the hosts
    place.run("hosts.switch", "--offline", f"--confirm={place.environment}", EMULATOR_PORT="1")
    assert place.names() == {"first"}
    docker("start", f"{place.variables['PROXY_PROJECT']}-registry")
    place.run("hosts.converge")
    assert place.names() == {"second"}

    # A host that was rebooted brings back by itself what served.
    docker("restart", "--time=2", place.container(2))
    until(lambda: serve(place, "second"), "a rebooted host does not serve", 90)

    # A new host asks the ledger what should serve; one that was away while the others got something else, too.
    docker("stop", "--time=1", place.container(2))
    away = place.hosts[1]
    place.deploy("fourth", f"--without={away}", processor="second")
    docker("start", place.container(2))
    until(lambda: serve(place, "fourth"), "a host that was away does not serve what the others do", 90)
    place.up(4)
    until(lambda: serve(place, "fourth"), "a new host does not serve by itself", 90)
    assert [each["token"] for each in place.answers()] == [place.answers()[0]["token"]] * 4  # with its secret
    assert len({each["deployment"] for each in place.json("hosts.list")}) == 1

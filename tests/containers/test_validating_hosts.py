"""`inv validate` on a rehearsed environment of three hosts: no false alarms, and every fault is found and named."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import copied
from tests.containers.breaking import FAULTS, balanced, ledger
from tests.containers.conftest import paused
from tests.containers.rehearsals import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Return staging on three hosts, deployed to twice; each test leaves it as it was."""
    folder = tmp_path_factory.mktemp("validating")
    name = f"sbtest-{uuid.uuid4().hex[:10]}"
    made = rehearsal(copied(folder / "project"), name, folder / "home", folder / "state", "staging")
    made.checkout.put("common", CHECKS="")
    try:
        made.up(3)
        made.deploy("service", "--build", "--yes")
        release = made.json("history")[0]["release"]
        changed = ("--set=APP_ENV_GREETING=good day", "--set=PROCESSOR_ENV_LOG_LEVEL=debug")
        made.deploy("", "--yes", f"--release={release}", *changed)
        yield made
    finally:
        made.down()


def validated(place: Rehearsal, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run `inv validate`; return its exit code and its report, with the checks by id."""
    done = place.inv(*place.command("validate", "--json", *arguments))
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, {**report, "checks": {each["id"]: each for each in report["checks"]}}


def unwell(report: dict[str, Any]) -> dict[str, str]:
    """Return the outcomes of the checks that somebody must look at."""
    found = {id_: each["outcome"] for id_, each in report["checks"].items()}
    return {id_: outcome for id_, outcome in found.items() if outcome not in {"pass", "skip"}}


def test_all_is_well_and_kept(place: Rehearsal) -> None:
    code, report = validated(place)
    assert (code, unwell(report)) == (0, {}), report
    assert sum(each["outcome"] != "skip" for each in report["checks"].values()) >= 40
    print(report["counts"], f"in {report['seconds']:.1f} s")  # noqa: T201
    assert all(each["message"] for each in report["checks"].values())

    (serving,) = [each for each in place.json("history") if each["serving"]]
    assert (report["deployment"], report["release"]) == (serving["id"], serving["release"])
    assert serving["id"] == "staging-2"
    (kept,) = ledger(place).verdicts()
    assert 0 < kept["seconds"] <= report["seconds"]  # keeping it takes a moment, too
    assert kept == {**report, "seconds": kept["seconds"], "checks": list(report["checks"].values())}
    evidence = {each["id"]: each["message"] for each in kept["checks"]}
    assert all(place.container(number) in evidence["release.hosts"] for number in (1, 2, 3))
    assert evidence["release.digest"].startswith("sha256:")

    again, second = validated(place)
    assert again == 0
    outcomes = [{id_: each["outcome"] for id_, each in found["checks"].items()} for found in (report, second)]
    assert outcomes[0] == outcomes[1]
    assert len(ledger(place).verdicts(10)) == 2


def test_the_address_is_that_of_the_load_balancer(place: Rehearsal) -> None:
    assert balanced(place)["name"] == "service"
    code, report = validated(place, "--only=api,performance")
    assert code == 0, report
    address = f"staging.localhost:{place.variables['PROXY_PORT']}"
    assert report["checks"]["api.reachable"]["message"].startswith(address)
    assert report["checks"]["performance.errors"]["data"]["errors"] == 0


def test_status_tells_what_serves(place: Rehearsal) -> None:
    (told,) = place.json("status")["environments"]
    (serving,) = [each for each in place.json("history") if each["serving"]]
    assert (told["environment"], told["account"], told["reached"]) == ("staging", "222222222222", True)
    assert (told["deployment"]["id"], told["deployment"]["release"]) == (serving["id"], serving["release"])
    assert told["deployment"]["state"] == "verified"
    assert told["health"]["ok"] is True
    assert told["lock"]["state"] == "free"
    assert told["verdict"]["outcome"] == "pass"
    assert told["verdict"]["deployment"] == serving["id"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(place: Rehearsal, name: str) -> None:
    fault = FAULTS[name]
    hosts = [place.container(number) for number in (1, 2, 3)]
    with fault.seed(place) as words:
        code, report = validated(place, f"--only={fault.only}")
        expected = dict.fromkeys(fault.caught, fault.outcome) | dict.fromkeys(fault.unknown, "inconclusive")
        assert unwell(report) == expected, report["checks"]
        assert code == (1 if fault.outcome == "fail" else 0)
        told = " ".join(report["checks"][id_]["message"] for id_ in fault.caught)
        assert [word for word in words if word not in told] == [], told
        assert [host for host in hosts if host in told and host not in words] == [], told
        if fault.outcome == "warn":
            assert validated(place, f"--only={','.join(fault.caught)}", "--strict")[0] == 1
        assert all("api.reachable failed" in report["checks"][id_]["message"] for id_ in fault.unknown)
    code, report = validated(place, f"--only={fault.only}")
    assert (code, unwell(report)) == (0, {}), report["checks"]


def test_a_host_that_hangs_is_named_and_holds_up_nobody(place: Rehearsal) -> None:
    with paused(place.container(2)):
        began = time.monotonic()
        code, report = validated(place, "--only=release", "--timeout=8s")
        took = time.monotonic() - began
    on_hosts = ("hosts", "digest", "restarts", "room")
    assert (code, unwell(report)) == (6, {f"release.{each}": "inconclusive" for each in on_hosts})
    for each in on_hosts:
        message = report["checks"][f"release.{each}"]["message"]
        assert place.container(2) in message
        assert place.container(1) not in message
    assert report["seconds"] < 9
    assert took < 12  # with the start and the end of the process, on a busy machine
    code, report = validated(place, "--only=release")
    assert (code, unwell(report)) == (0, {}), report["checks"]


def test_a_host_that_cannot_be_reached_is_named(place: Rehearsal) -> None:
    address = place.hosts[0]
    drop = ["INPUT", "--protocol=tcp", "--dport=22", "--jump=REJECT", "--reject-with=tcp-reset"]
    place.host(1, "iptables", "--insert", *drop)
    try:
        code, report = validated(place, "--only=release")
    finally:
        place.host(1, "iptables", "--delete", *drop)
    assert code == 6
    message = report["checks"]["release.hosts"]["message"]
    assert f"{place.container(1)} ({address}): no SSH connection" in message
    assert place.container(2) not in message
    code, report = validated(place, "--only=release")
    assert (code, unwell(report)) == (0, {}), report["checks"]

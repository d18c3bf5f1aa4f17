"""Deploys and rollbacks from their first question to their last record, on stages of names."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import checkout, deployment, engine, environment, publishing
from soundbite.deployment import Wishes, hosting, planning, showing
from soundbite.errors import ConfigurationError, Interrupted, Locked, Refused
from soundbite.infrastructure import changes
from soundbite.platforms.platform import SwitchFailed
from soundbite.releases import Lock
from soundbite.releases.items import item as new_item
from tests.integration.cutting import cut_at, interrupted_in
from tests.integration.stages import ADDRESSES, FIRST, SECOND, A, B, C, Machine, Stages

if TYPE_CHECKING:
    from collections.abc import Callable


def mark_bad(stages: Stages, name: str, release: str) -> None:
    here = stages.scene(name)
    lock = here.lock()
    lock.acquire(here.holder("a test"))
    here.ledger.mark_bad(release, "it lost clips", lock.token)
    lock.release()


def test_a_release_goes_out_goes_on_and_comes_back(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    assert stages.serving() == {f"{FIRST}-2"}
    assert stages.deploy(name=SECOND)["release"] == B
    assert stages.serving(SECOND) == {f"{SECOND}-1"}
    assert not stages.deploy(name=SECOND)["changed"]
    assert stages.rollback()["release"] == A
    assert stages.serving() == {f"{FIRST}-3"}


def test_a_release_that_the_stage_before_marked_bad_does_not_go_on(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    mark_bad(stages, FIRST, B)
    assert stages.deploy(name=SECOND)["release"] == A
    with pytest.raises(Refused, match=f"{B} must not serve again: it was marked bad: it lost clips \\(says {FIRST}\\)"):
        stages.deploy(B, SECOND)
    assert deployment.plan(stages.scene(SECOND), Wishes(release=B))["bad"].startswith("it lost clips")
    assert stages.deploy(B, SECOND, override_bad=True, reason="it was the disk")["release"] == B


def test_a_release_that_is_known_here_is_bad_if_the_stage_before_says_so(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(name=SECOND)
    stages.deploy(B)
    stages.deploy(name=SECOND)
    mark_bad(stages, FIRST, A)
    with pytest.raises(Refused, match="it lost clips"):
        stages.deploy(A, SECOND)
    with pytest.raises(Refused, match="no verified deployment before"):
        stages.rollback(SECOND)
    with pytest.raises(Refused, match=f"{SECOND}-1 must not serve again: it lost clips"):
        stages.rollback(SECOND, to=f"{SECOND}-1")


def test_a_rollback_passes_over_a_release_that_was_marked_bad(stages: Stages) -> None:
    for each in (A, B, C):
        stages.deploy(each)
    mark_bad(stages, FIRST, B)
    assert stages.rollback(plan=True)["release"] == A
    with pytest.raises(Refused, match="it lost clips"):
        stages.rollback(to=f"{FIRST}-2")


def test_the_way_back_does_not_depend_on_the_stage_before(stages: Stages) -> None:
    for each in (A, B):
        stages.deploy(each)
        stages.deploy(name=SECOND)
    stages._settings[FIRST] |= {"EMULATOR_PORT": "1"}
    stages.rollback(SECOND)
    assert stages.serving(SECOND) == {f"{SECOND}-3"}
    assert any(f"What {FIRST} says of {A} is not known" in each for each in stages.said)


@pytest.mark.parametrize("schema", [1, 999], ids=["garbage", "newer"])
def test_a_mark_that_cannot_be_read_is_not_taken_for_none(stages: Stages, schema: int) -> None:
    ledger = stages.scene().ledger
    item = new_item("bad", B, "no JSON") | {"schema": {"N": str(schema)}}
    ledger.cloud.client("dynamodb").put_item(TableName=ledger.items.table, Item=item)
    with pytest.raises(ConfigurationError, match=ledger.items.table):
        stages.deploy(B)
    assert stages.serving() == {None}


DATA = "Database: Clips (AWS::DynamoDB::Table) would be deleted"


def ended_meanwhile(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> None:
    """Have somebody else's work end while the lock is waited for."""
    acquire = Lock.acquire
    waited: list[bool] = []

    def acquire_later(lock: Lock, holder: dict[str, str], **more: Any) -> None:
        if more.get("wait") and not waited:
            waited.append(True)
            work()
        acquire(lock, holder, **more)

    monkeypatch.setattr(Lock, "acquire", acquire_later)


def test_who_waited_for_another_deployment_plans_again_and_deploys(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages.deploy(A)

    def other() -> None:
        stages.deploy(B)
        stages.tree = C

    ended_meanwhile(monkeypatch, other)
    done = stages.deploy(C, lock_wait=60)
    assert (done["changed"], done["release"]) == (True, C)
    assert stages.serving() == {f"{FIRST}-3"}
    made = stages.scene().ledger.deployment(f"{FIRST}-3")
    assert (made.before, made.verified) == (f"{FIRST}-2", True)
    assert any(f"{B} → {C}" in each for each in stages.said)


def test_who_waited_for_the_same_deployment_has_nothing_to_do(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.deploy(A)
    ended_meanwhile(monkeypatch, lambda: stages.deploy(B))
    assert not stages.deploy(B, lock_wait=60)["changed"]
    assert stages.serving() == {f"{FIRST}-2"}
    assert stages.scene().lock().look().state == "free"


def test_who_did_not_wait_and_was_slower_changes_nothing(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.deploy(A)
    monkeypatch.setattr(planning, "compare", _beaten(planning.compare, lambda: stages.deploy(B)))
    with pytest.raises(Locked, match="somebody was faster"):
        stages.deploy(C)
    assert stages.serving() == {f"{FIRST}-2"}


def test_a_rollback_that_waited_for_a_deployment_goes_back_from_that(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (A, B):
        stages.deploy(each)
    ended_meanwhile(monkeypatch, lambda: stages.deploy(C))
    assert stages.rollback(lock_wait=60)["release"] == B
    assert stages.scene().ledger.deployment(f"{FIRST}-3").bad


def test_a_rollback_that_waited_for_the_same_one_does_not_go_further_back(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in (A, B, C):
        stages.deploy(each)
    ended_meanwhile(monkeypatch, stages.rollback)
    done = stages.rollback(lock_wait=60)
    assert (done["changed"], done["release"]) == (False, B)
    assert stages.serving() == {f"{FIRST}-4"}


def test_the_audit_trail_keeps_the_reason(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B, reason="the fix of today")
    stages.rollback(reason="it was none")
    assert [each["reason"] for each in stages.scene().ledger.audited()] == ["", "the fix of today", "it was none"]


def test_what_cannot_be_taken_back_is_said_wherever_it_goes(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(name=SECOND)
    stages.deploy(B, irreversible="it drops a column")
    assert stages.scene().ledger.deployment(f"{FIRST}-2").irreversible == "it drops a column"
    assert deployment.plan(stages.scene(SECOND), Wishes())["irreversible"] == "it drops a column"
    stages.said.clear()
    stages.deploy(name=SECOND)
    assert any("It cannot be taken back: it drops a column" in each for each in stages.said)
    told = "\n".join(stages.rollback(SECOND, plan=True)["differences"])
    assert f"{SECOND}-2 was said to be: it drops a column" in told
    stages.deploy(A)
    stages.said.clear()
    stages.deploy(B)
    assert any("it drops a column" in each for each in stages.said), "built anew, it is the same release"


def test_a_deployment_has_the_commit_of_its_release(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.deploy(A)
    monkeypatch.setattr(checkout, "revision", lambda: "decade")
    stages.deploy(name=SECOND)
    ledger = stages.scene(SECOND).ledger
    operation = ledger.operation(f"{SECOND}-1")
    assert operation is not None
    assert (ledger.deployment(f"{SECOND}-1").commit, operation.plan["checkout"]) == ("c0ffee", "decade")


# Infrastructure


def test_infrastructure_goes_back_with_a_rollback(stages: Stages) -> None:
    stages.deploy(A)
    stages.assembly = "a2"
    stages.deploy(B)
    stages.difference = changes.Difference({"Api": {}})
    assert stages.rollback(plan=True)["differences"][-1].endswith("Api go back")
    assert stages.gone_back == []
    stages.rollback()
    assert stages.gone_back == [["Api"]]
    assert stages.scene().ledger.deployment(f"{FIRST}-3").assembly == "a1"


def test_infrastructure_that_would_lose_data_is_refused_with_the_list(stages: Stages) -> None:
    for each in (A, B):
        stages.deploy(each)
    stages.difference = changes.Difference({"Api": {}}, [DATA])
    with pytest.raises(Refused, match=f"without losing data. Nothing was changed.\n  {re.escape(DATA)}") as caught:
        stages.rollback()
    assert "--keep-infrastructure" in caught.value.hint
    assert stages.serving() == {f"{FIRST}-2"}


def test_infrastructure_can_be_kept_as_it_is(stages: Stages) -> None:
    stages.deploy(A)
    stages.assembly = "a2"
    stages.deploy(B)
    stages.difference = changes.Difference({"Api": {}}, [DATA])
    assert stages.rollback(keep_infrastructure=True)["release"] == A
    assert stages.gone_back == []
    assert stages.scene().ledger.deployment(f"{FIRST}-3").assembly == "a2"


def test_a_rollback_cut_off_in_its_infrastructure_is_finished_with_it(stages: Stages) -> None:
    for each in (A, B):
        stages.deploy(each)
    stages.difference = changes.Difference({"a1-Api": {}})
    interrupted_in(changes, "go_back", stages.rollback)
    assert stages.scene().lock().look().state == "interrupted"
    done = deployment.resume(stages.scene())
    assert done["release"] == A
    assert stages.gone_back == [["a1-Api"]]
    assert stages.serving() == {f"{FIRST}-3"}


# What must be there first


@pytest.mark.parametrize("what", ["engine", "image"])
def test_what_a_deployment_needs_is_missed_before_anything_is_changed(
    two: Stages, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def missing(*_: object) -> None:
        raise ConfigurationError(f"There is no {what}.")

    monkeypatch.setattr(*((engine, "require_running") if what == "engine" else (publishing, "require")), missing)
    name = FIRST if what == "engine" else SECOND
    with pytest.raises(ConfigurationError, match=f"There is no {what}"):
        two.deploy(name=name)
    ledger = two.scene(name).ledger
    assert [each.id for each in ledger.deployments()] == ([f"{FIRST}-1"] if what == "engine" else [])
    assert ledger.items.lock() is None or two.scene(name).lock().look().state == "free"


def test_an_image_that_is_here_already_need_not_be_where_it_came_from(
    two: Stages, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: object, image: str) -> None:
        if FIRST in image:
            raise ConfigurationError(f"{image} is gone.")

    monkeypatch.setattr(publishing, "require", gone)
    assert two.deploy(name=SECOND)["release"] == A


# What is told


@pytest.mark.parametrize(
    ("since", "count"),
    [
        ("2026-11-23T14:00Z", 2),
        ("2026-11-23T14:00:30Z", 1),
        ("2026-11-23T15:00+01:00", 2),
        ("2026-11-23", 3),
        ("2026-11-24", 0),
    ],
)
def test_the_audit_trail_begins_with_the_time_itself(stages: Stages, since: str, count: int) -> None:
    here = stages.scene()
    for at in ("13:59:59", "14:00:00", "14:00:30"):
        here.ledger.audit({"at": f"2026-11-23T{at}Z", "event": "deploy", "token": 1})
    assert len(showing.audit(here, since)) == count


def test_a_release_is_shown_wherever_it_is(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.deploy(A)
    stages.deploy(name=SECOND)
    stages._settings[SECOND] |= {"PLATFORM": "ecs"}
    monkeypatch.setattr(environment, "deployable", lambda: [FIRST, SECOND])
    assert sorted(showing.release(A, rehearsal=True)["environments"]) == [FIRST, SECOND]


# Hosts


def steps(machine: Machine) -> list[str]:
    """Return what was asked of a host but looks, and forget it."""
    found = [each for each in machine.asked if each != "status"]
    machine.asked.clear()
    return found


def test_a_plan_and_a_look_change_nothing_on_hosts(stages: Stages) -> None:
    stages.deploy(A)
    for each in stages.of():
        each.asked.clear()
        each.agent = "an older one"
    stages.of()[2].agent = ""
    stages.tree = B
    assert deployment.plan(stages.scene(), Wishes())["release"] == B
    with pytest.raises(Refused, match="no verified deployment"):
        stages.rollback(plan=True)
    listed = hosting.listing(stages.scene())
    assert [each["deployment"] for each in listed] == [f"{FIRST}-1", f"{FIRST}-1", None]
    assert all(each["reachable"] and each["engine"] for each in listed)
    assert hosting.converge(stages.scene(), plan=True)[2] == {
        "host": ADDRESSES[2],
        "served": None,
        "serves": f"{FIRST}-1",
    }
    assert hosting.prepare(stages.scene(), plan=True) == sorted(ADDRESSES)
    assert [steps(each) for each in stages.of()] == [[], [], []]


def test_each_step_is_done_by_this_versions_agent(stages: Stages) -> None:
    stages.deploy(A)
    with pytest.raises(Interrupted):
        cut_at(stages, "switch", lambda: stages.deploy(B))
    for each in stages.of():
        each.before = lambda _: None
        each.asked.clear()
        each.agent = "an older one"
    deployment.abort(stages.scene())
    assert [steps(each)[:2] for each in stages.of()] == [["install", "back"]] * 3


def test_hosts_converge_the_first_one_first(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    order: list[str] = []

    def note(address: str, verb: str) -> None:
        order.append(f"{verb} {address}")

    for address, each in stages.machines[FIRST].items():
        each.serves = f"{FIRST}-1"
        each.before = partial(note, address)
    assert {each["served"] for each in hosting.converge(stages.scene())} == {f"{FIRST}-1"}
    assert stages.serving() == {f"{FIRST}-2"}
    switched = [each for each in order if each.startswith("switch")]
    assert switched == [f"switch {each}" for each in ADDRESSES]
    assert order.index(f"stage {ADDRESSES[0]}") < order.index(f"stage {ADDRESSES[1]}")
    assert stages.scene().lock().look().state == "free"


def test_hosts_that_fail_to_converge_leave_the_others_as_they_are(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    for each in stages.of():
        each.serves = f"{FIRST}-1"
    stages.of()[0].failing["switch"] = "it does not answer"
    with pytest.raises(SwitchFailed, match="it does not answer"):
        hosting.converge(stages.scene())
    assert [each.serves for each in stages.of()] == [f"{FIRST}-1"] * 3
    assert stages.scene().lock().look().state == "free"


def test_hosts_converge_to_what_serves_once_the_lock_is_theirs(stages: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    stages.deploy(A)
    acquire, done = Lock.acquire, list[bool]()

    def slower(lock: Lock, holder: dict[str, str], **more: Any) -> None:
        if holder["reason"].startswith("converge") and not done:
            done.append(True)
            stages.deploy(B)
        acquire(lock, holder, **more)

    monkeypatch.setattr(Lock, "acquire", slower)
    hosting.converge(stages.scene())
    assert stages.serving() == {f"{FIRST}-2"}


def test_hosts_switch_offline_by_their_own_records(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    here = stages.scene()
    assert hosting.switch_offline(here, "", plan=True)[0]["serves"] == f"{FIRST}-1"
    assert {each.serves for each in stages.of()} == {f"{FIRST}-2"}
    hosting.switch_offline(here, "")
    assert {each.serves for each in stages.of()} == {f"{FIRST}-1"}


def _beaten(compare: Callable[..., Any], work: Callable[[], object]) -> Callable[..., Any]:
    """Return a comparison that somebody is faster than."""
    done: list[bool] = []

    def slow(*arguments: Any) -> Any:
        found = compare(*arguments)
        if not done:
            done.append(True)
            work()
        return found

    return slow

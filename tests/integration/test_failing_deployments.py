"""Deploys and rollbacks that fail or are cut off: what goes back, what is left interrupted, what is said."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import checkout, deployment, shell
from soundbite.deployment import releasing
from soundbite.errors import Interrupted, Refused, SoundbiteError, WentBack
from soundbite.infrastructure import functions, stacks
from soundbite.releases import Ledger, LedgerUnreachable
from tests.integration.cutting import cut_at, interrupted_in
from tests.integration.stages import FIRST, B, C, Stages

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.deployment.scene import Scene


def test_every_switched_host_goes_back_when_the_second_fails(two: Stages) -> None:
    two.of()[1].failing["switch"] = "it does not answer any more"
    with pytest.raises(WentBack, match="it does not answer any more") as caught:
        two.deploy()
    assert caught.value.exit_code == 5
    assert two.serving() == {f"{FIRST}-1"}
    assert "switch" in two.of()[0].asked
    assert two.of()[2].asked.count("switch") == 1, "only of the deployment before"
    assert two.alias[FIRST] == two.scene().ledger.deployment(f"{FIRST}-1").processor_version
    assert two.scene().ledger.deployment(f"{FIRST}-2").outcome == "failed"
    assert two.scene().lock().look().state == "free"


def test_hosts_go_back_when_lambda_refuses_after_they_switched(two: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    point = functions.point

    def refused(cloud: Any, function: str, version: str) -> bool:
        if version == "3":
            raise SoundbiteError("Lambda refused lambda:UpdateAlias: TooManyRequestsException")
        return point(cloud, function, version)

    monkeypatch.setattr(functions, "point", refused)
    with pytest.raises(WentBack, match="TooManyRequests"):
        two.deploy()
    assert two.serving() == {f"{FIRST}-1"}
    assert two.alias[FIRST] == "2"


def test_a_rollback_that_fails_is_left_for_somebody_to_decide(two: Stages) -> None:
    two.deploy(B)
    two.of()[1].failing["switch"] = "it does not answer any more"
    with pytest.raises(SoundbiteError, match="a rollback is never taken back by itself"):
        two.rollback()
    assert two.scene().lock().look().state == "interrupted"
    two.of()[1].failing.clear()
    deployment.abort(two.scene())
    assert two.serving() == {f"{FIRST}-2"}
    assert two.scene().ledger.bad(B) == ""
    assert two.scene().ledger.deployment(f"{FIRST}-2").bad == ""


def test_sigterm_while_going_back_leaves_it_interrupted(two: Stages) -> None:
    two.of()[1].failing["switch"] = "it does not answer any more"
    with pytest.raises(Interrupted):
        cut_at(two, "back", two.deploy)
    assert two.scene().lock().look().state == "interrupted"
    two.of()[0].before = lambda _: None
    deployment.abort(two.scene())
    assert two.serving() == {f"{FIRST}-1"}


def test_a_rollback_cut_off_before_its_end_is_written_marks_nothing(two: Stages) -> None:
    two.deploy(B)
    interrupted_in(Ledger, "put_ended", two.rollback)
    assert two.scene().ledger.deployment(f"{FIRST}-3").outcome == ""
    deployment.abort(two.scene())
    assert two.serving() == {f"{FIRST}-2"}
    assert (two.scene().ledger.bad(B), two.scene().ledger.deployment(f"{FIRST}-2").bad) == ("", "")
    assert two.scene().ledger.deployment(f"{FIRST}-3").outcome == "aborted"


def begun_and_then(monkeypatch: pytest.MonkeyPatch, error: BaseException, *, written: bool) -> None:
    """Have something happen as an operation's first record is written, or would be."""
    put = Ledger.put_begun

    def put_begun(ledger: Ledger, *told: Any) -> None:
        if written:
            put(ledger, *told)
        raise error

    monkeypatch.setattr(Ledger, "put_begun", put_begun)


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
@pytest.mark.parametrize("how", [deployment.resume, deployment.abort])
def test_cut_off_as_its_first_record_was_written_it_is_interrupted(
    two: Stages, monkeypatch: pytest.MonkeyPatch, verb: str, how: Callable[[Scene], object]
) -> None:
    two.deploy(B)
    two.tree = C
    with monkeypatch.context() as patch:
        begun_and_then(patch, Interrupted(signal.SIGTERM), written=True)
        with pytest.raises(Interrupted):
            getattr(two, verb)()
    assert two.scene().lock().look().state == "interrupted"
    how(two.scene())
    assert two.scene().lock().look().state == "free"
    assert two.scene().ledger.deployment(f"{FIRST}-3").outcome == (
        "succeeded" if how is deployment.resume else "aborted"
    )
    assert two.serving() == {f"{FIRST}-{3 if how is deployment.resume else 2}"}


@pytest.mark.parametrize("written", [True, False])
def test_where_nobody_knows_whether_it_was_begun_abort_looks(
    two: Stages, monkeypatch: pytest.MonkeyPatch, *, written: bool
) -> None:
    with monkeypatch.context() as patch:
        begun_and_then(patch, LedgerUnreachable("The ledger does not answer", "Is it there?"), written=written)
        with pytest.raises(LedgerUnreachable, match=f"{FIRST}-2 may stand in the ledger as begun") as caught:
            two.deploy()
    assert caught.value.hint == f"Is it there? When it is back: inv deploy.{FIRST} --abort."
    assert two.scene().lock().look().state == "interrupted"
    deployment.abort(two.scene())
    assert two.scene().lock().look().state == "free"
    assert [each.outcome for each in two.scene().ledger.deployments()] == (
        ["aborted", "succeeded"] if written else ["succeeded"]
    )
    assert two.deploy()["release"] == B


def test_cut_off_before_anything_was_begun_its_lock_is_free(two: Stages) -> None:
    interrupted_in(Ledger, "next_number", two.deploy)
    assert two.scene().lock().look().state == "free"


def test_a_refused_beginning_gives_its_lock_back(two: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        begun_and_then(patch, Refused("not today"), written=False)
        with pytest.raises(Refused, match="not today"):
            two.deploy()
    assert two.scene().lock().look().state == "free"


def cut_while_stacks_are_deployed(stages: Stages) -> None:
    stages.pending = ["Api"]
    interrupted_in(stacks, "deploy", stages.deploy)


def test_resume_wants_the_tree_that_the_plan_was_made_of(two: Stages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "revision", lambda: "decade")
    cut_while_stacks_are_deployed(two)
    two.tree = C
    monkeypatch.setattr(checkout, "revision", lambda: "facade")
    with pytest.raises(Refused) as caught:
        deployment.resume(two.scene())
    assert "this checkout (facade) is not what it was made from (commit decade)" in caught.value.message
    assert caught.value.hint == "Check out decade and --resume, or --abort."
    assert two.scene().lock().look().state == "interrupted"
    two.tree = B
    assert deployment.resume(two.scene())["release"] == B


@pytest.mark.parametrize("what", ["cdk", "build"])
def test_a_failing_command_keeps_its_own_words(two: Stages, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def fail(*_: object, **__: object) -> None:
        code = "import sys; print('no space left on the builder', file=sys.stderr); sys.exit(7)"
        shell.run([sys.executable, "-c", code], timeout=30)

    two.pending = ["Api"]
    monkeypatch.setattr(*((stacks, "deploy") if what == "cdk" else (releasing, "bring")), fail)
    with pytest.raises(SoundbiteError) as caught:
        two.deploy()
    assert "no space left on the builder" in str(caught.value)
    assert f"Nothing was switched; {FIRST}-1 serves, as before." in str(caught.value)
    assert "7" in str(caught.value)
    assert two.scene().ledger.deployment(f"{FIRST}-2").outcome == "failed"
    assert two.scene().lock().look().state == "free"

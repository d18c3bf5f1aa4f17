"""How checks are run: deadlines, patience, those that must be alone, and what a failure means."""

from __future__ import annotations

import itertools
import re
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.checks import Check, Evidence, Failed, NotYet, Outcome, Scene, Severity, Skipped, Verdict, Warned, run
from soundbite.checks.running import judge
from soundbite.cloud import Cloud
from soundbite.errors import Inconclusive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a scene of which no check here looks at anything."""
    loaded = environment.load("dev-localstack", {})
    return Scene(loaded, Cloud(loaded), tmp_path)


def made(name: str, function: Callable[[Scene], Any], deadline: float = 20, **more: Any) -> Check:
    """Return a check."""
    return Check(f"custom.{name}", function, deadline, **more)


def fine(_: Scene) -> str:
    """Say that all is well."""
    return "well"


def raising(error: Exception) -> Callable[[Scene], str]:
    """Return what raises something."""

    def function(_: Scene) -> str:
        raise error

    return function


def test_a_check_that_is_late_is_inconclusive_by_its_own_deadline_and_holds_up_nobody(scene: Scene) -> None:
    ended = threading.Event()
    late = made("late", lambda _: str(ended.wait(30)), 1)
    later = made("later", lambda _: str(ended.wait(30)), 0.3)
    told: list[str] = []
    began = time.monotonic()
    verdicts = run([late, made("fine", fine), later], scene, tell=lambda each: told.append(each.check))
    took = time.monotonic() - began
    ended.set()
    assert [each.outcome for each in verdicts] == [Outcome.INCONCLUSIVE, Outcome.PASS, Outcome.INCONCLUSIVE]
    assert [each.message for each in verdicts] == ["not done after 1 s", "well", "not done after 0 s"]
    assert told == ["custom.fine", "custom.later", "custom.late"]
    assert 1 <= took < 5
    assert verdicts[0].seconds == pytest.approx(1, abs=0.05)


def test_what_comes_after_its_deadline_is_not_believed(scene: Scene) -> None:
    def slow(_: Scene) -> str:
        time.sleep(0.4)
        return "well, late"

    told: list[Verdict] = []
    verdicts = run([made("slow", slow, 0.1), made("alone", slow, alone=True)], scene, tell=told.append)
    assert [each.outcome for each in verdicts] == [Outcome.INCONCLUSIVE, Outcome.PASS]
    assert [each.check for each in told] == ["custom.slow", "custom.alone"]


def test_the_time_for_all_cuts_deadlines_and_what_never_began_says_so(scene: Scene) -> None:
    ended = threading.Event()
    hanging = made("hanging", lambda _: str(ended.wait(30)))
    began = time.monotonic()
    verdicts = run([made("last", fine, alone=True), hanging, made("fine", fine)], scene, within=1)
    ended.set()
    assert time.monotonic() - began < 5
    assert {each.check: (each.outcome.value, each.message) for each in verdicts} == {
        "custom.last": ("inconclusive", "not begun within 1 s"),
        "custom.hanging": ("inconclusive", "not done after 1 s"),
        "custom.fine": ("pass", "well"),
    }
    assert [each.check for each in verdicts] == ["custom.last", "custom.hanging", "custom.fine"]
    assert scene.until <= began + 1 + 1


def test_independent_checks_run_at_once_and_those_alone_after_them_one_by_one(scene: Scene) -> None:
    together = threading.Barrier(2)
    running: list[str] = []
    seen: list[list[str]] = []

    def beside(name: str, wait: Callable[[], object]) -> Check:
        def function(_: Scene) -> str:
            running.append(name)
            wait()
            seen.append(sorted(running))
            wait()
            running.remove(name)
            return name

        return made(name, function, alone=name.startswith("alone"))

    def meet() -> None:
        together.wait(10)

    def rest() -> None:
        time.sleep(0.05)

    checks = [beside("alone-1", rest), beside("one", meet), beside("alone-2", rest), beside("two", meet)]
    verdicts = run(checks, scene)
    assert {each.outcome for each in verdicts} == {Outcome.PASS}
    assert seen == [["one", "two"], ["one", "two"], ["alone-1"], ["alone-2"]]


def test_what_may_become_well_is_asked_again_with_growing_pauses(scene: Scene) -> None:
    asked: list[float] = []

    def settles(_: Scene) -> str:
        asked.append(time.monotonic())
        if len(asked) < 4:
            raise NotYet("being changed")
        return "settled"

    verdict = judge(made("settles", settles, patience=10), scene)
    assert (verdict.outcome, verdict.message) == (Outcome.PASS, "settled")
    pauses = [later - before for before, later in itertools.pairwise(asked)]
    assert [pause >= least for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True)] == [True] * 3, pauses
    assert sum(pauses) < 5  # on a busy machine


def test_what_never_becomes_well_fails_and_says_how_long_it_was_waited_for(scene: Scene) -> None:
    verdict = judge(made("never", raising(NotYet("being changed")), patience=2), scene)
    assert verdict.outcome is Outcome.FAIL
    assert re.fullmatch(r"being changed \(still so after [12] s\)", verdict.message)
    assert 1 < verdict.seconds < 5


def test_without_patience_it_is_asked_once(scene: Scene) -> None:
    asked: list[int] = []

    def never(_: Scene) -> str:
        asked.append(1)
        raise NotYet("being changed")

    verdict = judge(made("never", never), scene)
    assert (verdict.outcome, verdict.message, len(asked)) == (Outcome.FAIL, "being changed", 1)


def test_a_failure_of_severity_warning_is_a_warning_with_its_measurements(scene: Scene) -> None:
    failing = raising(Failed("odd", {"count": 3}))
    assert judge(made("error", failing), scene).outcome is Outcome.FAIL
    verdict = judge(made("warning", failing, severity=Severity.WARNING), scene)
    assert (verdict.outcome, verdict.message, verdict.data) == (Outcome.WARN, "odd", {"count": 3})
    # What cannot be measured is not made better by it, nor what may still become well made worse.
    unknown = judge(made("unknown", raising(Inconclusive("no answer")), severity=Severity.WARNING), scene)
    assert unknown.outcome is Outcome.INCONCLUSIVE
    moving = judge(made("moving", raising(NotYet("being changed")), severity=Severity.WARNING), scene)
    assert moving.outcome is Outcome.WARN


@pytest.mark.parametrize(
    ("function", "outcome", "message"),
    [
        (lambda _: Evidence("quick", {"ms": 3}), "pass", "quick"),
        (raising(Warned("look")), "warn", "look"),
        (raising(Skipped("not here")), "skip", "not here"),
        (raising(Inconclusive("no right", "ask for it")), "inconclusive", "no right"),
        (raising(KeyError("TableArn")), "inconclusive", "KeyError: 'TableArn'"),
        (lambda _: None, "inconclusive", "the check says nothing of what it found"),
    ],
)
def test_however_a_check_ends_there_is_a_verdict(
    scene: Scene, function: Callable[[Scene], Any], outcome: str, message: str
) -> None:
    verdict = judge(made("any", function), scene)
    assert (verdict.outcome.value, verdict.message) == (outcome, message)
    assert verdict.data == ({"ms": 3} if message == "quick" else {})
    assert verdict.hint == ("ask for it" if message == "no right" else "")


def test_a_check_for_others_is_not_asked(scene: Scene) -> None:
    def never(_: Scene) -> str:
        raise AssertionError

    verdict = judge(made("others", never, environments=("deployed",)), scene)
    assert (verdict.outcome, verdict.message) == (Outcome.SKIP, "is for deployed only")
    for mine in ("local", "dev-localstack"):
        assert judge(made("mine", fine, environments=(mine, "staging")), scene).outcome is Outcome.PASS

"""How checks are run: what they must take away again, and in which order they come."""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING

import pytest

from soundbite import environment
from soundbite.checks import (
    DEPLOYED,
    Check,
    Debt,
    Halted,
    Outcome,
    Scene,
    check,
    choose,
    load_modules,
    model,
    run,
    running,
)
from soundbite.checks.calling import call
from soundbite.checks.model import Registry
from soundbite.cloud import Cloud
from soundbite.errors import ConfigurationError, Inconclusive, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Return a scene that nobody answers in."""
    loaded = environment.load("dev-localstack")
    return Scene(loaded, Cloud(loaded), tmp_path, url="http://127.0.0.1:1")


def owing(undo: Callable[[], str]) -> Check:
    """Return a check that makes something and hangs."""

    def make(scene: Scene) -> str:
        scene.owe(Debt("custom.making", "the thing", undo))
        threading.Event().wait()
        return ""

    return Check("custom.making", make, 20.0)


def test_what_a_check_made_that_hangs_is_taken_away(scene: Scene) -> None:
    taken = []
    (verdict,) = run([owing(lambda: taken.append(1) or "")], scene, within=0.3)  # type: ignore[func-returns-value]
    assert taken == [1]
    assert (verdict.outcome, verdict.message) == (Outcome.INCONCLUSIVE, "not done after 0 s")
    assert scene.debts() == []


def _fails() -> str:
    raise RuntimeError("no right")


@pytest.mark.parametrize(
    ("undo", "why"),
    [
        (lambda: "it is still pending", "it is still pending"),
        (_fails, "no right"),
        (lambda: threading.Event().wait() or "", "not taken away within 0.5 s"),
    ],
)
def test_what_cannot_be_taken_away_is_told_in_time(scene: Scene, undo: Callable[[], str], why: str) -> None:
    began = time.monotonic()
    (verdict,) = run([owing(undo)], scene, within=0.3)
    assert time.monotonic() - began < 1.3
    assert verdict.message == f"not done after 0 s; left behind: the thing: {why}"


def test_what_a_check_made_that_is_interrupted_is_taken_away(scene: Scene) -> None:
    taken = []

    def interrupted(_: object) -> None:
        raise Interrupted(2)

    making = owing(lambda: taken.append(1) or "")  # type: ignore[func-returns-value]

    def done_soon(_: Scene) -> str:
        time.sleep(0.2)
        return "done"

    quick = Check("custom.quick", done_soon, 20.0)
    with pytest.raises(Halted) as halted:
        run([making, quick], scene, tell=interrupted)
    assert taken == [1]
    assert [each.message for each in halted.value.verdicts] == ["interrupted before it was done", "done"]


def test_nothing_is_asked_for_when_nobody_takes_it_away_any_more(scene: Scene) -> None:
    run([Check("custom.well", lambda _: "well", 20.0)], scene)
    with pytest.raises(Inconclusive, match="the time for checks is over"):
        call(scene, "POST", "/soundbite")


def test_those_that_must_be_alone_come_after_the_others_and_those_that_must_be_last_after_all(scene: Scene) -> None:
    told: list[str] = []
    at_work: list[str] = []

    def noted(name: str) -> Callable[[Scene], str]:
        def work(_: Scene) -> str:
            at_work.append(name)
            time.sleep(0.05)
            told.append(f"{name} beside {len(at_work) - 1}")
            at_work.remove(name)
            return name

        return work

    checks = [
        Check("api.last", noted("last"), 20.0, alone=True, last=True),
        Check("api.beside", noted("beside"), 20.0),
        Check("performance.alone", noted("alone"), 20.0, alone=True),
    ]
    verdicts = run(checks, scene)
    assert told == ["beside beside 0", "alone beside 0", "last beside 0"]
    assert [each.check for each in verdicts] == [each.id for each in checks]


def test_the_rate_limit_is_used_up_at_the_very_end() -> None:
    load_modules(["app.checks"])
    assert [each.id for each in choose() if each.last] == ["api.rate_limit_refuses"]


# What is defined


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """Return a registry of a test's own."""
    made = Registry()
    monkeypatch.setattr(model, "REGISTRY", made)
    monkeypatch.setattr(running, "REGISTRY", made)
    return made


def one(_: Scene) -> str:
    """One."""
    return ""


def another(_: Scene) -> str:
    """Another."""
    return ""


def test_two_checks_of_one_id_are_refused(registry: Registry) -> None:
    check("custom.one")(one)
    check("custom.one")(one)  # its module is imported again
    with pytest.raises(ConfigurationError, match=r"two checks custom\.one: .*\.one, line \d+ and .*\.another, line"):
        check("custom.one")(another)
    assert registry.checks["custom.one"].function is one


@pytest.mark.parametrize("id", ["custom", "custom.", ".one", ""])
def test_a_check_without_a_group_is_refused(registry: Registry, id: str) -> None:
    with pytest.raises(ConfigurationError, match="has no group"):
        check(id)(one)
    assert registry.checks == {}


def test_a_check_for_an_environment_that_there_is_not_is_refused(registry: Registry) -> None:
    check("custom.one", environments=["staging", DEPLOYED])(one)
    load_modules([])
    check("custom.another", environments=["stagging"])(another)
    with pytest.raises(ConfigurationError, match=r"custom\.another .* is for stagging, which is no environment"):
        load_modules([])
    assert len(registry.checks) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_that_name\n", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("raise RuntimeError('no luck')\n", "cannot be imported: RuntimeError: no luck"),
        ("def broken(:\n", "cannot be imported: SyntaxError"),
        ("raise SystemExit(0)\n", "it ends the process"),
        ("from soundbite.checks import check\n@check('alone')\ndef alone(scene): ...\n", "'alone' (failing.alone, "),
    ],
)
@pytest.mark.parametrize("hurried", [False, True])
def test_a_module_that_cannot_be_imported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str, hurried: bool
) -> None:
    (tmp_path / "failing.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ConfigurationError) as refused:
        load_modules(["failing"], time.monotonic() + 20 if hurried else math.inf)
    assert refused.value.message.startswith("CHECKS names failing")
    assert words in refused.value.message

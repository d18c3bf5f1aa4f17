"""Running checks: independent ones at once, none longer than its deadline, and all within the time there is."""

from __future__ import annotations

import importlib
import math
import queue
import sys
import threading
import time
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import environment, paths, waiting
from soundbite.errors import ConfigurationError, Inconclusive, Interrupted, SoundbiteError
from soundbite.parallel import Asked, Late

from .model import REGISTRY, Check, Evidence, Failed, NotYet, Outcome, Scene, Severity, Skipped, Verdict, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_THREAD = "check "
_TIDYING, _TIDYING_AFTER_SIGNAL = 0.45, 4.0
"""Seconds for taking away what checks left that were given up: beyond the end that was given, and after a signal."""
OWN = ("identity", "config", "stacks", "resources", "release", "api", "performance", "monitoring", "security")
"""The modules of this package that define checks, in the order of reports."""


def load_modules(names: Sequence[str], until: float = math.inf) -> None:
    """Import the modules that define checks: our own, then an application's (CHECKS in the env file).

    Parameters
    ----------
    until:
        When an application's must be there, by `time.monotonic`.

    Raises
    ------
    ConfigurationError
        A module is not there, or fails to import; or a check is for an environment that there is not.
    Inconclusive
        It is not imported in time.
    """
    for name in OWN:
        importlib.import_module(f"soundbite.checks.{name}")
    if str(paths.ROOT) not in sys.path:
        sys.path.insert(0, str(paths.ROOT))
    for name in names:
        try:
            if math.isinf(until):
                _import(name)
            else:
                Asked(partial(_import, name), name, thread=f"{_THREAD}module {name}").result(until)
        except Late:
            raise Inconclusive(
                f"CHECKS names {name}, which is still being imported when the time for all checks is over.",
                "Let it ask nobody while it is imported; a check asks when it is run.",
            ) from None
        except ConfigurationError as error:
            raise ConfigurationError(f"CHECKS names {name}: {error.message}", error.hint) from None
        except Exception as error:  # noqa: BLE001 - somebody's module may fail in any way
            raise ConfigurationError(
                f"CHECKS names {name}, which cannot be imported: {type(error).__name__}: {error}",
                "It is a Python module below the checkout.",
            ) from None
    REGISTRY.require_environments(environment.order())


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except SystemExit as error:
        raise ImportError(f"it ends the process ({error!r})") from None


def choose(only: Sequence[str] = (), skip: Sequence[str] = ()) -> list[Check]:
    """Return the checks of some groups or ids, in the order of their groups.

    Parameters
    ----------
    only:
        Groups and ids; empty: all.
    skip:
        Groups and ids to leave out.

    Raises
    ------
    ConfigurationError
        There is no such group or check, or nothing is left: nothing checked would be taken for nothing wrong.
    """
    known = {each.id for each in REGISTRY.checks.values()} | {each.group for each in REGISTRY.checks.values()}
    for name in (*only, *skip):
        if name not in known:
            near = get_close_matches(name, known, n=1)
            guess = f" Did you mean {near[0]}?" if near else ""
            groups = ", ".join(dict.fromkeys(each.group for each in REGISTRY.checks.values()))
            raise ConfigurationError(f"There is no group or check {name!r}.{guess}", f"Groups are: {groups}.")
    chosen = [
        each
        for each in REGISTRY.checks.values()
        if (not only or {each.id, each.group} & set(only)) and not {each.id, each.group} & set(skip)
    ]
    if not chosen:
        raise ConfigurationError("--skip leaves no check over.")
    order = {group: number for number, group in enumerate(OWN)}
    return sorted(chosen, key=lambda each: order.get(each.group, len(OWN)))


def run(
    checks: Sequence[Check], scene: Scene, *, within: float = 600.0, tell: Callable[[Verdict], None] | None = None
) -> list[Verdict]:
    """Run checks: all at once, then one after another those that must be alone, and at the end those that must be last.

    Parameters
    ----------
    within:
        Seconds for all of them; what is not done then is inconclusive.
    tell:
        Takes each verdict as it comes.

    Returns
    -------
    list
        One verdict a check, in their order.

    Raises
    ------
    Halted
        It was interrupted; the exception has the verdicts so far, the others are inconclusive.
    """
    scene.until = time.monotonic() + within
    scene.over.clear()
    running = _Running(scene, tell or _nobody, scene.until)
    interrupted: Interrupted | None = None
    try:
        running.together([each for each in checks if not each.alone])
        for each in sorted((each for each in checks if each.alone), key=lambda each: each.last):
            running.together([each])
    except Interrupted as signal:
        interrupted = signal
    scene.over.set()
    why = "interrupted before it was done" if interrupted else f"not begun within {within:.0f} s"
    verdicts = running.verdicts(checks, why)
    try:
        left = tidied(scene, _TIDYING_AFTER_SIGNAL if interrupted else _TIDYING)
    except Interrupted as signal:
        interrupted = signal
        left = tidied(scene, _TIDYING_AFTER_SIGNAL)
    verdicts = [
        replace(each, message=f"{each.message}; left behind: {left[each.check]}") if each.check in left else each
        for each in verdicts
    ]
    if interrupted:
        raise Halted(interrupted, verdicts)
    return verdicts


def tidied(scene: Scene, seconds: float) -> dict[str, str]:
    """Take away what checks have made and not taken away themselves.

    Parameters
    ----------
    seconds:
        How long that may take.

    Returns
    -------
    dict
        What is left and why, by the check's id.
    """
    until = time.monotonic() + seconds
    work = [(debt, Asked(debt.undo, debt.what)) for debt in scene.debts()]
    left: dict[str, list[str]] = {}
    for debt, asked in work:
        try:
            problem = asked.result(until)
        except Late:
            problem = f"not taken away within {seconds:.1f} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, the thing is still there
            problem = str(error)
        if problem and debt in scene.debts():
            left.setdefault(debt.check, []).append(f"{debt.what}: {problem}")
        else:
            scene.settle(debt)
    return {check: "; ".join(each) for check, each in left.items()}


def unfinished(checks: Sequence[Check], found: Mapping[str, Verdict], why: str) -> list[Verdict]:
    """Return a verdict for each check, of those that are not found an inconclusive one that says why."""
    return [found.get(each.id) or Verdict(each.id, Outcome.INCONCLUSIVE, why, 0.0, each.title) for each in checks]


def hanging() -> bool:
    """Tell whether a check, or the import of one, still runs though it was given up.

    A pool that it waits for keeps the process from ending.
    """
    return any(each.name.startswith(_THREAD) for each in threading.enumerate())


class Halted(BaseException):
    """Checks were interrupted; `verdicts` has what is known."""

    def __init__(self, interrupted: Interrupted, verdicts: list[Verdict]) -> None:
        super().__init__(str(interrupted))
        self.interrupted = interrupted
        self.verdicts = verdicts


class _Running:
    def __init__(self, scene: Scene, tell: Callable[[Verdict], None], end: float) -> None:
        self._scene = scene
        self._tell = tell
        self._end = end
        self._found: dict[str, Verdict] = {}
        self._threads: dict[str, threading.Thread] = {}

    def together(self, checks: Sequence[Check]) -> None:
        """Run checks at once; return when each is done or late."""
        done: queue.Queue[Verdict] = queue.Queue()
        began = time.monotonic()
        if began >= self._end:
            return
        late = {each.id: (each, min(began + each.deadline, self._end)) for each in checks}
        for each in checks:
            # Daemons: what hangs in one ends with the process.
            job = partial(self._judge, each, done)
            self._threads[each.id] = threading.Thread(target=job, name=f"{_THREAD}{each.id}", daemon=True)
            self._threads[each.id].start()
        while late:
            until = min(end for _, end in late.values())
            try:
                verdict = done.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                for each, end in list(late.values()):
                    if end <= time.monotonic():
                        del late[each.id]
                        text = f"not done after {end - began:.0f} s{self._awaited(each)}"
                        self._take(Verdict(each.id, Outcome.INCONCLUSIVE, text, end - began, each.title))
                continue
            if late.pop(verdict.check, None):
                self._take(verdict)

    def verdicts(self, checks: Sequence[Check], why: str) -> list[Verdict]:
        """Return a verdict for each check; for one without, `why` says why."""
        return [
            self._found.get(each.id)
            or Verdict(each.id, Outcome.INCONCLUSIVE, f"{why}{self._awaited(each)}", 0.0, each.title)
            for each in checks
        ]

    def _awaited(self, check: Check) -> str:
        thread = self._threads.get(check.id)
        what = waiting.told(thread.ident) if thread is not None and thread.is_alive() else ""
        return f": no answer of {what} yet" if what else ""

    def _judge(self, check: Check, done: queue.Queue[Verdict]) -> None:
        done.put(judge(check, self._scene))

    def _take(self, verdict: Verdict) -> None:
        self._found[verdict.check] = verdict
        self._tell(verdict)


def judge(check: Check, scene: Scene) -> Verdict:
    """Run one check here and now."""
    began = time.monotonic()
    outcome, message, hint = Outcome.PASS, "", ""
    data: dict[str, Any] = {}
    if not check.is_for(scene.environment):
        return Verdict(check.id, Outcome.SKIP, f"is for {', '.join(check.environments)} only", 0.0, check.title)
    try:
        found = _patiently(check, scene)
        message, data = found if isinstance(found, Evidence) else (found, {})
        if not isinstance(message, str):
            outcome, message = Outcome.INCONCLUSIVE, "the check says nothing of what it found"
    except Failed as failed:
        outcome = Outcome.FAIL if check.severity is Severity.ERROR else Outcome.WARN
        message, data = str(failed), getattr(failed, "data", {})
    except Warned as warned:
        outcome, message = Outcome.WARN, str(warned)
    except Skipped as skipped:
        outcome, message = Outcome.SKIP, str(skipped)
    except SoundbiteError as error:
        outcome, message, hint = Outcome.INCONCLUSIVE, error.message, error.hint
    except Exception as error:  # noqa: BLE001 - a check with a bug has measured nothing
        outcome, message = Outcome.INCONCLUSIVE, f"{type(error).__name__}: {error}"
    return Verdict(check.id, outcome, message, time.monotonic() - began, check.title, hint, data)


def _patiently(check: Check, scene: Scene) -> str | Evidence:
    began, pause = time.monotonic(), _PAUSE
    while True:
        try:
            return check.function(scene)
        except NotYet as state:
            waited = time.monotonic() - began
            if waited + pause > check.patience:
                suffix = f" (still so after {waited:.0f} s)" if waited >= 1 else ""
                raise Failed(f"{state}{suffix}") from None
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE)


def _nobody(_: Verdict) -> None:
    pass

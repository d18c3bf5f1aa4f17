"""Running checks: independent ones at once, none longer than its deadline, and all within the time there is."""

from __future__ import annotations

import importlib
import queue
import sys
import threading
import time
from difflib import get_close_matches
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import paths
from soundbite.errors import ConfigurationError, Interrupted, SoundbiteError

from .model import REGISTRY, Check, Evidence, Failed, NotYet, Outcome, Scene, Severity, Skipped, Verdict, Warned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PAUSE, _LONGEST_PAUSE = 0.2, 2.0
_THREAD = "check "
OWN = ("identity", "config", "stacks", "resources", "release", "api", "performance", "monitoring", "security")
"""The modules of this package that define checks, in the order of reports."""


def load_modules(names: Sequence[str]) -> None:
    """Import the modules that define checks: our own, then an application's (CHECKS in the env file).

    Raises
    ------
    ConfigurationError
        A module is not there, or fails to import.
    """
    for name in OWN:
        importlib.import_module(f"soundbite.checks.{name}")
    if str(paths.ROOT) not in sys.path:
        sys.path.insert(0, str(paths.ROOT))
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001 - somebody's module may fail in any way
            raise ConfigurationError(
                f"CHECKS names {name}, which cannot be imported: {type(error).__name__}: {error}",
                "It is a Python module below the checkout.",
            ) from None


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
    """Run checks: all at once, then one after another those that must be alone.

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
    running = _Running(scene, tell or _nobody, scene.until)
    try:
        running.together([each for each in checks if not each.alone])
        for each in checks:
            if each.alone:
                running.together([each])
    except Interrupted as interrupted:
        raise Halted(interrupted, running.verdicts(checks, "interrupted before it was done")) from None
    return running.verdicts(checks, f"not begun within {within:.0f} s")


def hanging() -> bool:
    """Tell whether a check that was given up still runs; a pool that it waits for keeps the process from ending."""
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
            threading.Thread(target=job, name=f"{_THREAD}{each.id}", daemon=True).start()
        while late:
            until = min(end for _, end in late.values())
            try:
                verdict = done.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                for each, end in list(late.values()):
                    if end <= time.monotonic():
                        del late[each.id]
                        text = f"not done after {end - began:.0f} s"
                        self._take(Verdict(each.id, Outcome.INCONCLUSIVE, text, end - began, each.title))
                continue
            if late.pop(verdict.check, None):
                self._take(verdict)

    def verdicts(self, checks: Sequence[Check], why: str) -> list[Verdict]:
        """Return a verdict for each check; for one without, `why` says why."""
        return [
            self._found.get(each.id) or Verdict(each.id, Outcome.INCONCLUSIVE, why, 0.0, each.title) for each in checks
        ]

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

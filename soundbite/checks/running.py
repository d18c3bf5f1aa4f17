"""Running checks: all at once, none longer than its deadline."""

from __future__ import annotations

import importlib
import sys
import threading
import time
from typing import TYPE_CHECKING

from soundbite import console, paths
from soundbite.errors import ConfigurationError, SoundbiteError

from .model import REGISTRY, Check, Failed, Outcome, Scene, Skipped, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence


def load_modules(names: Sequence[str]) -> None:
    """Import the modules that define an application's own checks (CHECKS in the env file).

    Raises
    ------
    ConfigurationError
        A module is not there, or fails to import.
    """
    if str(paths.ROOT) not in sys.path:
        sys.path.insert(0, str(paths.ROOT))
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise ConfigurationError(
                f"CHECKS names {name}, which cannot be imported: {error}", "It is a Python module below the checkout."
            ) from None


def run(groups: Sequence[str], scene: Scene) -> list[Verdict]:
    """Run the checks of some groups at once.

    Returns
    -------
    list
        One verdict a check, in the order of their definition.

    Raises
    ------
    ConfigurationError
        There is no check in these groups: nothing checked would be taken for nothing wrong.
    """
    from . import resources  # noqa: F401 - defines its checks

    chosen = [each for each in REGISTRY.checks.values() if each.group in groups]
    if not chosen:
        raise ConfigurationError(f"There is no check in {', '.join(groups)}.", "CHECKS in the env file names modules.")
    results: dict[str, Verdict] = {}
    threads = [threading.Thread(target=_judge, args=(each, scene, results), daemon=True) for each in chosen]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for each, thread in zip(chosen, threads, strict=True):
        thread.join(max(0.0, started + each.deadline - time.monotonic()))
        late = Verdict(each.id, Outcome.INCONCLUSIVE, f"not done after {each.deadline:.0f} s", each.deadline)
        results.setdefault(each.id, late)
    return [results[each.id] for each in chosen]


def report(verdicts: Sequence[Verdict]) -> int:
    """Print verdicts on stderr.

    Returns
    -------
    int
        The exit code they mean: 0 all is well, 1 something failed, 6 something could not be measured.
    """
    marks = {
        Outcome.PASS: ("✓", "green"),
        Outcome.FAIL: ("✗", "red"),
        Outcome.SKIP: ("-", "dim"),
        Outcome.INCONCLUSIVE: ("?", "yellow"),
    }
    for each in verdicts:
        mark, colour = marks[each.outcome]
        console.say(f"  {console.paint(mark, colour)} {each.check:<22} {each.message}")
    outcomes = {each.outcome for each in verdicts}
    if Outcome.FAIL in outcomes:
        return 1
    return 6 if Outcome.INCONCLUSIVE in outcomes else 0


def _judge(each: Check, scene: Scene, results: dict[str, Verdict]) -> None:
    started = time.monotonic()
    outcome, message = Outcome.PASS, ""
    try:
        message = each.function(scene)
    except Failed as failed:
        outcome, message = Outcome.FAIL, str(failed)
    except Skipped as skipped:
        outcome, message = Outcome.SKIP, str(skipped)
    except SoundbiteError as error:
        outcome, message = Outcome.INCONCLUSIVE, error.message
    except Exception as error:  # noqa: BLE001 - a check with a bug has measured nothing
        outcome, message = Outcome.INCONCLUSIVE, f"{type(error).__name__}: {error}"
    results.setdefault(each.id, Verdict(each.id, outcome, message, time.monotonic() - started))

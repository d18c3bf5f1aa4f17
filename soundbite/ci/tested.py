"""What the last run of `inv test` says of the checkout as it is: only what it earned."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from soundbite import checkout
from soundbite.ages import age

from . import record, results
from .record import FAILED, PASSED, Run, Unreadable

_RESULTS = {"vitest": "vitest.xml", "pytest": "pytest.xml"}
PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"


def tested(revision: str) -> dict[str, Any]:
    """Return how the last run of `inv test` ended, and what that says of a revision.

    Parameters
    ----------
    revision:
        What is checked out.

    Returns
    -------
    dict
        `outcome`: `pass` only if everything ran on this very commit, to its end, and passed; `fail` if something
        failed on it; else `unknown`. `doubts`: why it says less than it seems to. `run`: what ran, None if nothing did.
    """
    try:
        run = record.last()
    except Unreadable as error:
        return {"outcome": UNKNOWN, "doubts": [error.message], "run": None, "suites": [], "coverage": None}
    if run is None:
        doubts = ["There are no results of inv test here."]
        return {"outcome": UNKNOWN, "doubts": doubts, "run": None, "suites": [], "coverage": None}
    suites = [_suite(run, asdict(each)) for each in run.suites]
    measured = any(each.name == "pytest" and each.outcome in {PASSED, FAILED} for each in run.suites)
    elsewhere = _elsewhere(run, revision)
    doubts = [*elsewhere, *_unfinished(run), *_partial(run)]
    doubts += [_contradiction(each) for each in suites if each["tests"] and _contradicts(each)]
    outcome = PASS if suites and all(each["outcome"] == PASSED for each in suites) else UNKNOWN
    outcome = UNKNOWN if doubts else outcome
    if not elsewhere and any(each["outcome"] == FAILED for each in suites):
        outcome = FAIL
    return {
        "outcome": outcome,
        "doubts": doubts,
        "run": {
            "revision": run.revision,
            "started": run.started,
            "age_seconds": age(run.started),
            "finished": run.finished or None,
            "goes_on": run.goes_on,
            "groups": sorted({each.group for each in run.suites}),
            "only": run.only,
            "pytest": run.more,
        },
        "suites": suites,
        "coverage": results.coverage(run.file("coverage.json")) if measured else None,
    }


def _suite(run: Run, suite: dict[str, Any]) -> dict[str, Any]:
    ended = suite["outcome"] in {PASSED, FAILED}
    file = _RESULTS.get(suite["name"])
    return {**suite, "tests": results.tests(run.file(file)) if file and ended else None}


def _contradicts(suite: dict[str, Any]) -> bool:
    """Tell whether a suite's results say something else than its exit code, or nothing."""
    tests = suite["tests"]
    return "unknown" in tests or (suite["outcome"] == PASSED) == bool(tests["failed"])


def _contradiction(suite: dict[str, Any]) -> str:
    but = suite["tests"].get("unknown") or f"of its tests {suite['tests']['failed']} failed"
    return f"{suite['name']} {suite['outcome']}, but {but}."


def _elsewhere(run: Run, revision: str) -> list[str]:
    """Return why it may not be this code that it ran on."""
    if checkout.UNKNOWN in {run.revision, revision}:
        return ["Which commit it ran on, or which one is checked out, is unknown."]
    if run.revision.removesuffix(checkout.DIRTY) != revision.removesuffix(checkout.DIRTY):
        return [f"It ran on another commit: {run.revision}, not {revision}."]
    doubts = []
    if run.finished and run.revision_after != run.revision:
        doubts.append(f"The checkout changed while it ran: {run.revision}, then {run.revision_after}.")
    if not checkout.is_clean(run.revision):
        doubts.append(f"It ran on {run.revision}: with changes that no commit has, so what it ran on is not known.")
    elif not checkout.is_clean(revision):
        doubts.append("There are changes since that no commit has.")
    return doubts


def _unfinished(run: Run) -> list[str]:
    if run.finished:
        return []
    left = ", ".join(each.name for each in run.suites if each.outcome not in {PASSED, FAILED}) or "its end"
    return [f"It goes on: {left} is to come." if run.goes_on else f"It was cut off: {left} is missing."]


def _partial(run: Run) -> list[str]:
    doubts = []
    if run.only:
        doubts.append(f"Only {', '.join(run.only)} ran (--only).")
    if run.more:
        doubts.append(f"pytest ran with more arguments, which may leave tests out: {shlex.join(run.more)}")
    return doubts

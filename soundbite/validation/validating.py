"""`inv validate` and `inv health`: checks run on an environment, told, and kept on its deployment."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from soundbite import checkout, checks, console
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError
from soundbite.parallel import Asked
from soundbite.place import place
from soundbite.releases import Ledger
from soundbite.reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from soundbite.checks import Check, Verdict
    from soundbite.environment import Environment
    from soundbite.errors import Interrupted
    from soundbite.releases import Deployment

    Watch = Callable[[Sequence[Check]], AbstractContextManager[Callable[[Verdict], None]]]

_LAST_WORD = 0.7
"""Seconds that recording may take beyond the time that was given, where checks used all of it."""
_RECORDING = 5.0


@dataclass(frozen=True)
class Scope:
    """Which checks, and how.

    Attributes
    ----------
    only:
        Groups and ids of checks; empty: all.
    skip:
        Groups and ids left out.
    timeout:
        Seconds for all of it.
    strict:
        Whether warnings count as failures.
    """

    only: Sequence[str] = ()
    skip: Sequence[str] = ()
    timeout: float = 600.0
    strict: bool = False

    def __str__(self) -> str:
        parts = [f"{what} {', '.join(names)}" for what, names in (("only", self.only), ("without", self.skip)) if names]
        return "; ".join(parts)


@dataclass
class Result:
    """A report, and what happened around it.

    Attributes
    ----------
    interrupted:
        The signal that ended it early.
    """

    report: Report
    interrupted: Interrupted | None = None


def validate(
    environment: Environment,
    scope: Scope,
    wishes: checks.Wishes,
    *,
    rehearsal: bool = False,
    watch: Watch | None = None,
) -> Result:
    """Run checks on an environment, and keep their verdict in its ledger.

    Parameters
    ----------
    watch:
        Makes, of the checks that will run, a context whose value takes each verdict as it comes.

    Raises
    ------
    ConfigurationError
        An unknown group or check, or a module of CHECKS that cannot be imported.
    """
    began, started = time.monotonic(), datetime.now(UTC)
    checks.load_modules(environment.workflow.checks)
    chosen = checks.choose(scope.only, scope.skip)
    cloud = Cloud(environment)
    asked = Asked(lambda: _serving(cloud), "the ledger")
    keep = environment.state / "validate"
    keep.mkdir(parents=True, exist_ok=True)
    scene = checks.Scene(environment, cloud, keep, wishes=wishes, rehearsal=rehearsal)
    interrupted = None
    with watch(chosen) if watch else nullcontext() as tell:
        try:
            verdicts = checks.run(chosen, scene, within=scope.timeout - (time.monotonic() - began), tell=tell)
        except checks.Halted as halted:
            interrupted, verdicts = halted.interrupted, halted.verdicts
    left = 0.0 if interrupted else scope.timeout - (time.monotonic() - began)
    serving, problem = _Serving("", None), ""
    try:
        serving = asked.result(time.monotonic() + min(_RECORDING, max(_LAST_WORD / 2, left)))
    except SoundbiteError as error:
        problem = error.message
    deployment = serving.deployment
    report = Report(
        environment=environment.name,
        deployment=deployment.id if deployment else None,
        release=deployment.release if deployment else None,
        commit=deployment.commit if deployment else checkout.revision() if environment.local else "",
        who=serving.who,
        where=place(),
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=time.monotonic() - began,
        verdicts=verdicts,
        interrupted=str(interrupted or ""),
        strict=scope.strict,
        scope=str(scope),
    )
    problem = problem or _record(cloud, report, min(_RECORDING, max(_LAST_WORD, left)))
    if problem:
        console.warn(f"The verdict is not in the ledger: {problem.splitlines()[0]}")
    return Result(report, interrupted)


def health(environment: Environment, wait: float) -> list[Verdict]:
    """Run the quick checks until none fails, or the wait is over.

    Parameters
    ----------
    wait:
        Seconds; 0 asks once.
    """
    checks.load_modules(environment.workflow.checks)
    chosen = [each for each in checks.choose() if each.quick]
    keep = environment.state / "validate"
    until = time.monotonic() + wait
    pause = 0.2
    while True:
        scene = checks.Scene(environment, Cloud(environment), keep)
        try:
            verdicts = checks.run(chosen, scene, within=max(20.0, wait))
        except checks.Halted as halted:
            raise halted.interrupted from None
        bad = [each for each in verdicts if each.outcome in {checks.Outcome.FAIL, checks.Outcome.INCONCLUSIVE}]
        if not bad or time.monotonic() + pause > until:
            return verdicts
        console.say(f"not healthy yet: {bad[0].check}: {bad[0].message}")
        time.sleep(pause)
        pause = min(2 * pause, 5.0)


class _Serving(NamedTuple):
    """What serves, and who asks."""

    who: str
    deployment: Deployment | None


def _serving(cloud: Cloud) -> _Serving:
    who = cloud.require_account()
    ledger = Ledger(cloud)
    id_ = None if cloud.environment.local else ledger.serving()
    return _Serving(who, ledger.deployment(id_) if id_ else None)


def _record(cloud: Cloud, report: Report, seconds: float) -> str:
    """Keep the verdict; return why it could not be kept, empty where it was."""
    try:
        Asked(lambda: Ledger(cloud).add_verdict(report.as_json()), "the ledger").result(time.monotonic() + seconds)
    except SoundbiteError as error:
        return error.message
    return ""

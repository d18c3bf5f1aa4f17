"""`inv validate` and `inv health`: checks run on an environment, told, and kept on its deployment."""

from __future__ import annotations

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from soundbite import checkout, checks, console
from soundbite.cloud import Cloud, Patience
from soundbite.errors import Interrupted, SoundbiteError
from soundbite.parallel import Asked, Late
from soundbite.place import place
from soundbite.releases import Ledger
from soundbite.reports import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from soundbite.checks import Check, Verdict
    from soundbite.environment import Environment
    from soundbite.releases import Deployment

    Watch = Callable[[Sequence[Check]], AbstractContextManager[Callable[[Verdict], None]]]

_LAST_WORD = 0.7
"""Seconds beyond the time that was given until which the verdict is kept, where checks used all of it."""
_RECORDING = 5.0
_ONE_LOOK = 20.0
"""Seconds that the quick checks may take."""
_LAST_LOOK = 0.5
"""Seconds before the end of a wait when the last look begins at the latest: with less it would see nothing."""
_PATIENCE = Patience(connect=2, read=5, attempts=3)
"""Of calls to AWS: one that hangs is told of within the deadline of a check."""


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
    end = began + scope.timeout
    checks.load_modules(environment.workflow.checks, end)
    chosen = checks.choose(scope.only, scope.skip)
    cloud = Cloud(environment, patience=_PATIENCE)
    asked = Asked(lambda: _serving(cloud), "the ledger")
    revision = Asked(checkout.revision if environment.local else str, "git")
    keep = environment.state / "validate"
    with suppress(OSError):  # what cannot be kept there takes nothing from a verdict
        keep.mkdir(parents=True, exist_ok=True)
    scene = checks.Scene(environment, cloud, keep, wishes=wishes, rehearsal=rehearsal)
    interrupted: Interrupted | None = None
    told: dict[str, Verdict] = {}
    verdicts: list[Verdict] = []
    try:
        with watch(chosen) if watch else nullcontext() as tell:
            verdicts = checks.run(chosen, scene, within=end - time.monotonic(), tell=_noting(told, tell))
    except checks.Halted as halted:
        interrupted, verdicts = halted.interrupted, halted.verdicts
    except Interrupted as signal:
        interrupted = signal
        verdicts = verdicts or checks.unfinished(chosen, told, "interrupted before it was done")
    last = (time.monotonic() if interrupted else end) + _LAST_WORD
    report = Report(
        environment=environment.name,
        deployment=None,
        release=None,
        commit="",
        who="",
        where=place(),
        started=started.strftime("%Y-%m-%dT%H:%M:%SZ"),
        seconds=time.monotonic() - began,
        verdicts=verdicts,
        interrupted=str(interrupted or ""),
        strict=scope.strict,
        scope=str(scope),
    )
    problem = ""
    try:
        report = replace(report, commit=_or_unknown(revision, _soon(last - _LAST_WORD / 2)))
        serving = asked.result(_soon(last - _LAST_WORD / 2))
        report = _of(report, serving)
        kept = partial(_keep, cloud, replace(report, seconds=time.monotonic() - began))
        report = Asked(kept, "the ledger").result(_soon(last))
    except Interrupted as signal:
        interrupted, problem = signal, str(signal)
        report = replace(report, interrupted=report.interrupted or str(signal))
    except SoundbiteError as error:
        problem = error.message
    if problem:
        console.warn(f"The verdict is not in the ledger: {problem.splitlines()[0]}")
    return Result(replace(report, seconds=time.monotonic() - began), interrupted)


def health(environment: Environment, wait: float) -> list[Verdict]:
    """Run the quick checks until none fails, or the wait is over.

    Parameters
    ----------
    wait:
        Seconds; 0 asks once, for as long as the checks may take.
    """
    until = time.monotonic() + (wait or _ONE_LOOK)
    checks.load_modules(environment.workflow.checks, until)
    chosen = [each for each in checks.choose() if each.quick]
    keep = environment.state / "validate"
    pause = 0.2
    seen: list[Verdict] = []
    while True:
        scene = checks.Scene(environment, Cloud(environment, patience=_PATIENCE), keep)
        left = until - time.monotonic()
        try:
            verdicts = checks.run(chosen, scene, within=min(_ONE_LOOK, left))
        except checks.Halted as halted:
            raise halted.interrupted from None
        bad = [each for each in verdicts if each.outcome in {checks.Outcome.FAIL, checks.Outcome.INCONCLUSIVE}]
        if bad and time.monotonic() >= until:
            # What this look had no time for, the one before it says better.
            return seen or verdicts
        nap = min(pause, until - time.monotonic() - _LAST_LOOK)
        if not bad or not wait or nap <= 0:
            return verdicts
        # Where it cannot be reached, that is why it does not say who it is.
        first = min(bad, key=lambda each: each.group != "api")
        console.say(f"not healthy yet: {first.check}: {first.message}")
        seen = verdicts
        time.sleep(nap)
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


def _of(report: Report, serving: _Serving) -> Report:
    found = serving.deployment
    if found is None:
        return replace(report, who=serving.who)
    return replace(report, who=serving.who, deployment=found.id, release=found.release, commit=found.commit)


def _keep(cloud: Cloud, report: Report) -> Report:
    """Keep the verdict in the ledger, and return it: of two deployments it is a verdict on neither."""
    ledger = Ledger(cloud)
    if not cloud.environment.local:
        now = ledger.serving()
        if now != report.deployment and not report.interrupted:
            switched = f"{now or 'nothing'} serves now, {report.deployment or 'nothing'} did when it began"
            report = replace(report, interrupted=f"a deployment was switched meanwhile: {switched}")
    ledger.add_verdict(report.as_json())
    return report


def _soon(last: float) -> float:
    """Return until when the ledger is waited for: no longer than it needs, nor than there is time."""
    return min(time.monotonic() + _RECORDING, last)


def _or_unknown(revision: Asked[str], until: float) -> str:
    try:
        return revision.result(until)
    except Late:
        return checkout.UNKNOWN


def _noting(told: dict[str, Verdict], tell: Callable[[Verdict], None] | None) -> Callable[[Verdict], None]:
    def note(verdict: Verdict) -> None:
        told[verdict.check] = verdict
        if tell is not None:
            tell(verdict)

    return note

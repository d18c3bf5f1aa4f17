"""How fast the application answers, and how often it does not, against the budget of the env file.

What is asked is APP_HEALTH_PATH, which should ask nobody else: the application and the way to it, not AWS.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from soundbite.errors import Inconclusive

from .calling import READ, client, require_reachable
from .model import Evidence, Failed, Load, Scene, check

if TYPE_CHECKING:
    import httpx

_FEWEST = 20
"""Answers from which on a 95th percentile says something."""

_MOST_THREADS = 32
_KEPT = 1000
_DEADLINE = 660.0
"""Seconds: the longest --load and its last answers. What ends all checks earlier is --timeout."""
_SLOWEST_START = 30.0
_LATE = 5.0
"""Seconds that the last request may be late, where the answers to others keep all threads busy."""
_LARGEST = 1024 * 1024
"""Bytes of an answer that are read."""


class Probe(NamedTuple):
    """What was asked and answered.

    Attributes
    ----------
    latencies:
        Of the requests that were answered 200, in milliseconds, in the order of their answers.
    errors:
        How many were not, or could not even be sent, with the reasons by count.
    """

    latencies: list[float]
    errors: int
    reasons: dict[str, int]

    @property
    def requests(self) -> int:
        """How many there were to be."""
        return len(self.latencies) + self.errors

    def percentile(self, share: float) -> float:
        """Return the latency that a share of the answers does not exceed (nearest rank)."""
        ordered = sorted(self.latencies)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@check("performance.latency", deadline=_DEADLINE, alone=True)
def latency(scene: Scene) -> Evidence:
    """Half of the answers come within BUDGET_P50, 95 of 100 within BUDGET_P95."""
    probe, budget = _probe(scene), scene.environment.budget
    if len(probe.latencies) < _FEWEST:
        raise Inconclusive(
            f"only {len(probe.latencies)} answers to {probe.requests} requests: too few for a percentile"
        )
    p50, p95 = probe.percentile(0.5), probe.percentile(0.95)
    data = {
        "latencies_ms": [round(each, 2) for each in _thinned(probe.latencies)],
        "budget_ms": round(1000 * budget.p95, 3),
        "p50_ms": round(p50, 2),
        "p95_ms": round(p95, 2),
        "errors": probe.errors,
    }
    over = [
        f"{name} is {found:.0f} ms, over its budget of {1000 * allowed:.0f} ms"
        for name, found, allowed in (("p50", p50, budget.p50), ("p95", p95, budget.p95))
        if found > 1000 * allowed
    ]
    of = f"of {len(probe.latencies)} answers at {scene.wishes.load.rate:g}/s"
    if over:
        raise Failed(f"{'; '.join(over)}; {of}", data)
    return Evidence(f"p50 {p50:.1f} ms, p95 {p95:.1f} ms, {of}", data)


@check("performance.errors", deadline=_DEADLINE, alone=True)
def errors(scene: Scene) -> Evidence:
    """No more requests fail than BUDGET_ERRORS allows."""
    probe, allowed = _probe(scene), scene.environment.budget.errors
    if probe.requests < _FEWEST:
        raise Inconclusive(f"only {probe.requests} requests were to be sent: too few for a share")
    share = 100 * probe.errors / probe.requests
    text = f"{probe.errors} of {probe.requests} requests failed, {share:.3g}%"
    data = {"errors": probe.errors, "requests": probe.requests, "reasons": probe.reasons}
    if share > allowed:
        reasons = ", ".join(f"{count} x {reason}" for reason, count in probe.reasons.items())
        raise Failed(f"{text}, over the budget of {allowed:g}%: {reasons}", data)
    return Evidence(text, data)


def _thinned(latencies: list[float]) -> list[float]:
    """Return so many that a report can hold them: of neighbours the slowest, so that no spike is lost."""
    width = math.ceil(len(latencies) / _KEPT)
    return [max(latencies[at : at + width]) for at in range(0, len(latencies), width)]


def _probe(scene: Scene) -> Probe:
    require_reachable(scene)
    return scene.once("performance.probe", lambda: _Asking(scene, scene.wishes.load).probe())


class _Asking:
    """Requests at a steady rate, whatever the answers take: each has its moment, and the next free thread sends it."""

    def __init__(self, scene: Scene, load: Load) -> None:
        self._scene = scene
        self._rate = load.rate
        self._total = max(1, round(load.rate * load.seconds))
        self._numbers = itertools.count()
        self._began = 0.0
        self._end = load.seconds + _LATE
        self._latencies: list[float] = []
        self._reasons: dict[str, int] = {}
        self._noting = threading.Lock()
        self._sent = 0

    def probe(self) -> Probe:
        """Send them all; those that could not be sent, and those without an answer in the end, are errors."""
        # So many that requests which take all of their budget still leave a thread free for the next.
        slow = max(0.25, min(1.0, self._scene.environment.budget.p95))
        count = min(_MOST_THREADS, self._total, math.ceil(self._rate * slow) + 1)
        ready = threading.Barrier(count, action=self._begin)
        threads = [threading.Thread(target=self._ask, args=(ready,), daemon=True) for _ in range(count)]
        for each in threads:
            each.start()
        # A header that drips knows no time-out.
        until = time.monotonic() + _SLOWEST_START + self._end + READ + 1.0
        for each in threads:
            each.join(max(0.0, until - time.monotonic()))
            until = min(until, (self._began or math.inf) + self._end + READ + 1.0)
        with self._noting:
            latencies, reasons = list(self._latencies), dict(self._reasons)
            unanswered = self._sent - len(latencies) - sum(reasons.values())
            unsent = self._total - self._sent
        reasons |= {why: number for why, number in (("no whole answer", unanswered), ("not sent", unsent)) if number}
        return Probe(latencies, sum(reasons.values()), reasons)

    def _begin(self) -> None:
        self._began = time.monotonic()

    def _ask(self, ready: threading.Barrier) -> None:
        import httpx

        path = self._scene.environment.app.health_path
        with client(self._scene) as asking:
            with suppress(httpx.HTTPError):
                _answered(asking, path)  # connects; what that takes is no answer's latency
            try:
                ready.wait(_SLOWEST_START)
            except threading.BrokenBarrierError:
                # One never connected; the others begin without it.
                with self._noting:
                    self._began = self._began or time.monotonic()
            while (number := next(self._numbers)) < self._total:
                late = time.monotonic() - self._began
                if late > self._end:
                    return
                time.sleep(max(0.0, number / self._rate - late))
                sent = time.monotonic()
                with self._noting:
                    self._sent += 1
                try:
                    reason = _answered(asking, path)
                except httpx.HTTPError as error:
                    reason = type(error).__name__
                took = 1000 * (time.monotonic() - sent)
                with self._noting:
                    if reason:
                        self._reasons[reason] = self._reasons.get(reason, 0) + 1
                    else:
                        self._latencies.append(took)


def _answered(asking: httpx.Client, path: str) -> str:
    """Ask, and read a whole answer of a bounded size in a bounded time; return what is wrong with it."""
    until = time.monotonic() + READ
    size = 0
    with asking.stream("GET", path) as response:
        for part in response.iter_raw():
            size += len(part)
            if size > _LARGEST:
                return f"more than {_LARGEST // 1024} KiB"
            if time.monotonic() > until:
                return "no whole answer"
        return "" if response.status_code == 200 else f"status {response.status_code}"  # noqa: PLR2004 - OK

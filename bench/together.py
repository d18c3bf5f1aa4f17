"""Deploys of one environment started at once: one goes, the others say who has the lock."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from bench.table import Row
from soundbite.errors import Locked
from tests.containers.rehearsals import Rehearsal, ended

if TYPE_CHECKING:
    import subprocess

_COUNT = 20
_DRAIN = "60s"
"""So long that who has the lock still has it when the last one has started: it is two cores that start them all."""

_WITHIN = 240.0


def measure(place: Rehearsal) -> list[Row]:
    """Start twenty, and see that exactly one deploys, and that each other one names it."""
    serving = place.names().pop()
    place.write("basalt" if serving == "amber" else "amber")
    slow = Rehearsal(place.checkout, {**place.variables, "HOSTS_DRAIN": _DRAIN}, place.hosts)
    started = time.perf_counter()
    running = [slow.start() for _ in range(_COUNT)]
    try:
        done = [(each.pid, *ended(each, _WITHIN)) for each in running]
    finally:
        _kill(running)
    took = time.perf_counter() - started
    codes = Counter(code for _, code, _ in done)
    winners = [pid for pid, code, _ in done if code == 0]
    refused = codes[Locked.exit_code]
    named = sum(any(f"pid {pid} " in said for pid in winners) for _, code, said in done if code == Locked.exit_code)
    others = "".join(
        f", {number} with exit {code}" for code, number in codes.items() if code not in {0, Locked.exit_code}
    )
    strange = next((said.strip().splitlines()[-1] for _, code, said in done if code not in {0, Locked.exit_code}), "")
    return [
        Row(
            f"{_COUNT} deploys of one environment at once",
            target=f"1 goes, {_COUNT - 1} exit {Locked.exit_code} and name it",
            measured=f"{len(winners)} went, {refused} exited {Locked.exit_code}{others}, {named} named it",
            ok=len(winners) == 1 and refused == named == _COUNT - 1,
            how=f"processes in one checkout, drain {_DRAIN}, {took:.0f} s in all{f'; {strange}' if strange else ''}",
        )
    ]


def _kill(running: list[subprocess.Popen[str]]) -> None:
    for each in running:
        if each.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(each.pid, signal.SIGKILL)
            each.wait(10)

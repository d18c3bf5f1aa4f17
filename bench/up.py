"""How long `inv dev.localstack --detach` takes, by what there is to do."""

from __future__ import annotations

import random
import shutil
from typing import TYPE_CHECKING

from bench.table import Row, at_most
from soundbite.infrastructure import assembly

if TYPE_CHECKING:
    from bench.local import Local
    from bench.stand import Stand

_RUNNING, _STOPPED, _CHANGED = 1.5, 6.0, 15.0
_TIMEOUTS = range(60, 43_200)
"""Seconds that SQS takes for a visibility timeout and that the processor's own timeout allows."""


def measure(stand: Stand) -> list[Row]:
    """Bring the environment up when it runs, when it was stopped, and with a new queue setting after a stop."""
    local = stand.local()
    count = stand.times(5, quick=3)
    running = [local.up() for _ in range(count)]
    stopped = [_from_stop(local) for _ in range(count)]
    # Not in order and never the same ones, so that no kept cloud assembly fits.
    values = random.sample(_TIMEOUTS, count)
    changed = [_changed(local, f"{value}s") for value in values]
    return [
        at_most("`inv dev.localstack`, running already", _RUNNING, running, "s", f"{count} times"),
        at_most("… stopped, nothing changed", _STOPPED, stopped, "s", f"{count} times"),
        at_most("… stopped, a queue setting changed", _CHANGED, changed, "s", f"{count} times, synth and deploy"),
    ]


def _from_stop(local: Local) -> float:
    local.down()
    return local.up()


def _changed(local: Local, timeout: str) -> float:
    local.down()
    setting = {"QUEUE_VISIBILITY_TIMEOUT": timeout}
    took = local.up(**setting)
    # Nobody will want this assembly again; kept, it would push out one of somebody's branches.
    folder = assembly.synth(local.environment(**setting)).folder
    shutil.rmtree(folder, ignore_errors=True)
    for left in folder.parent.glob(f"{folder.name}.*"):  # its lock
        left.unlink(missing_ok=True)
    return took

"""Stopping a local environment: the application first, emulated AWS last, so that nothing is cut off."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from soundbite import console, emulator, locks
from soundbite.platforms import local, processor

from . import steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundbite.environment import Environment
    from soundbite.processes import Process

_LOCK_WAIT = 60


def processes(environment: Environment) -> list[tuple[Process, float]]:
    """Return every process of a local environment with its grace in seconds, in the order of stopping."""
    found = [
        (local.process(environment), local.STOP_GRACE),
        (processor.process(environment), processor.STOP_GRACE),
    ]
    # One that was started stays ours, also when the settings name another by now.
    if environment.emulator.mode == "embedded" or emulator.process(environment).record() is not None:
        found.append((emulator.process(environment), emulator.STOP_GRACE))
    return found


def running(environment: Environment) -> list[str]:
    """Return the names of the environment's processes that run."""
    return [process.name for process, _ in processes(environment) if process.pid() is not None]


def down(environment: Environment) -> list[str]:
    """Stop everything that runs of a local environment.

    Returns
    -------
    list
        What ran, and is stopped now.
    """
    steps.require_local(environment)
    with locks.held(steps.lock_file(environment), f"stopping {environment.name}", _LOCK_WAIT):
        found = running(environment)
        stop(environment, found)
        return found


def stop(environment: Environment, names: list[str]) -> None:
    """Stop some of the environment's processes, a line each."""
    for process, grace in processes(environment):
        if process.name in names:
            with console.step(f"stop {process.name}") as step:
                if process.name == emulator.NAME:
                    step.detail = emulator.stop(environment) or "state saved"
                else:
                    step.detail = "stopped" if process.stop(grace) else "killed, it did not end by itself"


def reset(environment: Environment) -> None:
    """Stop a local environment and delete everything it keeps here: emulated AWS with all clips, and logs."""
    steps.require_local(environment)
    down(environment)
    with locks.held(steps.lock_file(environment), f"resetting {environment.name}", _LOCK_WAIT):
        for entry in environment.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)


@contextmanager
def undone_on_failure(environment: Environment, before: set[str]) -> Iterator[None]:
    """If the block fails or is interrupted, stop what runs now and did not run `before`."""
    try:
        yield
    except BaseException:
        new = [name for name in running(environment) if name not in before]
        if new:
            stop(environment, new)
        raise

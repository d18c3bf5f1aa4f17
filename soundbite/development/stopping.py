"""Stopping a local environment: the application first, emulated AWS last, so that nothing is cut off."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from soundbite import console, emulator, locks
from soundbite.errors import SoundbiteError
from soundbite.platforms import room as rooms
from soundbite.platforms.room import EMULATOR

from . import steps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundbite.environment import Environment
    from soundbite.platforms.room import Room

_LOCK_WAIT = 60


def down(environment: Environment) -> list[str]:
    """Stop everything that runs of a local environment.

    Returns
    -------
    list
        What ran, and is stopped now.
    """
    steps.require_local(environment)
    with locks.held(steps.lock_file(environment), f"stopping {environment.name}", _LOCK_WAIT):
        room = rooms.of(environment)
        found = rooms.running(room)
        stop(room, found)
        if not found:
            room.ended()
        return found


def stop(room: Room, names: list[str]) -> None:
    """Stop some of a room's services, a line each."""
    for service, grace in room.services():
        if service.name in names:
            with console.step(f"stop {service.name}") as step:
                if service.name == EMULATOR:
                    step.detail = emulator.stop(room.environment, service) or "state saved"
                else:
                    step.detail = "stopped" if service.stop(grace) else "killed, it did not end by itself"
    if names:
        room.ended()


def reset(environment: Environment) -> None:
    """Stop a local environment and delete everything it keeps here: emulated AWS with all clips, and logs."""
    steps.require_local(environment)
    down(environment)
    with locks.held(steps.lock_file(environment), f"resetting {environment.name}", _LOCK_WAIT):
        for entry in environment.state.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)


@contextmanager
def undone_on_failure(room: Room, before: set[str]) -> Iterator[None]:
    """If the block fails or is interrupted, stop what runs now and did not run `before`."""
    try:
        yield
    except BaseException:
        try:
            stop(room, [name for name in rooms.running(room) if name not in before])
        except SoundbiteError as error:  # what led here says more
            console.warn(f"Not everything could be stopped again: {error.message}")
        raise

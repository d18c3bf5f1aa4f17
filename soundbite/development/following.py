"""The foreground: prefixed logs of every service, and an eye on whether they live."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from soundbite import console
from soundbite.errors import SoundbiteError
from soundbite.platforms.room import APP, EMULATOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.platforms.room import Room

_SAME_ON_EVERY_LINE = {"environment", "release"}
_COLOURS = {"app": "cyan", "processor": "magenta", "emulator": "blue", "proxy": "yellow"}
_MOST_REBUILDS = 3
_REBUILD_WINDOW = 120.0
"""An emulator that dies more than three times in two minutes is not rebuilt again."""


def show(name: str, line: str) -> None:
    """Print one line of a service's log, prefixed, on stdout; for a person's eyes also coloured and made readable."""
    if sys.stdout.isatty():
        line = readable(line)
    console.result(f"{console.paint(f'{name:<9} |', _COLOURS.get(name, 'dim'), sys.stdout)} {line}")


def readable(line: str) -> str:
    """Return a line of a JSON log as `time level message key=value …`; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        entry = json.loads(line)
        clock = str(entry.pop("time"))[11:23]
        level, message = entry.pop("level"), entry.pop("message")
    except (ValueError, KeyError):
        return line
    rest = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _SAME_ON_EVERY_LINE)
    return f"{clock} {level} {message} {rest}".rstrip()


def until_interrupted(room: Room, rebuild: Callable[[], None]) -> None:
    """Show all logs until a signal comes; bring everything up again when the emulator was killed.

    Raises
    ------
    SoundbiteError
        The application ended by itself; its last lines are in the message.
    """
    rebuilt: list[float] = []

    def watch() -> None:
        nonlocal rebuilt
        services = {each.name: each for each, _ in room.services()}
        emulated = services.get(EMULATOR)
        if emulated is not None and emulated.pid() is None and emulated.record() is not None:
            rebuilt = [at for at in rebuilt if time.monotonic() - at < _REBUILD_WINDOW]
            if len(rebuilt) == _MOST_REBUILDS:
                raise SoundbiteError(
                    f"The emulator died {_MOST_REBUILDS + 1} times in {_REBUILD_WINDOW:.0f} s.",
                    f"inv dev.logs --env={room.environment.name} --service={EMULATOR} shows why; "
                    "inv dev.reset starts from nothing.",
                )
            rebuilt.append(time.monotonic())
            rebuild()
        app = services[APP]
        if app.pid() is None:
            if app.record() is None:
                raise SoundbiteError("The application was stopped from elsewhere (inv dev.down?).")
            raise SoundbiteError(f"The application ended. Its last lines:\n{app.tail()}")

    room.follow([each.name for each, _ in room.services()], show, watch)


def follow(room: Room, names: list[str]) -> None:
    """Show the logs of some services until a signal comes."""
    room.follow(names, show, lambda: None)

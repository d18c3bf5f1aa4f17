"""The foreground: prefixed logs of every process, and an eye on whether they live."""

from __future__ import annotations

import json
import sys
import time
from typing import IO, TYPE_CHECKING

from soundbite import console, emulator
from soundbite.errors import SoundbiteError
from soundbite.platforms import local

from . import stopping

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soundbite.environment import Environment

_POLL = 0.1
_SAME_ON_EVERY_LINE = {"environment", "release"}
_COLOURS = {"app": "cyan", "processor": "magenta", "emulator": "blue"}
_MOST_REBUILDS = 3
_REBUILD_WINDOW = 120.0
"""An emulator that dies more than three times in two minutes is not rebuilt again."""


class Tail:
    """One log file, read as it grows, also across being replaced."""

    def __init__(self, path: Path, *, from_start: bool = False) -> None:
        self.path = path
        self._stream: IO[str] | None = None
        self._inode = 0
        self._part = ""
        self._skip = not from_start

    def lines(self) -> list[str]:
        """Return the whole lines that have come since the last call."""
        try:
            inode = self.path.stat().st_ino
        except FileNotFoundError:
            self._skip = False
            return []
        found: list[str] = []
        if self._stream is not None and inode != self._inode:
            found = self._read()
            self._stream.close()
            self._stream = None
        if self._stream is None:
            self._stream = self.path.open(encoding="utf-8", errors="replace")
            self._inode = inode
            if self._skip:
                self._stream.seek(0, 2)
            self._skip = False
        return found + self._read()

    def _read(self) -> list[str]:
        text = self._part + (self._stream.read() if self._stream else "")
        *whole, self._part = text.split("\n")
        return whole


def show(name: str, line: str) -> None:
    """Print one line of a process's log, prefixed, on stdout; for a person's eyes also coloured and made readable."""
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


def until_interrupted(environment: Environment, rebuild: Callable[[], None]) -> None:
    """Show all logs until a signal comes; bring everything up again when the emulator was killed.

    Raises
    ------
    SoundbiteError
        The application's process ended by itself; its last lines are in the message.
    """
    tails = {process.name: Tail(process.log) for process, _ in stopping.processes(environment)}
    rebuilt: list[float] = []
    while True:
        for name, tail in tails.items():
            for line in tail.lines():
                show(name, line)
        if environment.emulator.mode == "embedded" and emulator.died(environment):
            rebuilt = [at for at in rebuilt if time.monotonic() - at < _REBUILD_WINDOW]
            if len(rebuilt) == _MOST_REBUILDS:
                raise SoundbiteError(
                    f"The emulator died {_MOST_REBUILDS + 1} times in {_REBUILD_WINDOW:.0f} s.",
                    f"Its log is {emulator.process(environment).log}; inv dev.reset starts from nothing.",
                )
            rebuilt.append(time.monotonic())
            rebuild()
        app = local.process(environment)
        if app.pid() is None:
            if app.record() is None:
                raise SoundbiteError("The application was stopped from elsewhere (inv dev.down?).")
            raise SoundbiteError(f"The application ended. Its last lines:\n{app.tail()}")
        time.sleep(_POLL)


def follow(environment: Environment, names: list[str]) -> None:
    """Show the logs of some processes until a signal comes."""
    tails = {process.name: Tail(process.log) for process, _ in stopping.processes(environment) if process.name in names}
    while True:
        for name, tail in tails.items():
            for line in tail.lines():
                show(name, line)
        time.sleep(_POLL)

"""What a person sees: results on stdout, everything else on stderr, secrets nowhere.

Every line that leaves the workflow goes through here, because here the values of secrets are masked.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_MASK = "********"
_SHORTEST_SECRET = 4
"""Shorter values are not masked: they would blot out half of every line, and protect nothing."""

_secrets: set[str] = set()
_writing = threading.RLock()

_COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "dim": 2, "bold": 1}


def conceal(value: str) -> None:
    """Mask a secret's value, and each longer line of it, in everything printed from now on."""
    for part in (value, *value.splitlines()):
        if len(part.strip()) >= _SHORTEST_SECRET:
            _secrets.add(part.strip())


def redact(text: str) -> str:
    """Return the text with every known secret masked."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """Colour a text where the stream is a terminal and NO_COLOR (no-color.org) is not set."""
    if not _is_terminal(stream or sys.stderr) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def say(text: str = "") -> None:
    """Print a line of progress or explanation, on stderr."""
    _write(sys.stderr, text)


def result(text: str) -> None:
    """Print a line of what was asked for, on stdout."""
    _write(sys.stdout, text)


def result_json(value: object) -> None:
    """Print a value as JSON on stdout."""
    # Masked before JSON escapes it: afterwards a secret with a quote or an umlaut is no longer found.
    _print(sys.stdout, json.dumps(masked(value), indent=2, default=str))


def masked(value: object) -> object:
    """Return a value with every known secret masked in its texts."""
    if isinstance(value, dict):
        return {masked(key): masked(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [masked(each) for each in value]
    plain = value is None or isinstance(value, bool | int | float)
    return value if plain else redact(str(value))


def warn(text: str) -> None:
    """Print a warning, on stderr."""
    say(f"{paint('!', 'yellow')} {text}")


def error(text: str) -> None:
    """Print why the task failed, on stderr."""
    say(f"{paint('✗', 'red')} {text}")


def table(rows: Sequence[Sequence[str]], heading: Sequence[str] = ()) -> None:
    """Print rows on stdout, in columns as wide as their widest cell."""
    lines = [tuple(heading), *rows] if heading else list(rows)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        result(paint(text, "bold", sys.stdout) if heading and number == 0 else text)


@dataclass
class Step:
    """One step of a journey; `detail` says how it ended, `well` whether well, `progress` what it is at."""

    name: str
    detail: str = ""
    progress: str = ""
    well: bool = True

    def tell(self, line: str) -> None:
        """Take a line of a command's output as progress; fits `shell.run(on_line=…)`."""
        self.progress = line.strip() or self.progress


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Tell one step in one line, with its duration; a long one also tells what it is at.

    Parameters
    ----------
    name:
        What is being done, in a word or two.
    """
    current = Step(name)
    started = time.monotonic()
    ended = threading.Event()
    live = _is_terminal(sys.stderr)
    ticker = threading.Thread(target=_tick, args=(current, started, ended, live), daemon=True)
    ticker.start()
    well = False
    try:
        yield current
        well = current.well
    finally:
        ended.set()
        ticker.join()
        outcome(name, current.detail, time.monotonic() - started, well=well)


def outcome(name: str, detail: str, seconds: float, *, well: bool) -> None:
    """Tell in one line how something ended and how long it took."""
    mark = paint("✓", "green") if well else paint("✗", "red")
    clear = _CLEAR if _is_terminal(sys.stderr) else ""
    _write(sys.stderr, f"{clear}{mark} {name:<15} {detail}  {paint(f'{seconds:.1f}s', 'dim')}")


_CLEAR = "\r\x1b[2K"
_TICK_LIVE, _TICK_PLAIN = 0.5, 10.0
"""Seconds between two signs of life: on a terminal one line is rewritten, elsewhere each is a line."""


def _tick(current: Step, started: float, ended: threading.Event, live: bool) -> None:
    if live:
        _write(sys.stderr, f"{_CLEAR}{paint('◦', 'dim')} {current.name} …", end="")
    while not ended.wait(_TICK_LIVE if live else _TICK_PLAIN):
        width = _width() if live else 160
        text = f"◦ {current.name} … {time.monotonic() - started:.0f}s  {redact(current.progress)}"[: width - 1]
        _write(sys.stderr, _CLEAR + text if live else text, end="" if live else "\n")


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except OSError:
        return 80


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _write(stream: TextIO, text: str, end: str = "\n") -> None:
    _print(stream, redact(text), end)


def _print(stream: TextIO, text: str, end: str = "\n") -> None:
    with _writing:
        try:
            stream.write(text + end)
            stream.flush()
        except BrokenPipeError:
            # Whoever read us has gone (`inv … | head`): the work goes on, silently.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

"""`inv status`, once or again and again: on a terminal in the same place, elsewhere a block each time."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from soundbite import console

from . import columns

if TYPE_CHECKING:
    from .overview import Overview

_EVERY = 2.0
"""Seconds from one look to the next."""
_PAUSE = 0.5
"""Seconds between two looks that take longer."""

_HOME, _TO_THE_END, _TO_THE_MARGIN = "\x1b[H", "\x1b[J", "\x1b[K"


def follow(overview: Overview, *, json: bool) -> NoReturn:
    """Look again and again, until interrupted."""
    live = sys.stdout.isatty() and not json
    first = True
    while True:
        began = time.monotonic()
        told = overview.look()
        if json:
            console.result_json(told)
        elif live:
            # One write: what is overwritten does not flicker.
            start = _HOME + _TO_THE_END if first else _HOME
            height = shutil.get_terminal_size().lines
            lines = [f"{line}{_TO_THE_MARGIN}" for line in columns.show(told)[: height - 1]]
            console.result(start + "\n".join(lines) + _TO_THE_END)
        else:
            show(told)
            console.result("")
        first = False
        time.sleep(max(_PAUSE, _EVERY - (time.monotonic() - began)))


def show(told: dict[str, Any]) -> None:
    """Print an overview on stdout."""
    console.result("\n".join(columns.show(told)))

"""Waiting: what each thread waits for, so that whoever gives it up can say it, and how long between two looks."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_waiting: dict[int, str | Callable[[], str]] = {}


@contextmanager
def on(what: str | Callable[[], str]) -> Iterator[None]:
    """Say what this thread waits for during the block, or who can say it: `dynamodb:DescribeTable`."""
    me = threading.get_ident()
    before = _waiting.get(me)
    _waiting[me] = what
    try:
        yield
    finally:
        if before is None:
            del _waiting[me]
        else:
            _waiting[me] = before


def told(thread: int | None) -> str:
    """Return what a thread waits for; empty: it has not said."""
    what = _waiting.get(thread or 0, "")
    return what if isinstance(what, str) else what()


def pause(began: float, least: float) -> None:
    """Sleep between two looks at what is waited for: looking must not keep a core busy that it needs itself.

    A process is looked at in no time; a container with two starts of docker, a tenth of a second of a core.

    Parameters
    ----------
    began:
        When the last look began, as `time.monotonic` tells it: three times as long as it took are slept.
    least:
        Seconds; at most it is half a second.
    """
    time.sleep(max(least, min(3 * (time.monotonic() - began), 0.5)))

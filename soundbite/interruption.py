"""SIGINT and SIGTERM: they end what is being done, but not between starting a command and knowing it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

_held: list[bool] = []
_waiting: list[int] = []


def interrupt(signum: int) -> None:
    """End what is being done, as a task's signal handler: at once, or when the command being started is known."""
    if not _held:
        raise Interrupted(signum)
    _waiting.append(signum)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold an interruption back until the block is done, so that what it starts is not lost; for a few ms only."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signal handlers run in the main thread alone
        return
    _held.append(True)
    try:
        yield
    finally:
        _held.pop()
        if _waiting and not _held:
            raise Interrupted(_waiting.pop())

"""SIGINT and SIGTERM: they end what is being done, but not between starting a command and knowing it.

A signal's handler raises in whatever the main thread is at, and that may be a library's destructor or a bare `except:`,
where the exception is lost and the work goes on. So an interruption that did not reach its task is raised again.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_AGAIN = 0.05
"""Seconds until an interruption that was lost is raised again: by then whatever lost it has ended."""

_held: list[bool] = []
_waiting: list[int] = []
_raised: list[weakref.ref[Interrupted]] = []
"""The one that is under way, if any; it is gone where nobody took it."""
_expecting: list[bool] = []


@contextmanager
def expected() -> Iterator[None]:
    """Take signals during the block, a task: the first one ends it, those after it leave its clean-up alone."""
    for each in (_raised, _waiting, _expecting):
        each.clear()
    tell = sys.unraisablehook
    sys.unraisablehook = _silently(tell)
    _expecting.append(True)
    try:
        yield
    finally:
        _expecting.clear()
        sys.unraisablehook = tell


def interrupt(signum: int) -> None:
    """End what is being done, as a task's signal handler: at once, or when the command being started is known."""
    if under_way() is not None:
        return
    if _held:
        _waiting.append(signum)
    else:
        raise _made(signum)


def under_way() -> Interrupted | None:
    """Return the interruption that is on its way, or that somebody took and has still."""
    return _raised[-1]() if _raised else None


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
            raise _made(_waiting.pop())


def _made(signum: int) -> Interrupted:
    # No variable of a frame that it goes through may hold it: nobody could tell that it was lost.
    made = Interrupted(signum)
    _waiting.clear()
    _raised[:] = [weakref.ref(made, lambda _: _lost(signum))]
    return made


def _silently(tell: Callable[[sys.UnraisableHookArgs], object]) -> Callable[[sys.UnraisableHookArgs], object]:
    """Return what tells of exceptions that Python loses, but of no interruption: that comes again."""

    def told(lost: sys.UnraisableHookArgs) -> None:
        if not isinstance(lost.exc_value, Interrupted):
            tell(lost)

    return told


def _lost(signum: int) -> None:
    if _expecting:
        again = threading.Timer(_AGAIN, _raise_again, (signum,))
        again.daemon = True
        again.start()


def _raise_again(signum: int) -> None:
    if _expecting:
        os.kill(os.getpid(), signum)

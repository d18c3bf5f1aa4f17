"""What each thread waits for, so that whoever gives it up can say what did not answer."""

from __future__ import annotations

import threading
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

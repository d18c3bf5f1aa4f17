"""The agent's folder on the host: files that are whole or not there, the newest token, and the lock."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .failure import BUSY, FENCED, StepFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVE = Path(__file__).resolve().parents[1]
HOME = ARCHIVE.parent
PROJECT = HOME.name
"""What the names of the compose projects begin with."""

_LOCK_WAIT = 30.0
_POLL = 0.05


def write(path: Path, text: str) -> None:
    """Write a file so that a reader, and whoever comes after a crash, sees the old or the new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def token() -> int:
    """Return the newest token that was seen; 0 for none."""
    try:
        return int((HOME / "token").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


@contextmanager
def locked(order: dict[str, Any]) -> Iterator[None]:
    """Work alone, and only for who has the newest token.

    Raises
    ------
    StepFailed
        Another step is at work (BUSY), or a newer token was seen (FENCED).
    """
    until = time.monotonic() + float(order.get("lock_wait", _LOCK_WAIT))
    with (HOME / "lock").open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise StepFailed("another step is still at work on this host", BUSY) from None
                time.sleep(_POLL)
        seen, given = token(), int(order.get("token", -1))
        if given < seen:
            raise StepFailed(f"the order has token {given}, and this host has seen {seen}: the lock was lost", FENCED)
        if given > seen:
            write(HOME / "token", str(given))
        yield

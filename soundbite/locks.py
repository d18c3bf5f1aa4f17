"""Locks of this machine: held by an open file, so the operating system frees them with their holder."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import console
from .errors import Locked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def held(path: Path, what: str, wait: float) -> Iterator[None]:
    """Hold a lock for the time of a block.

    Parameters
    ----------
    path:
        The lock's file. It stays; being locked is a property of the open file.
    what:
        What is being done under it, for whoever waits.
    wait:
        Seconds to wait for another holder.

    Raises
    ------
    Locked
        Another process still holds it after that time.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    holder = path.with_suffix(".holder")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        console.say(f"  waiting for another inv ({_read(holder)}), at most {wait:.0f} s …")
        try:
            lock.acquire(timeout=wait, poll_interval=0.1)
        except Timeout:
            raise Locked(
                f"Another inv is still at work after {wait:.0f} s: {_read(holder)}.",
                "Wait for it, or end that process.",
            ) from None
    try:
        import os

        holder.write_text(f"{what}, pid {os.getpid()}, since {time.strftime('%H:%M:%S')}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _read(holder: Path) -> str:
    try:
        return holder.read_text(encoding="utf-8") or "just starting"
    except OSError:
        return "just starting"

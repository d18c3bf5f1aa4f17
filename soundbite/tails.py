"""A log file, read as it grows."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


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

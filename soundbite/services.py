"""What a service of a local environment is to whoever starts, watches and stops it: a process, or a container."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Service(Protocol):
    """A service that outlives the task that started it."""

    @property
    def name(self) -> str:
        """What it is called in logs and messages."""

    def record(self) -> dict[str, Any] | None:
        """Return what was noted when it was started, `started` (seconds since 1970) among it; None if it was not."""

    def pid(self) -> int | None:
        """Return its process id if it runs, else None."""

    def start(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, notes: Mapping[str, Any]) -> None:
        """Start it; a container has a command of its own."""

    def stop(self, grace: float) -> bool:
        """Stop it within `grace` seconds; return whether it ended by itself, or was not running."""

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log, masked."""

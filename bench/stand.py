"""What every measurement stands on: how often to repeat, and one local environment for those that need it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.local import Local, free_ports


class Stand:
    """One run of the benchmark.

    Parameters
    ----------
    quick:
        Whether to repeat less.
    """

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._local: Local | None = None

    def times(self, whole: int, *, quick: int) -> int:
        """Return how often to repeat something."""
        return quick if self._quick else whole

    def local(self) -> Local:
        """Return the local environment, up and with its own settings, whatever was done to it before."""
        if self._local is None:
            self._local = Local(Path(tempfile.mkdtemp(prefix="soundbite-bench-")), free_ports())
            self._local.copy_app()
        self._local.up()
        return self._local

    def clear(self) -> None:
        """Destroy the local environment; the next measurement gets a new one."""
        if self._local is not None:
            self._local.destroy()
            self._local = None

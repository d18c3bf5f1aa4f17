"""Two commands compared while the machine is what it is: run in turn, A B A B, and judged pair by pair.

What else the machine does meets both alike, so that their ratio or difference holds where seconds do not.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT = 30
"""Seconds that one run of a command may take."""


def seconds(argv: Sequence[str]) -> float:
    """Run a command to its end and return how long it took.

    Raises
    ------
    SoundbiteError
        It failed, or took more than 30 s.
    """
    started = time.perf_counter()
    output(argv)
    return time.perf_counter() - started


def output(argv: Sequence[str]) -> str:
    """Run a command to its end and return what it printed on stdout; raises as `seconds` does."""
    # Not soundbite.shell: its wait looks every 50 ms, which is as long as what is measured here. The
    # end of the pipes is seen at once.
    try:
        done = subprocess.run(
            argv,
            cwd="/",
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise SoundbiteError(f"{shlex.join(argv)} was not done within {_TIMEOUT} s.") from None
    if done.returncode != 0:
        raise SoundbiteError(f"{shlex.join(argv)} ended with exit code {done.returncode}.\n{done.stderr}")
    return done.stdout


def alternate(first: Sequence[str], second: Sequence[str], count: int) -> list[tuple[float, float]]:
    """Run two commands in turn.

    Returns
    -------
    list
        The seconds of each pair, after one pair that does not count: it fills caches and writes bytecode.
    """
    pairs = [(seconds(first), seconds(second)) for _ in range(count + 1)]
    return pairs[1:]

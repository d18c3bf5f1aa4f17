"""From saving a source file to the new code's first answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import httpx

from bench.table import Row, at_most
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.stand import Stand

_LIMIT = 2.5
_DEADLINE = 30.0
_POLL = 0.01
_PAUSE = 0.5
"""Seconds between an answer and the next save, in which the processor's bundle is looked at."""

_FILE = "src/health/health.controller.ts"
_STATUS = "status: 'ok',"


def measure(stand: Stand) -> list[Row]:
    """Save the health controller with a new status text, again and again, and wait for /health to say it.

    Raises
    ------
    SoundbiteError
        The controller is not what it was when this was written, or the new code did not answer within 30 s.
    """
    local = stand.local()
    path = local.app / _FILE
    source = path.read_text(encoding="utf-8")
    if source.count(_STATUS) != 1:
        raise SoundbiteError(f"{_FILE} does not have {_STATUS} once.", "Give bench/reload.py something else to change.")
    count = stand.times(10, quick=3)
    # Each poll on a connection of its own: a kept one would have the old process wait for it.
    with httpx.Client(base_url=local.url, timeout=2, trust_env=False, limits=_NO_REUSE) as client:
        texts = [f"saved {number}" for number in range(count)]
        took = [_save(client, path, source.replace(_STATUS, f"status: '{text}' as 'ok',"), text) for text in texts]
        _save(client, path, source, "ok")
    return [at_most("Save a file → new code answers", _LIMIT, took, "s", f"{count} saves")]


_NO_REUSE = httpx.Limits(max_keepalive_connections=0)


def _save(client: httpx.Client, path: Path, source: str, status: str) -> float:
    time.sleep(_PAUSE)
    started = time.perf_counter()
    path.write_text(source, encoding="utf-8")
    while _status(client) != status:
        if time.perf_counter() - started > _DEADLINE:
            raise SoundbiteError(f"The code saved in {_FILE} does not answer after {_DEADLINE:.0f} s.")
        time.sleep(_POLL)
    return time.perf_counter() - started


def _status(client: httpx.Client) -> str:
    try:
        return str(client.get("/health").json()["status"])
    except httpx.HTTPError:
        return ""

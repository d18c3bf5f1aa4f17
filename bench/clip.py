"""From posting a text to its clip being ready, one clip at a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.customer import Customer
from bench.table import Row, at_most
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from bench.stand import Stand

_LIMIT = 3.0
_DEADLINE = 30.0


def measure(stand: Stand) -> list[Row]:
    """Have clips spoken one after another.

    Raises
    ------
    SoundbiteError
        One was not accepted, failed, or was not ready within 30 s.
    """
    local = stand.local()
    count = stand.times(20, quick=5)
    with Customer(local.url) as customer:
        took = [_spoken(customer, f"Clip number {number}.") for number in range(count)]
    return [at_most("POST → clip ready", _LIMIT, took, "s", f"{count} clips, one after another")]


def _spoken(customer: Customer, text: str) -> float:
    started = time.perf_counter()
    clip = customer.post(text)
    status = customer.wait(clip, time.monotonic() + _DEADLINE)
    if status != "ready":
        raise SoundbiteError(f"Clip {clip} is {status} after {time.perf_counter() - started:.1f} s.")
    return time.perf_counter() - started

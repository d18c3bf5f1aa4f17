"""The rows of the table that is pasted into the README, and the table itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_HEADING = ("what", "target", "measured", "ok", "how")
_MANY = 10
"""From so many samples on, quartiles say more than the extremes, which are then what else the machine did."""

_FORMATS = {"x": ".2f", "ms": ".0f", "s": ".2f", "GiB": ".2f"}


@dataclass(frozen=True)
class Row:
    """One measured promise.

    Attributes
    ----------
    samples:
        What the median was taken of; kept for `--json`.
    unit:
        The unit of the samples: `x` (a ratio), `ms`, `s` or `GiB`.
    """

    what: str
    target: str
    measured: str
    ok: bool
    how: str
    samples: Sequence[float] = field(default=())
    unit: str = ""


def at_most(what: str, limit: float, samples: Sequence[float], unit: str, how: str) -> Row:
    """Return the row of a promise that the median of some samples keeps to a limit, both in `unit`."""
    value = median(samples)
    return Row(
        what,
        target=f"≤ {limit:g} {unit}",
        measured=f"{_number(value, unit)} {unit}",
        ok=value <= limit,
        how=f"{how}, {_spread(samples, unit)}",
        samples=tuple(samples),
        unit=unit,
    )


def failed(what: str, reason: str) -> Row:
    """Return the row of a measurement that came to nothing; it counts as missed."""
    lines = reason.strip().splitlines()
    return Row(what, "", "not measured", ok=False, how=lines[0] if lines else "no reason given")


def markdown(rows: Iterable[Row]) -> str:
    """Return the rows as a Markdown table."""
    cells = [_HEADING, *((row.what, row.target, row.measured, "yes" if row.ok else "**no**", row.how) for row in rows)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in cells]
    return "\n".join([lines[0], "|" + "---|" * len(_HEADING), *lines[1:]])


def _spread(samples: Sequence[float], unit: str) -> str:
    if len(samples) >= _MANY:
        low, _, high = quantiles(samples, n=4)
        return f"quartiles {_number(low, unit)} and {_number(high, unit)}"
    return f"{_number(min(samples), unit)} to {_number(max(samples), unit)}"


def _number(value: float, unit: str) -> str:
    return format(value, _FORMATS[unit])

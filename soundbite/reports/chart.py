"""A chart of latencies, as the coordinates that a page draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 760, 260
LEFT, RIGHT, TOP, BOTTOM = 64, 640, 14, 212
"""The edges of what is plotted; labels of lines are to the right of it."""

_MOST_POINTS = 1000
_TICKS = 5
_LOWEST_TOP = 0.001
_LABEL_HEIGHT = 15


class Point(NamedTuple):
    """Where an answer is drawn."""

    x: float
    y: float


class Mark(NamedTuple):
    """A horizontal line: its kind (`p50`, `p95`, `budget`), its label, its height, and its label's height."""

    kind: str
    label: str
    y: float
    label_y: float


class Tick(NamedTuple):
    """A label at an axis."""

    label: str
    at: float


@dataclass(frozen=True)
class Chart:
    """What a page draws.

    Attributes
    ----------
    each:
        How many answers a point stands for: it is the slowest of them.
    title:
        What is seen, in words, for those who do not see it.
    """

    title: str
    points: Sequence[Point]
    marks: Sequence[Mark]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]
    each: int


def of(data: Mapping[str, Any]) -> Chart | None:
    """Return the chart of a check's measurements; None if they have no latencies."""
    found = data.get("latencies_ms")
    values = [float(each) for each in found if _is_number(each)] if isinstance(found, list | tuple) else []
    if not values:
        return None
    # Of many latencies, a check may keep some only: then it knows better.
    figures = {"p50": percentile(values, 50), "p95": percentile(values, 95)} | {
        name: float(data[f"{name}_ms"]) for name in ("p50", "p95", "budget") if _is_number(data.get(f"{name}_ms"))
    }
    each = math.ceil(len(values) / _MOST_POINTS)
    slowest = [max(values[start : start + each]) for start in range(0, len(values), each)]
    most = max(_LOWEST_TOP, *values, *figures.values())
    step = _step(most)
    top = step * math.ceil(most / step)

    def height(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * value / top, 1)

    def across(number: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * (number + 0.5) / len(slowest), 1)

    text = ", ".join(f"{name} {_milliseconds(value)}" for name, value in figures.items())
    ends = dict.fromkeys([0, len(slowest) // 2, len(slowest) - 1])
    return Chart(
        f"Latencies in order of time: {text}",
        [Point(across(number), height(value)) for number, value in enumerate(slowest)],
        _marks({name: (_milliseconds(value), height(value)) for name, value in figures.items()}),
        [Tick(str(number * each + 1), across(number)) for number in ends],
        [Tick(f"{number * step:g}", height(number * step)) for number in range(round(top / step) + 1)],
        each,
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that so many percent do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def _marks(figures: Mapping[str, tuple[str, float]]) -> list[Mark]:
    """Return lines whose labels keep off one another."""
    marks: list[Mark] = []
    lowest = float(BOTTOM)
    for kind, (text, y) in sorted(figures.items(), key=lambda item: -item[1][1]):
        lowest = min(y, lowest)
        marks.append(Mark(kind, f"{kind} {text}", y, lowest))
        lowest -= _LABEL_HEIGHT
    return marks


def _step(most: float) -> float:
    """Return a round distance between ticks."""
    rough = most / _TICKS
    power: float = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power >= rough)


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value >= 100 else f"{value:.1f} ms"  # noqa: PLR2004


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0

"""One HTML file that needs nothing else: the outcome, every check with its evidence, and charts of latencies."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import chart
from .model import MARKS, WELL, by_group

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Template

    from .model import Report

_FILE = Path(__file__).with_name("page.html.j2")
_LONGEST = 20
"""Longer lists of measurements are counted, not listed."""


def render(report: Report) -> str:
    """Return a report as an HTML page."""
    report = report.readable()
    # Numbers, since ids of checks may have characters that a link cannot have.
    numbers = {id(each): number for number, each in enumerate(report.verdicts, 1)}
    return _template().render(
        report=report,
        groups=by_group(report.verdicts),
        alarming=[each for each in report.verdicts if each.outcome not in WELL],
        number=lambda verdict: numbers[id(verdict)],
        mark=MARKS.__getitem__,
        figures=_figures,
        chart=chart,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_FILE.read_text(encoding="utf-8"))


def _figures(data: Mapping[str, Any]) -> str:
    """Return measurements to be read; empty if there are none."""
    short = {
        name: f"{len(value)} values" if isinstance(value, list) and len(value) > _LONGEST else value
        for name, value in data.items()
    }
    return json.dumps(short, indent=2, ensure_ascii=False) if short else ""

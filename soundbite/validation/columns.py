"""Environments side by side: a column each, as many beside one another as the terminal has room for."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from soundbite import console
from soundbite.reports.text import fit

from .words import BAD, GOOD, UNKNOWN, facts, reasons

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .words import Fact

_LABEL = 14
_NARROWEST, _WIDEST = 24, 40
_LINES = 4
"""Lines that a fact may have; all of a long reason stands below the columns."""

_PLAIN_WIDTH = 160
_COLOURS = {GOOD: "green", BAD: "red", UNKNOWN: "yellow"}


def show(told: dict[str, Any]) -> list[str]:
    """Return the lines that show an overview.

    Parameters
    ----------
    told:
        What `Overview.look` returned.
    """
    width = shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns
    found = told["environments"]
    beside = max(1, min(len(found), (width - _LABEL) // (_NARROWEST + 2)))
    column = min(_WIDEST, (width - _LABEL) // beside - 2)
    lines: list[str] = []
    for at in range(0, len(found), beside):
        lines += [*_block(found[at : at + beside], max(column, _NARROWEST)), ""]
    notes = [line for each in found for line in reasons(each)]
    lines += [*notes, ""] if notes else []
    return [*lines, f"{told['at']}, found in {told['seconds']:.1f} s"]


def _block(found: Sequence[dict[str, Any]], width: int) -> list[str]:
    columns = [facts(each) for each in found]
    names = "".join(each["environment"].ljust(width + 2) for each in found)
    lines = [console.paint((" " * _LABEL + names).rstrip(), "bold", sys.stdout)]
    for row in columns[0]:
        lines += _row(row, [each[row] for each in columns], width)
    return lines


def _row(row: str, cells: Sequence[Fact], width: int) -> list[str]:
    wrapped = [_wrapped(fit(each.text), width) for each in cells]
    lines = []
    for number in range(max(len(each) for each in wrapped)):
        line = row.ljust(_LABEL) if number == 0 else " " * _LABEL
        for cell, texts in zip(cells, wrapped, strict=True):
            text = texts[number] if number < len(texts) else ""
            padding = " " * (width + 2 - len(text))
            line += (console.paint(text, _COLOURS[cell.tone], sys.stdout) if cell.tone in _COLOURS else text) + padding
        lines.append(line.rstrip())
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    lines = textwrap.wrap(text, width, max_lines=_LINES, placeholder=" …", break_on_hyphens=False)
    return lines or [""]

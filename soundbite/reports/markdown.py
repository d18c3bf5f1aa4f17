"""Markdown, as GitHub has it: the outcome, what somebody must look at, and everything else folded away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .model import MARKS, WELL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.checks import Verdict

    from .model import Report

_LONGEST = 1000
"""Characters of a cell: GitHub refuses summaries of more than 1 MiB."""

_MEANING = re.compile(r"[&<>\\|`*_~\[\]#@$]")


def render(report: Report) -> str:
    """Return a report as Markdown."""
    report = report.readable()
    lines = [f"## {MARKS[report.outcome]} {escape(report.judgement)}", ""]
    lines += [escape(each) + "\n" for each in (report.summary, report.incomplete) if each]
    lines += [" · ".join(f"{name} {escape(text)}" for name, text in report.facts.items()), ""]
    alarming = [each for each in report.verdicts if each.outcome not in WELL]
    others = [each for each in report.verdicts if each.outcome in WELL]
    if alarming:
        lines += [*_table(alarming), ""]
    if others:
        lines += ["<details>", f"<summary>All others: {len(others)}</summary>", "", *_table(others), "", "</details>"]
    return "\n".join(lines).rstrip("\n") + "\n"


def escape(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line of source."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return _MEANING.sub(lambda found: f"&#{ord(found[0])};", text).replace("\n", "<br>")


def _table(verdicts: Sequence[Verdict]) -> list[str]:
    rows = ["| | check | found | s |", "|---|---|---|---:|"]
    for each in verdicts:
        found = escape(each.message) + (f"<br>→ {escape(each.hint)}" if each.hint else "")
        name = f"{escape(each.check)}<br>{escape(each.title)}" if each.title else escape(each.check)
        rows.append(f"| {MARKS[each.outcome]} {each.outcome.value} | {name} | {found} | {each.seconds:.1f} |")
    return rows

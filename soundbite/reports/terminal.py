"""Verdicts on a terminal: a line each, and what to do below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import console
from soundbite.checks import Outcome

from .model import COLOURS, MARKS, by_group
from .text import fit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.checks import Verdict


def show(verdicts: Sequence[Verdict]) -> None:
    """Print verdicts on stderr, by group, those that were skipped last in theirs."""
    width = max((len(each.check) for each in verdicts), default=0)
    for group in by_group(verdicts).values():
        for each in sorted(group, key=lambda each: each.outcome is Outcome.SKIP):
            console.say(told(each, width))


def told(verdict: Verdict, width: int = 0) -> str:
    """Return a verdict as lines for a terminal.

    Parameters
    ----------
    width:
        Columns for the check's id.
    """
    colour = COLOURS[verdict.outcome]
    # No line begins with text from elsewhere: at its beginning CI systems take some texts for commands.
    first, *more = fit(verdict.message).split("\n")
    head = f"{verdict.check:<{width}} {first}"
    if verdict.outcome is Outcome.SKIP:
        head = console.paint(head, colour)
    lines = [f"  {console.paint(MARKS[verdict.outcome], colour)} {head}", *(f"    │ {line}" for line in more)]
    if verdict.hint:
        lines += [f"    → {line}" for line in fit(verdict.hint).split("\n")]
    return "\n".join(lines)

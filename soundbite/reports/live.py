"""What is seen while checks run: a table on a terminal, elsewhere a line for each check that somebody must look at."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from soundbite import console

from .model import COLOURS, MARKS, WELL
from .terminal import told
from .text import fit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.table import Table

    from soundbite.checks import Check, Verdict

_NAMED = 4
"""How many checks are named of those that still run."""


@contextmanager
def live(checks: Sequence[Check]) -> Iterator[Callable[[Verdict], None]]:
    """Show how far checks are; on a terminal what was shown is gone at the end.

    Parameters
    ----------
    checks:
        Those that run.

    Yields
    ------
    Callable
        To be told of each verdict as it comes.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield _line
        return
    from rich.console import Console
    from rich.live import Live

    # Without a colour system nothing is bold or dim either. Results on stdout are none of the table's business.
    screen = Console(file=sys.stderr, color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False)
    table = _Table(checks)
    with Live(table, console=screen, transient=True, redirect_stdout=False):
        yield table.tell


def _line(verdict: Verdict) -> None:
    if verdict.outcome not in WELL:
        console.say(told(verdict))


class _Table:
    def __init__(self, checks: Sequence[Check]) -> None:
        self._groups: dict[str, list[str]] = {}
        for each in checks:
            self._groups.setdefault(each.group, []).append(each.id)
        self._verdicts: dict[str, Verdict] = {}

    def tell(self, verdict: Verdict) -> None:
        """Take a verdict; the table has it when it is drawn next."""
        self._verdicts[verdict.check] = verdict

    def __rich__(self) -> Table:
        """Return the table as it is now: a row for a group, and one for each check that somebody must look at."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, show_header=False, padding=(0, 1))
        for column in range(4):
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1 if column == 3 else None)  # noqa: PLR2004
        for group, ids in self._groups.items():
            done = [self._verdicts[each] for each in ids if each in self._verdicts]
            running = [each.partition(".")[2] for each in ids if each not in self._verdicts]
            well = not running and all(each.outcome in WELL for each in done)
            mark = Text("◦", "dim") if running else Text("✓" if well else "·", "green" if well else "dim")
            names = ", ".join(running[:_NAMED]) + (" …" if len(running) > _NAMED else "")
            table.add_row(mark, Text(group), Text(f"{len(done)} of {len(ids)}"), Text(names, "dim"))
            for each in done:
                if each.outcome not in WELL:
                    mark = Text(MARKS[each.outcome], COLOURS[each.outcome])
                    name, found = fit(each.check).partition(".")[2], fit(each.message).replace("\n", " ")
                    table.add_row(mark, Text(f"  {name}"), Text(f"{each.seconds:.1f} s"), Text(found))
        return table

"""What a run of `inv test` left: which suites ran on which commit, how each ended, and their results as files.

`run.json` is written when a run begins and as each suite ends, so one that was cut off shows as unfinished. The run
that began last is the one that is kept: an older one that still goes on writes no more.
"""

from __future__ import annotations

import json
import os
import threading
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from soundbite import checkout, files, paths
from soundbite.ages import now
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCHEMA = 1
WAITING, PASSED, FAILED = "waiting", "passed", "failed"
_FILE = "run.json"


class Unreadable(SoundbiteError):
    """There is something else where the record of a run should be."""


@dataclass(frozen=True)
class Ended:
    """A suite of a run: `outcome` is one of waiting (or running), passed, failed."""

    name: str
    group: str
    outcome: str = WAITING
    seconds: float | None = None


@dataclass(frozen=True)
class Run:
    """A run of `inv test`.

    Attributes
    ----------
    id:
        Part of the names of its files.
    revision:
        What was checked out when it began, `-dirty` behind it where there were changes.
    revision_after:
        The same when it ended: where it differs, nobody knows which of both a suite saw.
    only:
        The groups that were asked for; empty: all.
    more:
        More arguments for pytest, which may leave tests out.
    pid:
        The process, with its start time; whether an unfinished run goes on.
    finished:
        When; empty: it has not.
    """

    id: str
    revision: str
    started: str
    pid: int
    pid_started: float
    only: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)
    suites: list[Ended] = field(default_factory=list)
    finished: str = ""
    revision_after: str = ""
    schema: int = SCHEMA

    def file(self, what: str) -> Path:
        """Return where its results of a kind are, for example `pytest.xml`."""
        stem, _, ending = what.partition(".")
        return paths.TESTS / f"{stem}-{self.id}.{ending}"

    @property
    def goes_on(self) -> bool:
        """Whether its process still runs."""
        import psutil

        try:
            return not self.finished and abs(psutil.Process(self.pid).create_time() - self.pid_started) < _SAME_START
        except psutil.Error:
            return False


_SAME_START = 2.0
"""Seconds by which two readings of a process's start time may differ; NTP moves the clock."""


class Recorder:
    """Writes down a run that is going on; threads may share it."""

    def __init__(self, only: Sequence[str], more: Sequence[str]) -> None:
        import psutil

        self.run = Run(
            id=uuid4().hex[:12],
            revision=checkout.revision(),
            started=now(),
            pid=os.getpid(),
            pid_started=psutil.Process().create_time(),
            only=list(only),
            more=list(more),
        )
        self._writing = threading.Lock()

    def begin(self, suites: Sequence[tuple[str, str]]) -> None:
        """Write down that these suites, by name and group, will run; nothing of earlier runs stays."""
        self.run = replace(self.run, suites=[Ended(name, group) for name, group in suites])
        self._write()
        for old in paths.TESTS.iterdir():
            if old.is_file() and old.name != _FILE and self.run.id not in old.name:
                old.unlink(missing_ok=True)

    def ended(self, name: str, seconds: float, *, well: bool) -> None:
        """Write down how a suite ended."""
        with self._writing:
            outcome = PASSED if well else FAILED
            suites = [
                replace(each, outcome=outcome, seconds=round(seconds, 1)) if each.name == name else each
                for each in self.run.suites
            ]
            self._change(replace(self.run, suites=suites))

    def finish(self) -> None:
        """Write down that everything that was to run has ended."""
        with self._writing:
            self._change(replace(self.run, finished=now(), revision_after=checkout.revision()))

    def _change(self, run: Run) -> None:
        self.run = run
        try:
            newest = last()
        except Unreadable:
            newest = None
        if newest is None or newest.id == run.id:
            self._write()

    def _write(self) -> None:
        files.write(paths.TESTS / _FILE, json.dumps(asdict(self.run), indent=2) + "\n")


def last() -> Run | None:
    """Return the run that began last; None: there was none.

    Raises
    ------
    Unreadable
        Its record is none.
    """
    try:
        said = json.loads((paths.TESTS / _FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _unreadable(error) from None
    try:
        if said["schema"] != SCHEMA:
            raise _unreadable(f"schema {said['schema']}, not {SCHEMA}")
        return Run(**{**said, "suites": [Ended(**each) for each in said["suites"]]})
    except (KeyError, TypeError) as error:
        raise _unreadable(error) from None


def _unreadable(why: object) -> Unreadable:
    said: Any = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
    return Unreadable(f"The record of the last run of inv test cannot be read: {said}", "inv test writes it anew.")

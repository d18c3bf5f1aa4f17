"""One operation, run and struck, with everything that was seen of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.campaign import faults
from bench.campaign.plan import BAD, CONFIGURATION, RELEASE, ROLLBACK

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence
    from typing import Self

    from bench.campaign.plan import Blow
    from bench.campaign.stage import Stage
    from tests.containers.rehearsals import Rehearsal

DEADLINE = 150.0
"""Seconds after which an operation counts as hanging."""
_POLL = 0.02
_LOOK = 0.2


class Performed(NamedTuple):
    """How an operation went.

    Attributes
    ----------
    code:
        Its exit code; that of a signal is negative.
    wanted:
        The name of the service that it was to bring; "" for none of its own.
    struck:
        Whether it was still at work when the fault came.
    rival:
        What a second operator's `inv` said, and its exit code before it; "" without one.
    seen:
        Secrets that stood in a command line while it ran.
    """

    code: int
    said: str
    seconds: float
    hung: bool
    wanted: str
    struck: bool
    rival_code: int | None
    rival: str
    seen: list[str]


class Watched:
    """An `inv` that runs, and its output as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def said(self) -> str:
        """What it has printed so far."""
        return "".join(self.lines)

    def after(self, step: str, until: float) -> None:
        """Wait until a step has ended, or the process."""
        mark = f"✓ {step} "
        while time.monotonic() < until and self.process.poll() is None and mark not in self.said:
            time.sleep(_POLL)

    def ended(self, within: float) -> bool:
        """Tell whether it ends within so many seconds."""
        until = time.monotonic() + within
        while self.process.poll() is None and time.monotonic() < until:
            time.sleep(_POLL)
        if self.process.poll() is None:
            return False
        self._reader.join(5)
        return True

    def kill(self) -> None:
        """End it and what it has started."""
        if self.process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.ended(10)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines, suppress(ValueError):
            self.lines.extend(lines)


def perform(stage: Stage, blow: Blow) -> Performed:
    """Do an operation, strike while it is done, mend, and wait for its end."""
    wanted, arguments, task = _words(stage, blow)
    began = time.monotonic()
    with _Looking(stage.secrets) as looking:
        running = Watched(stage.place.start(*arguments, task=task))
        running.after(blow.step, began + DEADLINE)
        running.ended(blow.delay)
        struck = running.process.poll() is None
        rival = _rival(stage, blow) if blow.fault == "second operator" else None
        mend = faults.strike(stage, blow, running.process)
        try:
            running.ended(blow.lasts)
        finally:
            mend()
        hung = not running.ended(DEADLINE)
        seconds = time.monotonic() - began
        if hung:
            running.kill()
        if rival is not None and not rival.ended(DEADLINE):
            hung = True
            rival.kill()
    code = running.process.returncode
    return Performed(
        code if code is not None else -signal.SIGKILL,
        running.said,
        seconds,
        hung,
        wanted,
        struck,
        rival.process.returncode if rival else None,
        rival.said if rival else "",
        looking.seen,
    )


def _words(stage: Stage, blow: Blow) -> tuple[str, Sequence[str], str]:
    """Make the tree what the operation is to bring; return its name, and the task's words."""
    if blow.operation == RELEASE:
        name = f"service-{blow.number}"
        stage.place.write(name)
        return name, (), ""
    if blow.operation == BAD:
        stage.place.write(f"bad-{blow.number} {blow.ailment}")
        return "", (), ""
    stage.place.write(stage.content)
    if blow.operation == ROLLBACK:
        return "", ("--reason=campaign",), "rollback"
    return stage.content, ((f"--set=APP_ENV_GREETING={blow.number}",) if blow.operation == CONFIGURATION else ()), ""


def _rival(stage: Stage, blow: Blow) -> Watched:
    """Start what a second operator does: a deployment, or one of the two that go on with another's."""
    other: Rehearsal = stage.elsewhere
    words = (f"--set=APP_ENV_GREETING=rival {blow.number}",) if blow.host == 1 else (blow.how,)
    return Watched(other.start(*words))


class _Looking:
    """Looks at the command lines of all processes, those in containers too, for what must not stand there."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self.seen: list[str] = []
        self._secrets = [each.encode() for each in secrets]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(5)

    def _look(self) -> None:
        while not self._over.wait(_LOOK):
            for each in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    line = each.read_bytes()
                    if any(secret in line for secret in self._secrets):
                        self.seen.append(line.replace(b"\0", b" ").decode(errors="replace")[:60])

"""Processes that outlive the task that started them: the emulator, the application, its watcher.

Each is started in a session of its own with its output in a log file, and is known by a record: pid
and start time (so that a pid used again is not mistaken for it). A small launcher writes the record
before it becomes the process, so that there is never a process without one, whenever we are killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import shell
from .errors import SoundbiteError
from .interruption import undisturbed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SAME_START = 2.0
"""Seconds by which two readings of one process's start time may differ: it is told by the wall clock, which NTP
moves. A pid comes round only after all others (kernel.pid_max), which takes longer than that."""


@dataclass(frozen=True)
class Process:
    """A process kept under a folder of state.

    Attributes
    ----------
    name:
        What it is called in logs and messages.
    folder:
        Where its record (`run/NAME.json`) and its log (`logs/NAME.log`) are.
    """

    name: str
    folder: Path

    @property
    def record_file(self) -> Path:
        """Where its record is kept; it is there from before it starts until it was stopped."""
        return self.folder / "run" / f"{self.name}.json"

    @property
    def log(self) -> Path:
        """Where its output goes; the previous run's is kept beside it as `.old`."""
        return self.folder / "logs" / f"{self.name}.log"

    def record(self) -> dict[str, Any] | None:
        """Return what was written when it was started: pid, started, fingerprint and notes; None if nothing was."""
        try:
            found = json.loads(self.record_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def pid(self) -> int | None:
        """Return its process id if it runs, else None."""
        import psutil

        record = self.record()
        if record is None:
            return None
        try:
            process = psutil.Process(record["pid"])
            same = abs(process.create_time() - record["started"]) < _SAME_START
            return process.pid if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.NoSuchProcess, KeyError):
            return None

    def start(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, notes: Mapping[str, Any]) -> None:
        """Start it.

        Parameters
        ----------
        env:
            Its whole environment; not recorded, because secrets are in it.
        notes:
            What to keep in the record, such as its port.

        Raises
        ------
        SoundbiteError
            The program is not there.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.record_file.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".log.old"))
        program = shell.find(argv[0], env.get("PATH"))
        order = json.dumps({"record": str(self.record_file), "notes": dict(notes), "argv": [program, *argv[1:]]})
        child = None
        try:
            with self.log.open("wb") as log, undisturbed():
                child = shell.spawn([sys.executable, "-c", _LAUNCHER, order], env=env, cwd=cwd, output=log.fileno())
            self._await_record(child.pid)
        except BaseException:
            # Without a record nobody would find it again.
            if child is not None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            self.record_file.unlink(missing_ok=True)
            raise

    def stop(self, grace: float) -> bool:
        """Stop it: SIGTERM to its group, and SIGKILL to what is left of it after `grace` seconds.

        Returns
        -------
        bool
            Whether it ended by itself within the grace, or was not running.
        """
        import psutil

        pid = self.pid()
        gentle = True
        if pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGTERM)
            gentle = _gone(pid, grace)
        record = self.record()
        if record is not None and (pid is not None or not psutil.pid_exists(record.get("pid", 0))):
            # Also when it had died by itself: what it started may still be there, in its group.
            with suppress(ProcessLookupError, PermissionError, KeyError):
                os.killpg(record["pid"], signal.SIGKILL)
            if pid is not None:
                _gone(pid, grace)
        self.record_file.unlink(missing_ok=True)
        return gentle

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log, masked."""
        return shell.tail(self.log, lines)

    def _await_record(self, pid: int) -> None:
        deadline = time.monotonic() + 10
        while (record := self.record()) is None or record.get("pid") != pid:
            if time.monotonic() > deadline or _gone(pid, 0):
                raise SoundbiteError(f"{self.name} could not be started:\n{self.tail()}")
            time.sleep(0.005)


def fingerprint(argv: Sequence[str], env: Mapping[str, str], *more: str) -> str:
    """Return a hash that changes when a process would have to be started differently.

    Of the environment only the given entries count; leave out secrets, whose hash could be guessed.
    """
    text = json.dumps([list(argv), sorted(env.items()), more])
    return sha256(text.encode()).hexdigest()[:16]


def _gone(pid: int, within: float) -> bool:
    """Wait until a process has ended; also reaps it if it is our child."""
    import psutil

    deadline = time.monotonic() + within
    while True:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        # A zombie has ended; whether and when its parent takes note is not ours to wait for.
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)


_LAUNCHER = f"""
import json, os, sys
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
import psutil
from soundbite import files
from pathlib import Path
order = json.loads(sys.argv[1])
me = {{"pid": os.getpid(), "started": psutil.Process().create_time(), **order["notes"]}}
files.write(Path(order["record"]), json.dumps(me), 0o600)
os.execv(order["argv"][0], order["argv"])
"""

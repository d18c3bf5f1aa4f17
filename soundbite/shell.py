"""The one place where commands are run: a list, never a shell; a deadline; masked output.

Each command gets a process group of its own, so that ending it ends everything it started. (Invoke's
own `run` cannot do any of this: it makes a string, and orphans the child on SIGTERM.)
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from . import console
from .errors import SoundbiteError
from .interruption import undisturbed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_running: set[subprocess.Popen[str]] = set()
_abandoned = threading.Event()
"""Set while everything that runs is being ended: what is started meanwhile is ended too."""

_TAIL = 40
"""Lines of a failed command's output that its error shows."""


@dataclass(frozen=True)
class Completed:
    """A command that ended: its exit code and what it printed on stdout and on stderr."""

    argv: tuple[str, ...]
    code: int
    stdout: str
    stderr: str


class CommandFailed(SoundbiteError):
    """A command ended with an exit code other than 0, or not within its deadline."""

    def __init__(self, completed: Completed, reason: str = "") -> None:
        output = (completed.stderr.rstrip() + "\n" + completed.stdout.rstrip()).strip().splitlines()
        tail = "\n".join(f"  {line}" for line in output[-_TAIL:])
        reason = reason or f"ended with exit code {completed.code}"
        super().__init__(console.redact(f"{shlex.join(completed.argv)} {reason}." + (f"\n{tail}" if tail else "")))
        self.completed = completed


def find(tool: str, path: str | None = None) -> str:
    """Return where a tool is.

    Raises
    ------
    SoundbiteError
        It is not on PATH.
    """
    found = shutil.which(tool, path=path)
    if found is None:
        raise SoundbiteError(f"{tool} is not installed, or not on PATH.", "inv doctor says how to get it.")
    return found


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
) -> Completed:
    """Run a command to its end.

    Parameters
    ----------
    argv:
        The command and its arguments.
    timeout:
        Seconds until its whole process group is ended.
    env:
        Its whole environment; None: this process's own.
    stdin:
        What it reads; secrets go this way, never as an argument. None: nothing.
    on_line:
        Called with each line of its output as it comes, masked, from a thread.
    check:
        Whether an exit code other than 0 is an error.

    Raises
    ------
    CommandFailed
        It failed or was too slow; the message has the end of its output.
    SoundbiteError
        The tool is not there.
    """
    process: subprocess.Popen[str] | None = None
    late = False
    outputs: tuple[list[str], list[str]] = ([], [])
    threads: list[threading.Thread] = []
    try:
        with undisturbed():
            process = _popen(argv, cwd, env, piped=stdin is not None)
        # From a thread of its own, so that the deadline also holds for a command that does not read.
        threads = [threading.Thread(target=_feed, args=(process.stdin, stdin or ""), daemon=True)]
        for stream, lines in zip((process.stdout, process.stderr), outputs, strict=True):
            threads.append(threading.Thread(target=_collect, args=(stream, lines, on_line), daemon=True))
        for thread in threads:
            thread.start()
        late = not _ended(process, timeout)
        if late:
            end_group(process)
    except BaseException:
        if process is not None:
            end_group(process)
        raise
    finally:
        if process is not None:
            _running.discard(process)
    until = time.monotonic() + GRACE
    for thread in threads:
        # A grandchild that left the group may hold the pipe open: its output is not waited for.
        thread.join(max(0.0, until - time.monotonic()))
    completed = Completed(tuple(argv), process.returncode, "".join(outputs[0]), "".join(outputs[1]))
    if late:
        raise CommandFailed(completed, f"was not done within {timeout:.0f} s and was ended")
    if check and completed.code != 0:
        raise CommandFailed(completed)
    return completed


def _ended(process: subprocess.Popen[str], within: float) -> bool:
    """Wait until a process has ended, and know it at once: its own wait with a deadline looks every 50 ms."""
    ended = threading.Event()

    def watch() -> None:
        process.wait()
        ended.set()

    threading.Thread(target=watch, daemon=True).start()
    return ended.wait(within)


def _popen(
    argv: Sequence[str], cwd: Path | None, env: Mapping[str, str] | None, *, piped: bool
) -> subprocess.Popen[str]:
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=dict(env) if env is not None else None,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except FileNotFoundError:
        if cwd is not None and not cwd.is_dir():
            raise SoundbiteError(f"The folder {cwd} is not there, and {argv[0]} was to run in it.") from None
        raise SoundbiteError(f"{argv[0]} is not installed, or not on PATH.", "inv doctor says how to get it.") from None
    except (PermissionError, NotADirectoryError) as error:
        raise SoundbiteError(f"{argv[0]} cannot be run: {error.strerror}: {error.filename}") from None
    _running.add(process)
    if _abandoned.is_set():
        end_group(process)
    return process


def spawn(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, output: int) -> subprocess.Popen[bytes]:
    """Start a command that shall outlive us: in a session of its own, its output going to a file descriptor."""
    return subprocess.Popen(
        list(argv),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def shown(argv: Sequence[str]) -> str:
    """Return a command as one would type it."""
    return shlex.join(argv)


def end_group(*processes: subprocess.Popen[str], grace: float = GRACE) -> None:
    """End processes at once, and everything in their groups: SIGTERM, and SIGKILL for what is left after `grace` s."""
    until = time.monotonic() + grace
    for process in processes:
        _signal_group(process.pid, signal.SIGTERM)
    for process in processes:
        with suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def all_ended() -> Iterator[None]:
    """End every command that any thread is running, and for the time of the block every one that is started."""
    _abandoned.set()
    try:
        end_group(*list(_running))
        yield
    finally:
        _abandoned.clear()


def tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log file, masked; empty if there is none."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return console.redact("".join(deque(stream, lines))).rstrip()
    except FileNotFoundError:
        return ""


def _signal_group(pid: int, signum: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signum)


def _collect(stream: IO[str] | None, lines: list[str], on_line: Callable[[str], None] | None) -> None:
    if stream is None:
        return
    with stream:
        for line in stream:
            lines.append(line)
            if on_line is not None:
                on_line(console.redact(line.rstrip("\n")))


def _feed(stream: IO[str] | None, text: str) -> None:
    if stream is not None:
        # close() flushes, and fails again where the command has ended without reading.
        with suppress(BrokenPipeError), stream:
            stream.write(text)

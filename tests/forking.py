"""Running `inv` to its end in a fork of a process that has imported the libraries: see `tests/forker.py`."""

from __future__ import annotations

import atexit
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FORKER = Path(__file__).with_name("forker.py")
_PIPE = 2**14
"""Characters that a pipe takes before anybody reads."""


class Forker:
    """The process that forks, and the way to ask it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._asked, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._one = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, str(_FORKER), str(theirs.fileno())],
                env=environ, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip

    def close(self) -> None:
        """End it, and wait until it has ended."""
        self._asked.close()
        self._process.wait()

    def run(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str, text: str, timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Run `inv` as `subprocess.run` does, with a text on its standard input.

        Raises
        ------
        subprocess.TimeoutExpired
            It has not ended after so many seconds, and is killed.
        """
        assert len(text) < _PIPE
        end = time.monotonic() + timeout
        stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
        os.write(stdin[1], text.encode())
        os.close(stdin[1])
        theirs = [stdin[0], stdout[1], stderr[1]]
        try:
            pid = self.fork(argv, env, cwd, theirs)
        finally:
            for each in theirs:
                os.close(each)
        said = {stdout[0]: b"", stderr[0]: b""}
        ended = os.pidfd_open(pid)
        try:
            whole = _read(said, end) and bool(select.select([ended], [], [], max(0.0, end - time.monotonic()))[0])
            if not whole:
                os.kill(pid, signal.SIGKILL)
            code = self.wait(pid)
        finally:
            for each in (ended, *said):
                os.close(each)
        if not whole:
            raise subprocess.TimeoutExpired(["inv", *argv], timeout, *said.values())
        out, err = (each.decode() for each in said.values())
        return subprocess.CompletedProcess(["inv", *argv], code, out, err)

    def fork(
        self, argv: Sequence[str], env: Mapping[str, str], cwd: str, streams: Sequence[int], *, session: bool = False
    ) -> int:
        """Begin to run `inv` with three standard streams, and return its process id."""
        return self._ask({"argv": list(argv), "env": dict(env), "cwd": cwd, "session": session}, streams)

    def wait(self, pid: int) -> int:
        """Wait for the end of what was forked, and return its exit code, as `subprocess` tells it."""
        return os.waitstatus_to_exitcode(self._ask({"wait": pid}))

    def _ask(self, what: dict[str, Any], streams: Sequence[int] = ()) -> int:
        with self._one:
            socket.send_fds(self._asked, [json.dumps(what).encode()], streams)
            return int(self._asked.recv(100))


class Started(subprocess.Popen[str]):
    """An `inv` that runs, as `subprocess` has one; only that another process is its parent.

    It has a session of its own, nothing to read, and stdout and stderr in one.
    """

    def __init__(self, by: Forker, argv: Sequence[str], env: Mapping[str, str], cwd: str) -> None:
        self._by = by
        self._child_created = False  # nothing that Popen has to clean up
        self.args = ["inv", *argv]
        self.stdin = self.stderr = None
        self.returncode = None
        read, write = os.pipe()
        with Path(os.devnull).open("rb") as nothing:
            self.pid = by.fork(argv, env, cwd, [nothing.fileno(), write, write], session=True)
        os.close(write)
        self._ended = os.pidfd_open(self.pid)
        self.stdout = os.fdopen(read, encoding="utf-8")
        self._rest: list[str] = []
        self._reader: threading.Thread | None = None

    def poll(self) -> int | None:
        """Return its exit code, or None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit code."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = self._by.wait(self.pid)
            os.close(self._ended)
        return self.returncode

    def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
        """Read what is left of what it says, wait for its end, and return that and nothing."""
        assert input is None
        if self._reader is None:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        began = time.monotonic()
        self._reader.join(timeout)
        if self._reader.is_alive():
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        self.wait(None if timeout is None else max(0.0, timeout - (time.monotonic() - began)))
        return "".join(self._rest), ""

    def _read(self) -> None:
        assert self.stdout is not None
        with self.stdout as said:
            self._rest.append(said.read())


def _read(said: dict[int, bytes], end: float) -> bool:
    """Read until nobody holds the other ends any more; tell whether that was in time."""
    with selectors.DefaultSelector() as selector:
        for each in said:
            selector.register(each, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready and time.monotonic() >= end:
                return False
            for key, _ in ready:
                part = os.read(key.fd, 2**16)
                said[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
    return True


@cache
def forker() -> Forker:
    """Return this process's own, started when it is first wanted; it ends with the tests."""
    from tests.conftest import clean_environ

    made = Forker(clean_environ())
    atexit.register(made.close)
    return made

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
            pid = self._ask({"argv": list(argv), "env": dict(env), "cwd": cwd}, theirs)
        finally:
            for each in theirs:
                os.close(each)
        said = {stdout[0]: b"", stderr[0]: b""}
        ended = os.pidfd_open(pid)
        try:
            whole = _read(said, end) and bool(select.select([ended], [], [], max(0.0, end - time.monotonic()))[0])
            if not whole:
                os.kill(pid, signal.SIGKILL)
            code = os.waitstatus_to_exitcode(self._ask({"wait": pid}))
        finally:
            for each in (ended, *said):
                os.close(each)
        if not whole:
            raise subprocess.TimeoutExpired(["inv", *argv], timeout, *said.values())
        out, err = (each.decode() for each in said.values())
        return subprocess.CompletedProcess(["inv", *argv], code, out, err)

    def _ask(self, what: dict[str, Any], streams: Sequence[int] = ()) -> int:
        with self._one:
            socket.send_fds(self._asked, [json.dumps(what).encode()], streams)
            return int(self._asked.recv(100))


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

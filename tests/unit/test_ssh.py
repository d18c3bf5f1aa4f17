"""What comes over an SSH channel is read whole, in whatever order sshd tells it."""

from __future__ import annotations

import threading
import time

import pytest

from soundbite.platforms.hosts import ssh


class Channel:
    """A channel whose exit code is there at once, and what the command said a moment later."""

    def __init__(self, code: int = 0) -> None:
        self.closed = self.eof_received = False
        self.status_event = threading.Event()
        self._code = code
        self._waiting: list[bytes] = []
        threading.Thread(target=self._say, daemon=True).start()

    def _say(self) -> None:
        time.sleep(0.05)
        self._waiting.append(b"the answer")
        self.eof_received = True

    def exec_command(self, command: str) -> None:
        """Take a command."""

    def sendall(self, data: bytes) -> None:
        """Take what the command reads."""

    def shutdown_write(self) -> None:
        """Take the end of it."""

    def exit_status_ready(self) -> bool:
        """Tell whether the exit code is there."""
        return True

    def recv_exit_status(self) -> int:
        """Return it; -1 where the connection was cut."""
        return self._code

    def recv_ready(self) -> bool:
        """Tell whether something was said on stdout."""
        return bool(self._waiting)

    def recv(self, _: int) -> bytes:
        """Return what was said on stdout."""
        return self._waiting.pop()

    def recv_stderr_ready(self) -> bool:
        """Tell whether something was said on stderr."""
        return False

    def close(self) -> None:
        """End it."""
        self.closed = True


def test_what_comes_after_the_exit_code_is_not_lost() -> None:
    assert ssh._spoken(Channel(), "hostname", "") == (0, "the answer", "")


def test_a_channel_that_was_cut_is_no_answer() -> None:
    with pytest.raises(EOFError, match="it was cut"):
        ssh._spoken(Channel(code=-1), "hostname", "")

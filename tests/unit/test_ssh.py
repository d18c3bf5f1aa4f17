"""What comes over an SSH channel is read whole, in whatever order sshd tells it; a cut is told from a refusal."""

from __future__ import annotations

import socket
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from soundbite.platforms.hosts import ssh
from soundbite.platforms.hosts.inventory import Host

if TYPE_CHECKING:
    from pathlib import Path


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


class Doorman(paramiko.ServerInterface):  # type: ignore[misc]  # it has no types
    """Lets nobody in: breaks off, or says no."""

    def __init__(self, transport: paramiko.Transport, *, breaks_off: bool) -> None:
        self._transport = transport
        self._breaks_off = breaks_off

    def get_allowed_auths(self, username: str) -> str:  # noqa: ARG002 - its interface
        """Tell that keys are asked for."""
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:  # noqa: ARG002 - its interface
        """Take no key."""
        if self._breaks_off:
            self._transport.close()
        return int(paramiko.AUTH_FAILED)


@pytest.mark.parametrize("cut", [True, False])
def test_a_sign_in_that_is_cut_is_a_lost_connection_and_one_that_is_refused_is_not(tmp_path: Path, cut: bool) -> None:
    theirs, ours = paramiko.ECDSAKey.generate(), Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(ours.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {theirs.get_name()} {theirs.get_base64()}\n")
    hosts = SimpleNamespace(user="deploy", key=str(tmp_path / "key"), gateway="", known_hosts=str(known))
    environment: Any = SimpleNamespace(hosts=hosts)
    session = ssh.Session(Host("one", "one", "127.0.0.1", port), environment)
    served: list[paramiko.Transport] = []

    def serve() -> None:
        transport = paramiko.Transport(listener.accept()[0])
        served.append(transport)
        transport.add_server_key(theirs)
        transport.start_server(server=Doorman(transport, breaks_off=cut))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with pytest.raises(ssh.HostFailed) as failed:
            session.run("hostname", "", 10)
    finally:
        thread.join(10)
        listener.close()
        served[0].close()
    assert isinstance(failed.value, ssh.ConnectionLost) == cut
    told = "the connection was lost: it was cut while deploy signed in" if cut else "it refuses deploy: "
    assert told in failed.value.message

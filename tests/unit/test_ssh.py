"""What comes over an SSH channel is read whole, in whatever order sshd tells it; a cut is told from a refusal."""

from __future__ import annotations

import io
import socket
import threading
import time
from base64 import b64decode, b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from soundbite.platforms.hosts import ssh
from soundbite.platforms.hosts.inventory import Host

if TYPE_CHECKING:
    from collections.abc import Callable
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


class Server:
    """A channel to a server that says something piece by piece, and then, if it ends, with a code."""

    def __init__(self, *said: bytes, code: int = 0, err: bytes = b"") -> None:
        self._said = [*said, b""]
        self._code, self._err = code, err
        self.heard = b""

    def sendall(self, data: bytes) -> None:
        """Take an order; nobody does where it has ended already."""
        if len(self._said) == 1:
            raise OSError("Socket is closed")
        self.heard += data

    def recv(self, _: int) -> bytes:
        """Return the next piece."""
        return self._said.pop(0)

    def recv_exit_status(self) -> int:
        """Return the code."""
        return self._code

    def makefile_stderr(self, _: str) -> io.BytesIO:
        """Return what it said on stderr."""
        return io.BytesIO(self._err)

    def close(self) -> None:
        """End it."""


def test_a_server_answers_with_a_line_however_it_comes() -> None:
    told = b'{"code": 3, "out": "one\\n", "err": "two"}\n'
    for cut in range(1, len(told)):
        channel = Server(told[:cut], told[cut:])
        assert ssh._answered(channel, '{"verb": "x"}', anew=False) == (3, "one\n", "two")
        assert channel.heard == b'{"verb": "x"}\n'


@pytest.mark.parametrize("noise", [b"Welcome!\n", b'"quoted"\n[]\n{}\n', b"\n", b"\xff\n"])
def test_what_a_shell_says_before_the_answer_is_none(noise: bytes) -> None:
    told = b'{"code": 0, "out": "", "err": ""}\n'
    for said in ([noise, told], [noise + told], [noise + told[:5], told[5:]]):
        assert ssh._answered(Server(*said), "{}", anew=True) == (0, "", "")


def test_a_server_that_cannot_start_says_why() -> None:
    channel = Server(code=2, err=b"No such file")
    assert ssh._answered(channel, "{}", anew=True) == (2, "", "No such file")


@pytest.mark.parametrize(("code", "anew"), [(-1, True), (0, True), (-1, False), (0, False), (137, False)])
def test_a_server_that_ends_without_an_answer_is_a_lost_connection(code: int, anew: bool) -> None:
    for channel in (Server(code=code), Server(b'{"code": 0, "o', code=code)):
        with pytest.raises(EOFError):
            ssh._answered(channel, "{}", anew=anew)


class Doorman(paramiko.ServerInterface):  # type: ignore[misc]  # it has no types
    """Lets nobody in: breaks off, or says no."""

    def __init__(self, transport: paramiko.Transport, *, breaks_off: bool) -> None:
        self._transport = transport
        self._breaks_off = breaks_off

    def get_allowed_auths(self, *_: object) -> str:
        """Tell that keys are asked for."""
        return "publickey"

    def check_auth_publickey(self, *_: object) -> int:
        """Take no key."""
        if self._breaks_off:
            self._transport.close()
        return int(paramiko.AUTH_FAILED)


def private_key(kind: str, form: str, passphrase: str = "") -> bytes:
    """Return a new private key as it stands in a file."""
    made: dict[str, Callable[[], Any]] = {
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "EC": lambda: ec.generate_private_key(ec.SECP256R1()),
        "Ed25519": Ed25519PrivateKey.generate,
    }
    forms = {"OpenSSH": PrivateFormat.OpenSSH, "PEM": PrivateFormat.TraditionalOpenSSL}
    lock: Any = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    return bytes(made[kind]().private_bytes(Encoding.PEM, forms[form], lock))


def of_another_kind() -> bytes:
    """Return a private key of a kind that nobody here knows, as those of security keys are."""
    lines = private_key("Ed25519", "OpenSSH").decode().splitlines()
    whole = b64decode("".join(lines[1:-1])).replace(b"ssh-ed25519", b"ssh-another")
    return "\n".join([lines[0], b64encode(whole).decode(), lines[-1], ""]).encode()


def environment_of(folder: Path, key: bytes | None, known: str = "") -> Any:
    """Return an environment whose hosts are signed in to with a key."""
    if key is not None:
        (folder / "key").write_bytes(key)
    (folder / "known_hosts").write_text(known)
    named = {"key": str(folder / "key"), "known_hosts": str(folder / "known_hosts")}
    return SimpleNamespace(hosts=SimpleNamespace(user="deploy", gateway="", **named))


@pytest.mark.parametrize("cut", [True, False])
@pytest.mark.parametrize(
    ("kind", "form"),
    [("RSA", "OpenSSH"), ("RSA", "PEM"), ("EC", "OpenSSH"), ("EC", "PEM"), ("Ed25519", "OpenSSH")],
)
def test_a_sign_in_that_is_cut_is_a_lost_connection_and_one_that_is_refused_is_not(
    tmp_path: Path, kind: str, form: str, cut: bool
) -> None:
    theirs = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    known = f"[127.0.0.1]:{port} {theirs.get_name()} {theirs.get_base64()}\n"
    session = ssh.Session(
        Host("one", "one", "127.0.0.1", port), environment_of(tmp_path, private_key(kind, form), known)
    )
    served: list[paramiko.Transport] = []

    def serve() -> None:
        transport = paramiko.Transport(listener.accept()[0])
        served.append(transport)
        transport.add_server_key(theirs)
        # With an event it does not wait, and so does not mind that its client is gone before it would look.
        transport.start_server(event=threading.Event(), server=Doorman(transport, breaks_off=cut))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with pytest.raises(ssh.HostFailed) as failed:
            session.run("hostname", "", 10)
    finally:
        thread.join(10)
        listener.close()
        for each in served:
            each.close()
    assert isinstance(failed.value, ssh.ConnectionLost) == cut
    told = "the connection was lost: it was cut while deploy signed in" if cut else "it refuses deploy: "
    assert told in failed.value.message


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (lambda: None, "/key cannot be read: No such file or directory"),
        (lambda: b"ssh-ed25519 AAAA somebody's public one", "/key is no private key that can be used"),
        (lambda: b"", "/key is no private key that can be used"),
        (of_another_kind, "/key is no private key that can be used"),
        (lambda: private_key("Ed25519", "OpenSSH", "secret"), "/key has a passphrase"),
        (lambda: private_key("RSA", "PEM", "secret"), "/key has a passphrase"),
    ],
)
def test_a_key_that_cannot_be_used_is_told_before_anybody_is_asked(
    tmp_path: Path, key: Callable[[], bytes | None], told: str
) -> None:
    session = ssh.Session(Host("one", "one", "127.0.0.1", 1), environment_of(tmp_path, key()))
    with pytest.raises(ssh.HostFailed) as failed:
        session.run("hostname", "", 10)
    assert failed.value.message.endswith(told)

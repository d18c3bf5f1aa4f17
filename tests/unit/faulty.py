"""Little servers on 127.0.0.1 that are wrong in one way each, and certificates for them."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TLS = b"\x16"
"""What a TLS connection begins with."""

Talk = Callable[[socket.socket, bytes], None]


@contextlib.contextmanager
def serving(talk: Talk, secure: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve connections, each request's head given to `talk`; yield the address."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    open_ones: list[socket.socket] = []

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if secure is not None:
                connection = secure.wrap_socket(connection, server_side=True)
                open_ones.append(connection)
            with connection:
                while head := _head(connection):
                    talk(connection, head)

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            open_ones.append(connection)
            threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"{'https' if secure else 'http'}://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in open_ones:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        for each in (accepting, *threads):
            each.join(5)


def _head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head and not head.startswith(_TLS):
        part = connection.recv(65536)
        if not part:
            return b""
        head += part
    return head


def raw(answer: bytes) -> Talk:
    """Answer with these bytes, and close."""

    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(answer)
        connection.shutdown(socket.SHUT_RDWR)

    return talk


def http(body: object = "", status: str = "200 OK", **headers: str) -> Talk:
    """Answer properly; what is no text is sent as JSON."""

    def talk(connection: socket.socket, _: bytes) -> None:
        connection.sendall(message(body, status, **headers))

    return talk


def message(body: object = "", status: str = "200 OK", **headers: str) -> bytes:
    """Return an HTTP answer."""
    content = (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(content)}", *lines, "", ""]).encode() + content


def by_path(routes: dict[str, Callable[[dict[str, Any]], bytes]]) -> Talk:
    """Answer by `METHOD path` (the longest that fits), with the request's headers at hand."""

    def talk(connection: socket.socket, head: bytes) -> None:
        lines = head.decode("latin-1").split("\r\n")
        asked = lines[0].rpartition(" ")[0]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        fitting = [each for each in routes if asked.startswith(each)]
        connection.sendall(routes[max(fitting, key=len)](headers) if fitting else message("", "404 Not Found"))

    return talk


class Authority:
    """Somebody who issues certificates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        self._name = name
        now = datetime.now(UTC)
        certificate = (
            self._builder(name, self._key, now - timedelta(days=999), now + timedelta(days=999))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "authority.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, *, days: float, name: str = "127.0.0.1", since: float = -900) -> ssl.SSLContext:
        """Return a server's context with a certificate that ends in so many days."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        alternative = x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)
        certificate = (
            self._builder(subject, key, now + timedelta(days=since), now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        file = self._folder / f"{name}-{days}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
        )

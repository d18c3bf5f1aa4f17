"""A server between a client and another server: passes everything on, or alters it as a test wants."""

from __future__ import annotations

import http.client
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator


@dataclass
class Exchange:
    """A request, and the answer that it got; what a test changes of the answer is what the client gets.

    Attributes
    ----------
    raw:
        Bytes to send instead of an answer.
    """

    method: str
    path: str
    asked: dict[str, str]
    sent: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None

    def without(self, prefix: str) -> None:
        """Take the headers away whose names begin so."""
        self.headers = {name: value for name, value in self.headers.items() if not name.lower().startswith(prefix)}

    def answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        """Answer something else."""
        self.status, self.body, self.headers = status, body, {"Content-Type": kind}


@contextmanager
def between(
    port: int, alter: Callable[[Exchange], None], *, before: bool = False, secure: ssl.SSLContext | None = None
) -> Iterator[int]:
    """Have a server in front of the one at a port of 127.0.0.1; gives its own port.

    Parameters
    ----------
    alter:
        Changes an exchange; may wait.
    before:
        Whether the other server is not asked: `alter` gives the answer.
    secure:
        What makes it speak TLS.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            exchange = Exchange(self.command, self.path, dict(self.headers.items()), sent)
            if not before and not _forward(exchange, port):
                self.close_connection = True
                return
            alter(exchange)
            with suppress(OSError):
                if exchange.raw is not None:
                    self.close_connection = True
                    self.wfile.write(exchange.raw)
                    return
                self.send_response_only(exchange.status)
                for name, value in exchange.headers.items():
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(exchange.body)))
                self.end_headers()
                self.wfile.write(b"" if self.command == "HEAD" else exchange.body)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = do_OPTIONS = _serve  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing: that clients break off is what some tests are about."""

    server = Server(("127.0.0.1", 0), Handler)
    if secure is not None:
        # The handshake in the connection's own thread: a client that breaks it off must not end the server.
        server.socket = secure.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()


def _forward(exchange: Exchange, port: int) -> bool:
    dropped = {"connection", "expect"}
    headers = {name: value for name, value in exchange.asked.items() if name.lower() not in dropped}
    upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        upstream.request(exchange.method, exchange.path, exchange.sent or None, headers)
        response = upstream.getresponse()
        exchange.status, exchange.body = response.status, response.read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        upstream.close()
    kept = {"connection", "transfer-encoding"} | (set() if exchange.method == "HEAD" else {"content-length"})
    exchange.headers = {name: value for name, value in response.getheaders() if name.lower() not in kept}
    return True

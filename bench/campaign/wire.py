"""What lies between the workflow and emulated AWS: a wire that can be slow, deaf, or lie."""

from __future__ import annotations

import http.client
import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from email.message import Message

BRIDGE = "172.17.0.1"
_SLOW = 0.7
"""Seconds that every answer takes longer."""
_EVERY = 3
"""One of so many requests is struck."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that are gone: killing them is what this is for."""


class Wire:
    """A server in front of the emulator that passes everything on, or does what its `fault` says.

    Parameters
    ----------
    upstream:
        The emulator's port.
    """

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        self.fault = ""
        self._count = 0
        self._counting = threading.Lock()
        self._server = _Server((BRIDGE, 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{BRIDGE}:{self._server.server_address[1]}"

    def struck(self) -> bool:
        """Tell whether the next request is one that the fault strikes."""
        with self._counting:
            self._count += 1
            return self._count % _EVERY == 0

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - a class within
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            sent = self._body()
            fault = wire.fault if wire.fault and (wire.fault == "AWS slow" or wire.struck()) else ""
            if fault == "AWS slow":
                time.sleep(_SLOW)
            if fault == "AWS cuts off":
                self.close_connection = True
                return
            if fault in {"AWS throttles", "AWS fails"}:
                code = "ThrottlingException" if fault == "AWS throttles" else "InternalFailure"
                self._answer(400 if fault == "AWS throttles" else 500, _error(code, self.headers), {})
                return
            answered = self._forwarded(sent)
            if answered is None:
                self.close_connection = True
                return
            status, body, headers = answered
            if fault == "AWS truncates" and body:
                # As many bytes are announced as there should be, and half of them come.
                self._answer(status, body[: len(body) // 2], headers, announced=len(body))
                self.close_connection = True
                return
            self._answer(status, body, headers)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815 - their names

        def log_message(self, *_: object) -> None:
            pass

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
                return self.rfile.read(int(self.headers.get("Content-Length", 0)))
            parts = []
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        def _forwarded(self, sent: bytes) -> tuple[int, bytes, dict[str, str]] | None:
            dropped = {"connection", "expect", "transfer-encoding", "content-length"}
            headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            upstream = http.client.HTTPConnection(BRIDGE, wire.upstream, timeout=60)
            try:
                upstream.request(self.command, self.path, sent or None, headers)
                response = upstream.getresponse()
                body = response.read()
            except (OSError, http.client.HTTPException):
                return None
            finally:
                upstream.close()
            own = {"connection", "transfer-encoding"} | (set() if self.command == "HEAD" else {"content-length"})
            kept = {name: value for name, value in response.getheaders() if name.lower() not in own}
            return response.status, body, kept

        def _answer(self, status: int, body: bytes, headers: dict[str, str], *, announced: int = -1) -> None:
            with suppress(OSError):
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body) if announced < 0 else announced))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

    return Handler


def _error(code: str, headers: Message) -> bytes:
    """Return an error as AWS says it, in the words of the protocol that was spoken."""
    if "X-Amz-Target" in headers:
        return json.dumps({"__type": code, "message": "for a while"}).encode()
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>for a while</Message></Error></ErrorResponse>".encode()

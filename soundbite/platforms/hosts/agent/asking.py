"""GET over TCP or a unix socket, by the library that every Python has."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 5.0
_OK = 200


class OverSocket(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def at_socket(path: Path, url: str) -> str:
    """Ask for a path at a unix socket; return what is wrong, empty if it answers 200."""
    return _problem(OverSocket(path), url)


def at_port(port: int, url: str) -> str:
    """Ask for a path at a port of this host; return what is wrong, empty if it answers 200."""
    return _problem(http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT), url)


def _problem(connection: http.client.HTTPConnection, url: str) -> str:
    try:
        connection.request("GET", url, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(300).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return "" if response.status == _OK else f"{response.status}: {body}"

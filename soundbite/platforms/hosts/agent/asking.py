"""GET over TCP or a unix socket, by hand.

Python's own client, and what quotes URLs for it, would be 40 of the 97 ms of CPU for which a step loads (measured).
It speaks HTTP/1.0, which every server knows: an answer is in one piece, and ends with its length or its connection.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT = 5.0
"""Seconds for a whole answer."""
_MOST = 16 * 2**20
"""Bytes of an answer, against one that never ends."""
_SHOWN = 300
"""Bytes of a wrong answer's body that a message has."""
_OK = 200
_END_OF_HEAD = b"\r\n\r\n"


def at_socket(path: Path, url: str) -> str:
    """Ask for a path at a unix socket; return what is wrong, empty if it answers 200."""
    return _problem(socket.AF_UNIX, str(path), "localhost", url)


def at_port(port: int, url: str) -> str:
    """Ask for a path at a port of this host; return what is wrong, empty if it answers 200."""
    return _problem(socket.AF_INET, ("127.0.0.1", port), f"127.0.0.1:{port}", url)


def body_of(path: Path, url: str) -> bytes:
    """Ask for a path at a unix socket; return the body.

    Raises
    ------
    OSError
        Nobody answers within 5 s, not by HTTP, not wholly, or with another status than 200.
    """
    status, body = _get(socket.AF_UNIX, str(path), "localhost", url)
    if status != _OK:
        raise OSError(f"{url}: {status}")
    return body


def _problem(family: int, address: str | tuple[str, int], host: str, url: str) -> str:
    try:
        status, body = _get(family, address, host, url)
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return "" if status == _OK else f"{status}: {body[:_SHOWN].decode(errors='replace')}"


def _get(family: int, address: str | tuple[str, int], host: str, url: str) -> tuple[int, bytes]:
    """Return an answer's status and body."""
    deadline = time.monotonic() + TIMEOUT
    answer = b""
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(address)
        connection.sendall(f"GET {url} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        while (left := _left(answer)) != 0:
            connection.settimeout(max(0.001, deadline - time.monotonic()))
            part = connection.recv(2**16)
            if not part and left is not None:
                raise OSError(f"the answer broke off after {len(answer)} bytes")
            if not part:
                break
            answer += part
            if len(answer) > _MOST:
                raise OSError(f"the answer has more than {_MOST} bytes")
    head, _, body = answer.partition(_END_OF_HEAD)
    protocol, _, rest = head.partition(b" ")
    if not protocol.startswith(b"HTTP/") or not rest[:3].isdigit():
        raise OSError(f"it does not answer by HTTP: {answer[:_SHOWN].decode(errors='replace')!r}")
    return int(rest[:3]), body


def _left(answer: bytes) -> int | None:
    """Return how many bytes of an answer are not there yet; None where only the end of its connection tells."""
    head, end, body = answer.partition(_END_OF_HEAD)
    for line in head.split(b"\r\n")[1:] if end else []:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return max(0, int(value) - len(body))
    return None

"""Agents ask by hand: whole answers are told, and all that is none is told as what it is."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from soundbite.platforms.hosts.agent import asking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@contextmanager
def server(listener: socket.socket, *parts: bytes, stays: bool = False) -> Iterator[list[bytes]]:
    """Answer one client with some bytes, then end its connection unless it `stays`; gives what was asked."""
    asked: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            asked.append(connection.recv(2**16))
            for part in parts:
                connection.sendall(part)
            if stays:
                done.wait(30)

    listener.listen()
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join(10)
        listener.close()


def over_tcp() -> tuple[socket.socket, int]:
    """Return a listener, and its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, int(listener.getsockname()[1])


def over_unix(path: Path) -> socket.socket:
    """Return a listener at a path."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def test_a_path_is_asked_for_by_the_oldest_protocol_and_the_servers_name() -> None:
    listener, port = over_tcp()
    with server(listener, OK + b"Content-Length: 2\r\n\r\nup") as asked:
        assert asking.at_port(port, "/health?deep=1") == ""
    assert asked[0].splitlines()[:2] == [b"GET /health?deep=1 HTTP/1.0", f"Host: 127.0.0.1:{port}".encode()]
    assert asked[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "parts",
    [
        (OK + b"\r\nall of it",),
        (OK + b"content-length:  9 \r\n\r\nall of it",),
        (b"HT", b"TP/1.0 200 Fine\r", b"\n\r\nall ", b"of it"),
    ],
)
def test_a_body_is_whole_however_its_end_is_told_and_its_parts_come(tmp_path: Path, parts: tuple[bytes, ...]) -> None:
    with server(over_unix(tmp_path / "s"), *parts):
        assert asking.body_of(tmp_path / "s", "/") == b"all of it"


def test_a_connection_that_stays_open_is_not_waited_for_once_the_answer_is_there(tmp_path: Path) -> None:
    with server(over_unix(tmp_path / "s"), OK + b"Content-Length: 2\r\n\r\nup", stays=True):
        assert asking.at_socket(tmp_path / "s", "/health") == ""


def test_another_status_is_told_with_the_begin_of_its_body(tmp_path: Path) -> None:
    with server(over_unix(tmp_path / "s"), b"HTTP/1.1 503 Busy\r\n\r\nno \xff database" + b"x" * 1000):
        told = asking.at_socket(tmp_path / "s", "/ready")
    assert told.startswith("503: no � databasexxx")
    assert len(told) < 320
    with server(over_unix(tmp_path / "t"), b"HTTP/1.1 404 Not Found\r\n\r\n"), pytest.raises(OSError, match="/x: 404"):
        asking.body_of(tmp_path / "t", "/x")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "it does not answer by HTTP: ''"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it does not answer by HTTP: 'SSH-2.0"),
        (b"HTTP/1.1 OK\r\n\r\n", "it does not answer by HTTP"),
        (OK + b"Content-Length: 20\r\n\r\nhalf of", "the answer broke off after"),
    ],
)
def test_what_is_no_whole_answer_is_told(tmp_path: Path, answer: bytes, told: str) -> None:
    with server(over_unix(tmp_path / "s"), answer):
        assert asking.at_socket(tmp_path / "s", "/").startswith(f"OSError: {told}")


def test_nobody_there_is_told(tmp_path: Path) -> None:
    assert "FileNotFoundError" in asking.at_socket(tmp_path / "none", "/")
    listener, port = over_tcp()
    listener.close()
    assert "ConnectionRefusedError" in asking.at_port(port, "/")


def test_an_answer_that_does_not_come_or_does_not_end_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "TIMEOUT", 0.3)
    with server(over_unix(tmp_path / "s"), OK + b"\r\nand then", stays=True):
        assert asking.at_socket(tmp_path / "s", "/") == "TimeoutError: timed out"
    monkeypatch.setattr(asking, "TIMEOUT", 30)
    monkeypatch.setattr(asking, "_MOST", 1000)
    with server(over_unix(tmp_path / "t"), OK + b"\r\n" + b"x" * 2000, stays=True):
        assert "OSError: the answer has more than 1000 bytes" in asking.at_socket(tmp_path / "t", "/")

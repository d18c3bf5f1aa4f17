"""The engine asked by its socket: as docker would, or not at all."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import daemon
from soundbite.daemon import Unasked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Have nothing choose an engine; return the folder of docker's settings."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[list[str]]:
    """Answer the first question at a socket, and collect its first line."""
    asked: list[str] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(connection.recv(65536).decode().splitlines()[0])
                connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield asked
        thread.join(10)


def response(status: str, body: bytes) -> bytes:
    """Return an answer as HTTP has it."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_what_it_answers_is_decoded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with answering(path, response("200 OK", b'[{"Id": "1"}]')) as asked:
        found = daemon.ask("/containers/json", all="true", filters={"label": ["a=b c"]})
    assert found == [{"Id": "1"}]
    words = "filters=%7B%22label%22%3A+%5B%22a%3Db+c%22%5D%7D"
    assert asked == [f"GET /containers/json?all=true&{words} HTTP/1.1"]


def test_what_it_does_not_have_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with answering(path, response("404 Not Found", b'{"message": "No such image"}')) as asked:
        assert daemon.ask("/images/127.0.0.1:5005/a/b@sha256:1 2/json") is None
    assert asked == ["GET /images/127.0.0.1:5005/a/b@sha256:1%202/json? HTTP/1.1"]


@pytest.mark.parametrize(
    "answer",
    [
        response("500 Internal Server Error", b"{}"),
        response("200 OK", b"no JSON"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[]",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
def test_any_other_answer_is_left_to_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with answering(path, answer), pytest.raises(Unasked):
        daemon.ask("/version")


def test_an_engine_that_is_away_is_left_to_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    with pytest.raises(Unasked):
        daemon.ask("/version")


CHOSEN: list[tuple[dict[str, str], dict[str, Any] | str | None, str | None]] = [
    ({}, None, "/var/run/docker.sock"),
    ({}, {}, "/var/run/docker.sock"),
    ({}, {"currentContext": "default"}, "/var/run/docker.sock"),
    ({"DOCKER_HOST": "", "DOCKER_CONTEXT": ""}, None, "/var/run/docker.sock"),
    ({"DOCKER_HOST": "unix:///here.sock"}, {"currentContext": "other"}, "/here.sock"),
    ({"DOCKER_HOST": "unix:///here.sock", "DOCKER_CONTEXT": "other"}, None, "/here.sock"),
    ({"DOCKER_CONTEXT": "default"}, {"currentContext": "other"}, "/var/run/docker.sock"),
    ({"DOCKER_HOST": "tcp://127.0.0.1:2375"}, None, None),
    ({"DOCKER_HOST": "ssh://me@there"}, None, None),
    ({"DOCKER_CONTEXT": "other"}, None, None),
    ({}, {"currentContext": "desktop-linux"}, None),
    ({}, "no JSON", None),
    ({}, "[]", None),
]


@pytest.mark.parametrize(("variables", "settings", "path"), CHOSEN)
def test_which_socket_is_asked_is_for_docker_to_say(
    monkeypatch: pytest.MonkeyPatch,
    nothing_chosen: Path,
    variables: dict[str, str],
    settings: dict[str, Any] | str | None,
    path: str | None,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if settings is not None:
        text = settings if isinstance(settings, str) else json.dumps(settings)
        (nothing_chosen / "config.json").write_text(text)
    if path is not None:
        assert daemon._socket() == path
        return
    with pytest.raises(Unasked):
        daemon._socket()

"""The Docker engine asked by its socket, as docker asks it.

docker takes 25 ms of a core to start (measured), and whoever waits for a container looks again and again.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

_SOCKET = "/var/run/docker.sock"
_TIMEOUT = 10.0


class Unasked(Exception):
    """The engine is not reached by a socket of this machine, or did not answer as it should: docker can say why."""


def ask(path: str, **query: Any) -> Any:
    """Return what the engine answers, decoded; None where it has no such thing (404).

    Parameters
    ----------
    path:
        Of the Engine API, without a version: `/containers/json`.
    query:
        The path's parameters; what is no text is given as JSON, as the API wants its filters.

    Raises
    ------
    Unasked
        It cannot be asked so. Whoever asks runs docker instead.
    """
    given = {key: value if isinstance(value, str) else json.dumps(value) for key, value in query.items()}
    connection = _Connection(_socket())
    try:
        connection.request("GET", f"{quote(path, safe='/:@')}?{urlencode(given)}")
        response = connection.getresponse()
        body = response.read()
        if response.status == http.client.NOT_FOUND:
            return None
        if response.status != http.client.OK:
            raise Unasked(f"{path}: {response.status}")
        return json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unasked(f"{path}: {error}") from error
    finally:
        connection.close()


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def is_default() -> bool:
    """Tell whether docker uses its default context, which a variable that names an engine is part of."""
    try:
        return bool(os.environ.get("DOCKER_HOST")) or _chosen() in {"", "default"}
    except Unasked:
        return False


def _socket() -> str:
    """Return the socket at which docker would ask (docs.docker.com, "Docker contexts": which variable wins)."""
    host = os.environ.get("DOCKER_HOST", "")
    if host:
        scheme, _, path = host.partition("://")
        if scheme != "unix":
            raise Unasked(host)
        return path
    context = _chosen()
    if context not in {"", "default"}:
        raise Unasked(context)
    return _SOCKET


def _chosen() -> str:
    """Return the context that the user has chosen, by a variable or for good; empty: none."""
    if os.environ.get("DOCKER_CONTEXT"):
        return os.environ["DOCKER_CONTEXT"]
    folder = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser()
    try:
        return str(json.loads((folder / "config.json").read_text(encoding="utf-8")).get("currentContext", ""))
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError) as error:
        raise Unasked(str(folder)) from error

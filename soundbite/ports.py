"""Ports of this machine: who listens on one, and one that nobody has."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from typing import Any

from . import shell
from .errors import SoundbiteError

_UNKNOWN = "a process of another user"
_PATIENCE = 3.0


def free(count: int) -> list[int]:
    """Return ports that nobody listens on now, all different."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in probes:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in probes]


def require_free(port: int, key: str, file: str, container: str | None = None) -> None:
    """Refuse when somebody listens on a port of this machine.

    Parameters
    ----------
    key:
        The setting that chooses the port.
    file:
        The env file in which it can be chosen for good.
    container:
        The container that publishes the port, where one is known to.

    Raises
    ------
    SoundbiteError
        The port is taken; the message says by whom.
    """
    deadline = time.monotonic() + _PATIENCE
    while (holder := listener(port)) == _UNKNOWN and time.monotonic() < deadline:
        time.sleep(0.05)  # a process that is just ending holds its port a moment longer, and has no name any more
    if holder is not None:
        holder = f"the container {container}" if container else holder
        stop = f"Stop {'it' if container else 'that process'}"
        raise SoundbiteError(
            f"Port {port} ({key}) is taken by {holder}.",
            f"{stop}, or choose another port: {key}={port + 1} inv …, for good in {file}.",
        )


def listener(port: int) -> str | None:
    """Say who listens on a port of this machine, for example `node (pid 4711: node dist/main.js)`; None if nobody."""
    import psutil

    for connection in _connections():
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            if connection.pid is None:
                return _UNKNOWN
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process = psutil.Process(connection.pid)
                command = shell.shown(process.cmdline())[:100]
                return f"{process.name()} (pid {connection.pid}: {command})"
            return f"pid {connection.pid}"
    return None if _bindable(port) else _UNKNOWN


def _connections() -> list[Any]:
    import psutil

    try:
        return list(psutil.net_connections("tcp"))
    except psutil.AccessDenied:  # macOS lets only root see the sockets of others
        found: list[Any] = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                found += [_WithPid(each, process.pid) for each in process.net_connections("tcp")]
        return found


class _WithPid:
    """A connection of one process, with that process's id as psutil.net_connections would give it."""

    def __init__(self, connection: Any, pid: int) -> None:
        self.status, self.laddr, self.pid = connection.status, connection.laddr, pid


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

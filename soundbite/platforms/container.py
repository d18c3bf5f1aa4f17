"""One container of a compose project, as a `Service`."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from soundbite import console, engine

from .room import APP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from soundbite.compose import Project

    from .containers import Containers

_SLACK = 20.0
"""Seconds beyond a container's grace that docker may take to stop and remove it."""


class Container:
    """A container kept by compose; the record of its start is in the environment's state.

    Parameters
    ----------
    folder:
        The environment's state.
    room:
        Where it belongs, which knows how to start it.
    """

    def __init__(self, name: str, project: Project, folder: Path, room: Containers) -> None:
        self.name = name
        self._project = project
        self._file = folder / "run" / f"{name}.container.json"
        self._room = room
        self._last = ""

    def record(self) -> dict[str, Any] | None:
        """Return its start (seconds since 1970) and what was noted then; None if it was not started, or stopped."""
        found = self._inspect()
        notes = _read(self._file)
        if found is None:
            return notes or None
        return {**notes, "started": _seconds(found["State"]["StartedAt"]), "container": found["Id"][:12]}

    def pid(self) -> int | None:
        """Return the process id of its first process if it runs, else None."""
        found = self._inspect()
        running = found is not None and found["State"]["Running"] and not found["State"]["Restarting"]
        return int(found["State"]["Pid"]) if found is not None and running else None

    def identity(self) -> str:
        """Return what is another after each start: the container's id and its start; empty if there is none."""
        found = self._inspect()
        return f"{found['Id']} {found['State']['StartedAt']}" if found is not None else ""

    def health(self) -> str:
        """Return what its health check says: of itself, or asked now where it has not been run yet."""
        return engine.words_of(self._inspect())[1]

    def start(self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, notes: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Start it with variables; command and folder are the container's own."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(dict(notes)), encoding="utf-8")
        self._room.start_emulator(env)

    def stop(self, grace: float) -> bool:
        """Stop and remove it; return whether it ended by itself within the grace, or was not running."""
        found = self._inspect()
        gentle = True
        if found is not None:
            ran = found["State"]["Running"]
            engine.run(["docker", "stop", "--time", f"{grace:.0f}", found["Id"]], timeout=grace + _SLACK, check=False)
            self._last = self._tail(found["Id"], 200)
            after = self._inspect()
            # 137 is 128 + SIGKILL: docker's own last resort.
            gentle = not ran or after is None or after["State"]["ExitCode"] != _KILLED
            engine.run(["docker", "rm", "--force", "--volumes", found["Id"]], timeout=_SLACK, check=False)
        self._file.unlink(missing_ok=True)
        return gentle

    def tail(self, lines: int = 20) -> str:
        """Return the end of its log, masked."""
        found = self._inspect()
        text = self._tail(found["Id"], lines) if found is not None else self._last
        return "\n".join(text.splitlines()[-lines:])

    def _tail(self, container: str, lines: int) -> str:
        done = engine.run(["docker", "logs", "--tail", str(lines), container], check=False)
        return console.redact((done.stdout + done.stderr).rstrip())

    def _inspect(self) -> dict[str, Any] | None:
        return engine.service(self._project.name, compose_name(self.name))


def compose_name(name: str) -> str:
    """Return what compose calls a service: the application is `api` in the files."""
    return "api" if name == APP else name


_KILLED = 137


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError):
        return {}


def _seconds(started: str) -> float:
    """Return docker's time, RFC 3339 with nanoseconds, as seconds since 1970."""
    return datetime.fromisoformat(started[:19] + "+00:00").timestamp()

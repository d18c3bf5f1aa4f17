"""What runs of a local environment, and what it prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from soundbite import console
from soundbite.errors import ConfigurationError
from soundbite.platforms import room as rooms
from soundbite.platforms import serving
from soundbite.platforms.room import APP
from soundbite.processes import Process

from . import following, steps

if TYPE_CHECKING:
    from soundbite.environment import Environment


def services(environment: Environment) -> list[str]:
    """Return the names of a local environment's services."""
    return [service.name for service, _ in rooms.of(environment).services()]


def status(environment: Environment) -> dict[str, Any]:
    """Return what runs: for each service its state, pid and age in seconds; and whether the application is ready."""
    steps.require_local(environment)
    room = rooms.of(environment)
    found: dict[str, Any] = {}
    for service, _ in room.services():
        pid, record = service.pid(), service.record()
        state: dict[str, Any] = {"state": "stopped" if record is None else "died"}
        if pid is not None and record is not None:
            state = {"state": "running", "pid": pid, "age_seconds": round(time.time() - record["started"])}
        if isinstance(service, Process):
            state["log"] = str(service.log)
        elif record is not None:
            state["container"] = record.get("container")
        found[service.name] = state
    problem: str | None = "not running"
    if found[APP]["state"] == "running":
        problem = serving.answer(environment.app_url, environment.app.ready_path or environment.app.health_path)
    return {
        "environment": environment.name,
        "url": environment.app_url,
        "endpoint": environment.endpoint_url,
        "containers": room.containers,
        "processes": found,
        "ready": problem is None,
        "problem": problem,
    }


def logs(environment: Environment, *, service: str, lines: int, follow: bool) -> None:
    """Print the end of the logs, all services' or one's, and go on with what comes if asked to.

    Raises
    ------
    ConfigurationError
        There is no such service.
    """
    steps.require_local(environment)
    known = services(environment)
    if service and service not in known:
        raise ConfigurationError(f"There is no service {service!r}.", f"Known are: {', '.join(known)}.")
    names = [service] if service else known
    room = rooms.of(environment)
    shown = 0
    for each, _ in room.services():
        if each.name in names:
            for line in each.tail(lines).splitlines():
                following.show(each.name, line)
                shown += 1
    if follow:
        following.follow(room, names)
    elif not shown and not service:
        console.say(f"{environment.name} has no logs yet; inv dev.{environment.name.removeprefix('dev-')} starts it.")

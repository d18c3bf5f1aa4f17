"""What runs of a local environment, and what it prints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from soundbite import console
from soundbite.errors import ConfigurationError
from soundbite.platforms import local

from . import following, steps, stopping

if TYPE_CHECKING:
    from soundbite.environment import Environment


def services(environment: Environment) -> list[str]:
    """Return the names of a local environment's processes."""
    return [process.name for process, _ in stopping.processes(environment)]


def status(environment: Environment) -> dict[str, Any]:
    """Return what runs: for each process its state, pid and age in seconds; and whether the application is ready."""
    steps.require_local(environment)
    found: dict[str, Any] = {}
    for process, _ in stopping.processes(environment):
        pid, record = process.pid(), process.record()
        if pid is not None and record is not None:
            age = round(time.time() - record["started"])
            found[process.name] = {"state": "running", "pid": pid, "age_seconds": age, "log": str(process.log)}
        else:
            found[process.name] = {"state": "stopped" if record is None else "died", "log": str(process.log)}
    problem: str | None = "not running"
    if found[local.NAME]["state"] == "running":
        problem = local.answer(environment, environment.app.ready_path or environment.app.health_path)
    return {
        "environment": environment.name,
        "url": environment.app_url,
        "endpoint": environment.endpoint_url,
        "processes": found,
        "ready": problem is None,
        "problem": problem,
    }


def logs(environment: Environment, *, service: str, lines: int, follow: bool) -> None:
    """Print the end of the logs, all processes' or one's, and go on with what comes if asked to.

    Raises
    ------
    ConfigurationError
        There is no such process.
    """
    steps.require_local(environment)
    known = services(environment)
    if service and service not in known:
        raise ConfigurationError(f"There is no service {service!r}.", f"Known are: {', '.join(known)}.")
    names = [service] if service else known
    for process, _ in stopping.processes(environment):
        if process.name in names:
            for line in process.tail(lines).splitlines():
                following.show(process.name, line)
    if follow:
        following.follow(environment, names)
    elif not any(process.log.exists() for process, _ in stopping.processes(environment)):
        console.say(f"{environment.name} has no logs yet; inv dev.{environment.name.removeprefix('dev-')} starts it.")

"""Where a local environment's services run: on the machine itself, or in containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment
    from soundbite.services import Service

APP, PROCESSOR, EMULATOR = "app", "processor", "emulator"

WORKING_TREE = "working-tree"
"""What stands for the release where the application runs from its source."""


class Room(Protocol):
    """What the tasks of a local environment ask of where its services run."""

    environment: Environment
    containers: bool

    def services(self) -> list[tuple[Service, float]]:
        """Return every service with its grace in seconds, in the order of stopping."""

    def require_ports(self, *, inspect: bool) -> None:
        """Refuse when somebody else listens on a port that the application needs."""

    def prepare(self, tell: Callable[[str], None], *, inspect: bool) -> str:
        """Make what the services run from, before the first starts; return what that was, in a few words."""

    def follow_processor(self, cloud: Cloud, function: str, log_group: str) -> None:
        """Show the processor's log, and keep its code fresh."""

    def start_app(self, cloud: Cloud, output: Callable[[str], str], *, inspect: bool) -> bool:
        """Start the application, unless it runs with the same settings; return whether it was started now."""

    def await_ready(self) -> None:
        """Wait until the application is up and what it depends on answers."""

    def ended(self) -> None:
        """Leave nothing behind once the last service was stopped."""

    def follow(self, names: Sequence[str], show: Callable[[str, str], None], watch: Callable[[], None]) -> None:
        """Show what services print, by name and line, until `watch`, called several times a second, raises."""


def service(room: Room, name: str) -> Service:
    """Return one of a room's services."""
    return next(each for each, _ in room.services() if each.name == name)


def runs(room: Room, name: str = APP) -> bool:
    """Tell whether a service runs; without a name, the application."""
    return service(room, name).pid() is not None


def running(room: Room) -> list[str]:
    """Return the names of a room's services that run."""
    return [each.name for each, _ in room.services() if each.pid() is not None]


def of(environment: Environment, *, containers: bool | None = None) -> Room:
    """Return the room of an environment.

    Parameters
    ----------
    containers:
        Whether in containers; None: where it runs now, and else on the machine.
    """
    from . import machine, pod
    from .containers import Containers

    if containers is None:
        containers = pod.recorded(environment)
    return Containers(environment) if containers else machine.Machine(environment)

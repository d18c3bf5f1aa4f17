"""`inv dev.localstack` and `inv dev.aws`: emulator, build, infrastructure, application, ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import console, locks, reports
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError
from soundbite.platforms import room as rooms

from . import checking, following, steps, stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.environment import Environment
    from soundbite.platforms.room import Room

_LOCK_WAIT = 600
"""Seconds to wait for another `inv dev.…`: a first run installs for minutes."""


def up(
    environment: Environment,
    *,
    confirm: Callable[[str], None],
    detach: bool = False,
    inspect: bool = False,
    deploy: bool = False,
    containers: bool = False,
) -> None:
    """Bring a local environment up; in the foreground then show its logs until interrupted.

    What an earlier run left running is taken over. If it fails or is interrupted, what this run
    started is stopped again.

    Parameters
    ----------
    confirm:
        Called with the infrastructure's difference before real AWS is changed; raises to stop.
    detach:
        Return when everything is ready.
    inspect:
        Open node's debugger on APP_INSPECT_PORT.
    deploy:
        On real AWS, deploy what differs. Emulated AWS is always brought up to date.
    containers:
        Run everything in containers, instead of as processes of this machine.

    Raises
    ------
    SoundbiteError
        A step failed, or it runs the other way already.
    """
    steps.require_local(environment)
    cloud = Cloud(environment)
    room = _room(environment, containers=containers)
    before = set(rooms.running(room))
    with stopping.undone_on_failure(room, before):
        with locks.held(steps.lock_file(environment), f"bringing {environment.name} up", _LOCK_WAIT):
            before |= set(rooms.running(room))
            bring_up(room, cloud, confirm=confirm, inspect=inspect, deploy=deploy)
        console.say(
            f"{environment.name} answers on {environment.app_url}  (try: inv dev.smoke --env={environment.name})"
        )
        if not detach:
            console.say("Logs follow; Ctrl-C stops what this run started.")
            following.until_interrupted(room, lambda: _again(room, cloud, inspect=inspect))


def setup(environment: Environment) -> int:
    """Bring emulator and infrastructure up and verify each resource; the application is left out.

    Returns
    -------
    int
        The exit code: 0 every resource is there and as configured.
    """
    steps.require_local(environment)
    cloud = Cloud(environment)
    room = rooms.of(environment)
    before = set(rooms.running(room))
    with (
        stopping.undone_on_failure(room, before),
        locks.held(steps.lock_file(environment), f"setting {environment.name} up", _LOCK_WAIT),
    ):
        steps.ground(room, cloud, build=not rooms.runs(room))
        steps.account(environment, cloud)
        steps.infrastructure(environment, cloud, change=True, confirm=_unasked)
        with console.step("resources") as step:
            verdicts = checking.run(cloud, ["resources"], environment.state)
            step.detail = f"{len(verdicts)} looked at"
        reports.show(verdicts)
        return reports.exit_code(verdicts)


def bring_up(
    room: Room,
    cloud: Cloud,
    *,
    confirm: Callable[[str], None],
    inspect: bool = False,
    deploy: bool = False,
) -> None:
    """Take every step until the application is ready."""
    environment = room.environment
    if not rooms.runs(room):
        room.require_ports(inspect=inspect)
    # A running application rebuilds itself: a second build would only pull its files away.
    steps.ground(room, cloud, build=room.containers or not rooms.runs(room), inspect=inspect)
    steps.account(environment, cloud)
    output = steps.infrastructure(environment, cloud, change=environment.emulated or deploy, confirm=confirm)
    steps.follow_processor(room, cloud, output)
    steps.application_up(room, cloud, output, inspect=inspect)


def _room(environment: Environment, *, containers: bool) -> Room:
    room = rooms.of(environment, containers=containers)
    other = rooms.of(environment)
    if other.containers != containers and rooms.running(other):
        now, wanted = ("in containers", "processes") if other.containers else ("as processes", "containers")
        raise SoundbiteError(
            f"{environment.name} runs {now} ({', '.join(rooms.running(other))}): not as {wanted} beside that.",
            f"inv dev.down --env={environment.name} stops it; what it keeps stays for either.",
        )
    return room


def _again(room: Room, cloud: Cloud, *, inspect: bool) -> None:
    with locks.held(steps.lock_file(room.environment), f"rebuilding {room.environment.name}", _LOCK_WAIT):
        bring_up(room, cloud, confirm=_unasked, inspect=inspect)


def _unasked(_difference: str) -> None:
    raise SoundbiteError("Only emulated AWS is set up without asking.", "inv cdk.deploy --env=… deploys to real AWS.")

"""`inv dev.localstack` and `inv dev.aws`: emulator, build, infrastructure, application, ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import console, locks
from soundbite.checks import Scene, run
from soundbite.checks.running import report
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError
from soundbite.platforms import local

from . import following, steps, stopping

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.environment import Environment

_LOCK_WAIT = 600
"""Seconds to wait for another `inv dev.…`: a first run installs for minutes."""


def up(
    environment: Environment,
    *,
    confirm: Callable[[str], None],
    detach: bool = False,
    inspect: bool = False,
    deploy: bool = False,
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
    """
    steps.require_local(environment)
    cloud = Cloud(environment)
    before = set(stopping.running(environment))
    with stopping.undone_on_failure(environment, before):
        with locks.held(steps.lock_file(environment), f"bringing {environment.name} up", _LOCK_WAIT):
            before |= set(stopping.running(environment))
            bring_up(environment, cloud, confirm=confirm, inspect=inspect, deploy=deploy)
        console.say(
            f"{environment.name} answers on {environment.app_url}  (try: inv dev.smoke --env={environment.name})"
        )
        if not detach:
            console.say("Logs follow; Ctrl-C stops what this run started.")
            following.until_interrupted(environment, lambda: _again(environment, cloud, inspect=inspect))


def setup(environment: Environment) -> int:
    """Bring emulator and infrastructure up and verify each resource; the application is left out.

    Returns
    -------
    int
        The exit code: 0 every resource is there and as configured.
    """
    steps.require_local(environment)
    cloud = Cloud(environment)
    before = set(stopping.running(environment))
    with (
        stopping.undone_on_failure(environment, before),
        locks.held(steps.lock_file(environment), f"setting {environment.name} up", _LOCK_WAIT),
    ):
        steps.ground(environment, cloud, build=not local.runs(environment))
        steps.account(environment, cloud)
        output = steps.infrastructure(environment, cloud, change=True, confirm=_unasked)
        with console.step("resources") as step:
            verdicts = run(["resources"], Scene(environment, cloud, environment.app_url, output, environment.state))
            step.detail = f"{len(verdicts)} looked at"
        return report(verdicts)


def bring_up(
    environment: Environment,
    cloud: Cloud,
    *,
    confirm: Callable[[str], None],
    inspect: bool = False,
    deploy: bool = False,
) -> None:
    """Take every step until the application is ready."""
    if not local.runs(environment):
        local.require_ports(environment, inspect=inspect)
    # A running application rebuilds itself: a second build would only pull its files away.
    steps.ground(environment, cloud, build=not local.runs(environment))
    steps.account(environment, cloud)
    output = steps.infrastructure(environment, cloud, change=environment.emulated or deploy, confirm=confirm)
    steps.follow_processor(environment, cloud, output)
    steps.application_up(environment, cloud, output, inspect=inspect)


def _again(environment: Environment, cloud: Cloud, *, inspect: bool) -> None:
    with locks.held(steps.lock_file(environment), f"rebuilding {environment.name}", _LOCK_WAIT):
        bring_up(environment, cloud, confirm=_unasked, inspect=inspect)


def _unasked(_difference: str) -> None:
    raise SoundbiteError("Only emulated AWS is set up without asking.", "inv cdk.deploy --env=… deploys to real AWS.")

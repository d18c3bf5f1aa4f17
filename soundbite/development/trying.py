"""Trying a local environment out: its checks of a whole journey, its variables in a shell, every mode in turn."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from soundbite import console, ports, reports
from soundbite import environment as environments
from soundbite.cloud import Cloud
from soundbite.errors import Inconclusive, SoundbiteError
from soundbite.infrastructure import stacks
from soundbite.platforms import machine
from soundbite.platforms import room as rooms

from . import checking, starting, steps, stopping

if TYPE_CHECKING:
    from soundbite.environment import Environment

_JOURNEY = "journey"
_IDENTITY = "identity"


def smoke(environment: Environment, keep: Path | None = None) -> int:
    """Run the application's own journey checks (CHECKS) against what runs.

    Parameters
    ----------
    keep:
        Where files worth keeping go, such as the audio of the clip; None: the environment's state folder.

    Returns
    -------
    int
        The exit code: 0 passed, 1 failed, 6 could not be measured.

    Raises
    ------
    SoundbiteError
        Nothing runs.
    """
    steps.require_local(environment)
    if not rooms.runs(rooms.of(environment)):
        raise SoundbiteError(
            f"{environment.name} is not running.", f"inv dev.{environment.name.removeprefix('dev-')} starts it."
        )
    return _tell(environment, [_JOURNEY], keep or environment.state / "smoke")


def shell(environment: Environment, command: str) -> int:
    """Run the user's shell with the variables of the environment's application and AWS.

    Parameters
    ----------
    command:
        A command for that shell instead of a dialogue.

    Returns
    -------
    int
        The shell's exit code.
    """
    steps.require_local(environment)
    cloud = Cloud(environment)
    variables = cloud.variables() | machine.variables(environment, cloud, stacks.outputs(cloud))
    program = os.environ.get("SHELL") or "/bin/sh"
    console.say(f"{program} with the variables of {environment.name}; exit leaves it.")
    argv = [program, "-c", command] if command else [program]
    return subprocess.run(argv, env=variables, check=False).returncode


def prove(names: list[str], *, containers: bool = False) -> int:
    """Start local environments in turn, prove that each is what it says, and stop it.

    Each runs beside whatever else runs: with ports and state of its own.

    Returns
    -------
    int
        The exit code: 0 all proved, 1 one failed, 2 one is set up wrongly, 6 one could not be tried.
    """
    codes = []
    for name in names:
        console.say(f"── {name}")
        try:
            codes.append(_prove(name, containers=containers))
        except Inconclusive as problem:
            console.warn(f"{name} could not be tried: {problem}")
            codes.append(problem.exit_code)
        except SoundbiteError as problem:
            console.error(f"{name}: {problem}")
            codes.append(problem.exit_code)
    # What failed says more than what could not be tried.
    return min(filter(None, codes), default=0)


def _prove(name: str, *, containers: bool) -> int:
    embedded = environments.load(name).emulator.mode == "embedded"  # before a folder is named after it
    with tempfile.TemporaryDirectory(prefix=f"soundbite-{name}-") as state:
        app, inspect, emulator = ports.free(3)
        own = {
            "STATE_DIR": state,
            "COMPOSE_PROJECT": f"soundbite-test-{app}",
            "APP_PORT": str(app),
            "APP_INSPECT_PORT": str(inspect),
        }
        if embedded:
            own["EMULATOR_PORT"] = str(emulator)
        environment = environments.load(name, own)
        if not environment.emulated:
            try:
                Cloud(environment).require_account()
            except SoundbiteError as problem:
                raise Inconclusive(problem.message, problem.hint) from None
        try:
            starting.up(environment, confirm=_declined, detach=True, containers=containers)
            code = _tell(environment, [_IDENTITY, "resources", _JOURNEY], Path(state) / "smoke")
        finally:
            stopping.down(environment)
        return code


def _tell(environment: Environment, groups: list[str], keep: Path) -> int:
    verdicts = checking.run(Cloud(environment), groups, keep)
    reports.show(verdicts)
    return reports.exit_code(verdicts)


def _declined(_difference: str) -> None:
    raise Inconclusive("its infrastructure differs from this checkout", "inv dev.aws --deploy brings it up to date.")

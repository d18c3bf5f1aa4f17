"""An environment's compose project: what its files are told, and what they add up to before anything runs."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundbite import compose, engine, images, paths
from soundbite.compose import Project
from soundbite.errors import SoundbiteError
from soundbite.shell import CommandFailed

from . import serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.environment import Environment
    from soundbite.shell import Completed

_TIMEOUT = 30.0


def folder_of(environment: Environment) -> Path:
    """Return the folder of what is written for an environment's containers."""
    return environment.state / "compose"


def variables(environment: Environment, api_image: str, tools_image: str = "none") -> dict[str, str]:
    """Return what an environment's compose files ask for."""
    return {
        "COMPOSE_PROJECT": environment.workflow.compose_project,
        "ENVIRONMENT": environment.name,
        "API_IMAGE": api_image,
        "TOOLS_IMAGE": tools_image,
        "NGINX_CONFIGURATION": str(folder_of(environment) / "nginx"),
        "EMULATOR_STATE": str(environment.emulator_state / "emulator"),
        "CHECKOUT": str(paths.ROOT),
        "USER_IDS": f"{os.getuid()}:{os.getgid()}",
    }


def run(argv: Sequence[str], project: Project, *, timeout: float = _TIMEOUT) -> Completed:
    """Run one of `compose`'s commands on a project.

    Raises
    ------
    SoundbiteError
        It failed; where compose refuses a file, the message begins with that file.
    """
    try:
        return engine.run(argv, timeout=timeout, variables=project.variables)
    except CommandFailed as failed:
        raise _refused(project) or failed from None


def shown(environment: Environment) -> tuple[list[str], dict[str, Any]]:
    """Return the compose files of an environment and what they add up to.

    The application's variables stand in it as the env files have them: references stay references, and a secret is the
    file that it will be.

    Raises
    ------
    SoundbiteError
        Compose v2 is not there, or it refuses a file; the message names the file and the key.
    """
    engine.require_compose()
    files = compose.chosen(environment, "dev" if environment.local else "deploy")
    plain = {name: each.text for name, each in environment.app_env.items() if not serving.is_secret(environment, name)}
    secrets = {
        name: folder_of(environment) / "secrets" / name
        for name in environment.app_env
        if serving.is_secret(environment, name)
    }
    recipes = images.api(environment), images.tools(environment)
    told = variables(environment, *(recipe.name(recipe.content()) for recipe in recipes))
    with tempfile.TemporaryDirectory(prefix="soundbite-compose-") as folder:
        values = compose.values({"api": plain}, {"api": secrets}, {})
        last = compose.write(Path(folder) / "values.json", values)
        project = Project(environment.workflow.compose_project, [*files, last], told)
        text = run(compose.config(project), project).stdout
    return [str(each.relative_to(paths.ROOT)) for each in files], dict(json.loads(text))


def _refused(project: Project) -> SoundbiteError | None:
    """Return what compose has against one of a project's files: the first with which those before it are refused."""
    for count, file in enumerate(project.files, 1):
        part = replace(project, files=project.files[:count])
        done = engine.run(compose.config(part), variables=project.variables, check=False)
        if done.code:
            name = file.relative_to(paths.ROOT) if file.is_relative_to(paths.ROOT) else file
            return SoundbiteError(
                f"{name}: compose refuses it: {' '.join(done.stderr.split())}",
                "docs.docker.com/reference/compose-file describes every key.",
            )
    return None


def as_yaml(merged: dict[str, Any]) -> str:
    """Return a merged project as YAML."""
    import yaml

    return str(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True)).rstrip()

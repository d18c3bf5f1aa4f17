"""Compose projects: which files an environment's are, what they are told, and the commands. Nothing runs here.

Files are chosen by namespace and environment: `base.yml`, the namespace's (`dev.yml` for `inv dev.*`, `deploy.yml` for
what is deployed), the environment's own. What only the workflow knows comes last, as a file of its own that it writes.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import files, paths, plugins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .environment import Environment

PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
OWNER_LABEL = "soundbite.state"
"""Which folder of state a container belongs to: what tells ours from somebody else's of the same name."""

REHEARSAL_LABEL = "soundbite.rehearsal"
"""What a container, network or volume is to `inv rehearse.up`: host, registry or network."""

SECRETS = "/run/secrets"
"""Where compose mounts secrets (compose specification, "secrets")."""


@dataclass(frozen=True)
class Project:
    """A compose project.

    Attributes
    ----------
    name:
        Its name; each on an engine has its own.
    files:
        Its files, later ones winning.
    variables:
        What the files ask for as `${NAME}`.
    """

    name: str
    files: Sequence[Path]
    variables: Mapping[str, str] = field(default_factory=dict)


def chosen(environment: Environment, namespace: str) -> list[Path]:
    """Return the files of an environment in a namespace, `dev` or `deploy`, in their order."""
    own = paths.COMPOSE / f"{environment.name}.yml"
    return [paths.COMPOSE / "base.yml", paths.COMPOSE / f"{namespace}.yml", *([own] if own.exists() else [])]


def values(
    variables: Mapping[str, Mapping[str, str]],
    secrets: Mapping[str, Mapping[str, Path]],
    more: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return the content of the last file: what each service is given, safe from compose's own rewriting.

    Parameters
    ----------
    variables:
        By service, its variables; they reach it byte for byte.
    secrets:
        By service, files by the variable whose value they hold; the service finds the path in `VARIABLE_FILE`.
    more:
        By service, other keys of the compose specification, such as `ports` and `volumes`.
    """
    services: dict[str, dict[str, Any]] = {}
    sources: dict[str, dict[str, str]] = {}
    for name in {*variables, *secrets, *more}:
        given = dict(variables.get(name, {}))
        for variable, path in secrets.get(name, {}).items():
            given[f"{variable}_FILE"] = f"{SECRETS}/{variable}"
            sources[_secret(name, variable)] = {"file": escaped(str(path))}
        services[name] = {
            "environment": {key: escaped(value) for key, value in sorted(given.items())},
            "secrets": [{"source": _secret(name, each), "target": each} for each in sorted(secrets.get(name, {}))],
            **_escaped(more.get(name, {})),
        }
    return {"services": services, "secrets": sources}


def write(path: Path, content: Mapping[str, Any]) -> Path:
    """Write such a file (JSON, which is YAML) for its owner alone, and return its path."""
    text = json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False)
    # YAML takes neither JSON's pairs of escapes for what is above U+FFFF, nor all of what is below as it is.
    text = re.sub("[\x7f-\uffff]", lambda found: f"\\u{ord(found[0]):04x}", text)
    files.write(path, text, mode=0o600)
    return path


def escaped(value: str) -> str:
    """Return a value so written that compose, which takes `$` for a variable, gives it as it was."""
    return value.replace("$", "$$")


def up(project: Project, *services: str) -> list[str]:
    """Return the command that brings services up, and leaves alone what is as it should be already."""
    return [*_compose(project), "up", "--detach", "--no-build", "--quiet-pull", *services]


def down(project: Project, *, volumes: bool = False) -> list[str]:
    """Return the command that stops and removes a whole project, by its name alone: a broken file keeps nothing up."""
    return [*_compose(replace(project, files=())), "down", "--remove-orphans", *(["--volumes"] if volumes else [])]


def logs(project: Project, *services: str, lines: int, follow: bool = False) -> list[str]:
    """Return the command that prints the last lines of services' logs, and goes on with what comes if asked to."""
    flags = ["--no-color", f"--tail={lines}", *(["--follow"] if follow else [])]
    return [*_compose(project), "logs", *flags, *services]


def config(project: Project) -> list[str]:
    """Return the command that prints what the files add up to, as JSON; it needs no engine."""
    return [*_compose(project), "config", "--format=json"]


def _compose(project: Project) -> list[str]:
    found = plugins.path("docker-compose")
    # Without an env file of its own it would read any `.env` that lies about.
    return [
        *([found] if found else ["docker", "compose"]),
        *("--project-name", project.name, "--project-directory", str(paths.COMPOSE)),
        *("--env-file", os.devnull, "--ansi=never", "--progress=plain"),
        *(word for path in project.files for word in ("--file", str(path))),
    ]


def _secret(service: str, variable: str) -> str:
    return f"{service}-{variable}"


def _escaped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(each) for each in value]
    return escaped(value) if isinstance(value, str) else value

"""The compose project of a local environment: what each of its services is given, written where compose reads it.

The record beside it says that the environment runs in containers, from before the first is there until all are gone.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from soundbite import compose, files
from soundbite.compose import Project

from . import handover, projects
from .container import compose_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from soundbite.environment import Environment

PROXY = "proxy"
APP_PORT, PROXY_PORT, INSPECT_PORT = "61030", "61080", "61229"
"""In the containers' network; above the ports that a system gives out by itself, which tests take (compose/nginx)."""

_INSIDE = {"APP_PORT": PROXY_PORT, "APP_INSPECT_PORT": INSPECT_PORT}


def recorded(environment: Environment) -> bool:
    """Tell whether an environment was brought up in containers, and not taken down since."""
    return _record(environment).exists()


class Pod:
    """The project, and the file of values that comes last in it.

    Parameters
    ----------
    services:
        The names of its services.
    """

    def __init__(self, environment: Environment, services: list[str]) -> None:
        self.environment = environment
        self.folder = projects.folder_of(environment)
        self._services = services

    @property
    def project(self) -> Project:
        """The compose project, with what its files ask for as it is known now."""
        chosen = [*compose.chosen(self.environment, "dev"), self.folder / "values.json"]
        return Project(self.environment.workflow.compose_project, chosen, self._variables())

    @property
    def image(self) -> str:
        """The application's image."""
        return self._variables()["API_IMAGE"]

    def published(self, *, inspect: bool) -> dict[str, int]:
        """Return the ports on 127.0.0.1 that the proxy publishes, by the settings that choose them."""
        environment = self.environment
        found = {"APP_PORT": environment.app.port}
        if environment.emulator.mode == "embedded":
            found["EMULATOR_PORT"] = environment.emulator.port
        if inspect:
            found["APP_INSPECT_PORT"] = environment.app.inspect_port
        return found

    def outputs(self) -> dict[str, str]:
        """Return a volume for each folder that the build writes, by the volume's name."""
        return {f"output-{number}": each for number, each in enumerate(self.environment.app.build_outputs)}

    def begin(self, images: Mapping[str, str], *, inspect: bool) -> None:
        """Write down what all services need: the images, by the variable that the files ask for."""
        self._write(self._read() | {"images": dict(images), "inspect": inspect})

    def give(
        self, name: str, variables: Mapping[str, str], secret_files: Mapping[str, Path], more: Mapping[str, Any]
    ) -> None:
        """Write down what one service is given, beside what the others were; see `compose.values`."""
        note = self._read()
        note.setdefault("given", {})[name] = {
            "variables": dict(variables),
            "secrets": {each: str(path) for each, path in secret_files.items()},
            "more": dict(more),
            "labels": handover.label(secret_files),
        }
        self._write(note)

    def end(self) -> None:
        """Forget it: nothing of it is left."""
        _record(self.environment).unlink(missing_ok=True)

    def _write(self, note: dict[str, Any]) -> None:
        files.write(_record(self.environment), json.dumps(note), mode=0o600)
        given = note.get("given", {})
        more: dict[str, Any] = {}
        for name in self._services:
            each = given.get(name, {})
            labels = {compose.OWNER_LABEL: str(self.environment.state), **each.get("labels", {})}
            more[compose_name(name)] = {**each.get("more", {}), "labels": labels}
        more[PROXY]["ports"] = [
            f"127.0.0.1:{port}:{_INSIDE.get(key, port)}"
            for key, port in self.published(inspect=note.get("inspect", False)).items()
        ]
        content = compose.values(
            {compose_name(name): each["variables"] for name, each in given.items()},
            {compose_name(name): each["secrets"] for name, each in given.items()},
            more,
        )
        content["volumes"] = {volume: {} for volume in self.outputs()}
        compose.write(self.folder / "values.json", content)

    def _variables(self) -> dict[str, str]:
        known = self._read().get("images", {})
        api, tools = (known.get(name, "unknown") for name in ("API_IMAGE", "TOOLS_IMAGE"))
        return projects.variables(self.environment, api, tools)

    def _read(self) -> dict[str, Any]:
        try:
            return dict(json.loads(_record(self.environment).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError):
            return {}


def _record(environment: Environment) -> Path:
    return environment.state / "run" / "containers.json"

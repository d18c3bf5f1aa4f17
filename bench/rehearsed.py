"""A rehearsed environment of the benchmark's own: a copy of the project, a tiny service, hosts that are containers."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import console, paths
from tests.containers.conftest import docker, remove
from tests.containers.rehearsals import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

DRAIN = 1.0
"""Seconds (HOSTS_DRAIN)."""

_SETTINGS = {"HOSTS_DRAIN": f"{DRAIN:.0f}s", "LOCK_LEASE": "30s", "APP_START_TIMEOUT": "30s"}
_COPIED = ("tasks.py", "tasks", "soundbite", "envs", "compose", "requirements.lock", "pyproject.toml")
_LINKED = ("cdk", "app", "scripts", "docs", "tests")


class Given(NamedTuple):
    """What a host was given for a deployment, read from the host itself.

    Attributes
    ----------
    files:
        Compose files and values, by name.
    told:
        What else the agent was told: image, release, variables, where to ask for health.
    """

    deployment: str
    files: dict[str, str]
    told: dict[str, Any]
    secrets: dict[str, str]


@contextmanager
def environment() -> Iterator[Rehearsal]:
    """Give an environment with one host; everything of it is gone after the block."""
    unique = f"sbbench-{uuid.uuid4().hex[:10]}"
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as name:
        folder = Path(name)
        place = rehearsal(_copy(folder / "project"), unique, folder / "home", folder / "state")
        place.variables |= _SETTINGS
        try:
            with console.step("one host") as step:
                place.up(1)
                step.detail = ", ".join(place.hosts)
            yield place
        finally:
            with console.step("away with it"):
                try:
                    place.down()
                finally:
                    remove(unique)


def deploy(place: Rehearsal, content: str, *arguments: str) -> float:
    """Deploy a content, and return the seconds that the command took; raises unless every host serves it."""
    place.write(content)
    started = time.perf_counter()
    place.deploy("", *arguments)
    took = time.perf_counter() - started
    assert place.names() == {content}, f"{place.names()} serve, not {content}"
    return took


def home(place: Rehearsal) -> str:
    """Return the folder of the agent on each host."""
    return f"/var/lib/{place.variables['PROXY_PROJECT']}-{place.environment}"


def agent(place: Rehearsal, verb: str, **order: Any) -> dict[str, Any]:
    """Have the first host's agent do a step, past the workflow."""
    token = int(place.host(1, "cat", f"{home(place)}/token"))
    text = json.dumps({"token": token, **order})
    said = place.host(1, "sh", "-c", f"echo '{text}' | python3 {home(place)}/agent.pyz {verb}")
    return dict(json.loads(said.splitlines()[-1]))


def given(place: Rehearsal, deployment: str) -> Given:
    """Return what the first host was given for a deployment that it still has."""
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as name:
        docker("cp", f"{place.container(1)}:{home(place)}/deployments/{deployment}", f"{name}/it")
        folder = Path(name) / "it"
        told = json.loads((folder / "deployment.json").read_text(encoding="utf-8"))
        return Given(deployment, _texts(folder / "compose"), told, _texts(folder / "secrets"))


def last_two(place: Rehearsal) -> tuple[Given, Given]:
    """Return the deployment before the one that serves, and that one."""
    kept = agent(place, "status")["deployments"]
    return given(place, kept[-2]), given(place, kept[-1])


def _texts(folder: Path) -> dict[str, str]:
    return {each.name: each.read_text(encoding="utf-8") for each in sorted(folder.iterdir())}


def _copy(root: Path) -> Path:
    """Copy the workflow as the tests do: what differs is copied, the rest linked."""
    root.mkdir()
    for name in _COPIED:
        source = paths.ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.local.env"))
        else:
            shutil.copy(source, root / name)
    for name in _LINKED:
        (root / name).symlink_to(paths.ROOT / name)
    return root

"""What a host is given for a deployment: compose files, values, and what its agent is told. All of it is text."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundbite import compose, paths

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from soundbite.environment import Environment

_UNIT = """\
[Unit]
Description=Brings back what served before the boot
After=docker.service network-online.target
Requires=docker.service

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 @AGENT@ boot

[Install]
WantedBy=multi-user.target
"""


def make(
    environment: Environment,
    deployment: str,
    given: Mapping[str, str],
    secrets: Iterable[str],
    release: Mapping[str, str],
) -> dict[str, Any]:
    """Return what hosts are given, but for the secrets themselves.

    Parameters
    ----------
    given:
        The application's variables, none of them secret.
    secrets:
        The names of those that are; each is a file on the host.
    release:
        `id`, `commit` and `image` (`repository@sha256:…`).
    """
    folder = f"/var/lib/{environment.workflow.compose_project}"
    chosen = [*compose.chosen(environment, "deploy"), paths.COMPOSE / "hosts.yml"]
    own = {**given, "RELEASE": release["id"], "REVISION": release["commit"]}
    files = {name: Path(folder) / "deployments" / deployment / "secrets" / name for name in secrets}
    values = compose.values({"api": own}, {"api": files}, {})
    texts = {path.name: path.read_text(encoding="utf-8") for path in chosen}
    app = environment.app
    return {
        "files": {**texts, "values.json": json.dumps(values, sort_keys=True)},
        "told": {
            "image": release["image"],
            "release": release["id"],
            "compose": [*(path.name for path in chosen), "values.json"],
            "variables": {"ENVIRONMENT": environment.name},
            "start_timeout": app.start_timeout,
            "health_path": app.health_path,
            "ready_path": app.ready_path or app.health_path,
        },
    }


def proxy(environment: Environment) -> dict[str, Any]:
    """Return what hosts are given for their proxy."""
    return {
        "image": environment.hosts.proxy_image,
        "port": environment.hosts.http_port,
        "files": {
            "nginx.conf": (paths.COMPOSE / "nginx" / "hosts" / "nginx.conf").read_text(encoding="utf-8"),
            "proxy.yml": (paths.COMPOSE / "proxy.yml").read_text(encoding="utf-8"),
        },
    }


def unit() -> str:
    """Return systemd's unit that brings back at boot what served."""
    return _UNIT


def digest(environment: Environment, given: Mapping[str, str]) -> str:
    """Return the hash of all that hosts are given but release and secrets: what tells two configurations apart."""
    made = make(environment, "-", given, (), {"id": "-", "commit": "-", "image": "-"})
    text = json.dumps([made, proxy(environment)], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]

"""What a host is given for a deployment: compose files, values, and what its agent is told. All of it is text."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundbite import compose, paths
from soundbite.environment import naming

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from soundbite.environment import Environment

_UNIT = """\
[Unit]
Description=Brings back what served before the boot, then what the ledger says
After=docker.service network-online.target
Requires=docker.service

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 @AGENT@ boot
Restart=on-failure
RestartSec=30

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
    chosen = [*compose.chosen(environment, "deploy"), paths.COMPOSE / "hosts.yml"]
    own = {**given, "RELEASE": release["id"], "REVISION": release["commit"]}
    files = {name: Path(home(environment)) / "deployments" / deployment / "secrets" / name for name in secrets}
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


def home(environment: Environment) -> str:
    """Return the folder that everything of the workflow lies in on a host."""
    return f"/var/lib/{environment.workflow.compose_project}"


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


def ground(environment: Environment) -> dict[str, Any]:
    """Return what hosts have whatever is deployed: their proxy, systemd's unit, and where the ledger is.

    The unit brings back at boot what served, then what the ledger says.
    """
    ledger = {"table": naming.ledger(environment.workflow.project, environment.name), "region": environment.aws.region}
    ledger |= {"endpoint": str(environment.endpoint_url)} if environment.emulated else {}
    return {"proxy": proxy(environment), "unit": _UNIT, "ledger": ledger}


def ground_of(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ground that stands in an operation's plan; older plans have less of it."""
    return {name: plan[name] for name in ("proxy", "unit", "ledger") if name in plan}


def digest(environment: Environment, given: Mapping[str, str]) -> str:
    """Return the hash of all that hosts are given but release and secrets: what tells two configurations apart."""
    made = make(environment, "-", given, (), {"id": "-", "commit": "-", "image": "-"})
    text = json.dumps([made, proxy(environment)], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:16]

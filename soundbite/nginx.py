"""nginx's configuration, from the templates in compose/nginx/: text in, text out."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, NamedTuple

from . import paths

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_MULTIENV = paths.COMPOSE / "nginx" / "multienv"


class Upstream(NamedTuple):
    """An environment behind the proxy.

    Attributes
    ----------
    container:
        The name that its container has in the proxy's network.
    gateway, subnet:
        This machine's address in the environment's network, and the network itself (`172.20.0.0/16`).
    """

    environment: str
    container: str
    gateway: str
    subnet: str


class _Template(string.Template):
    """`@{name}`: nginx's own variables begin with a dollar."""

    delimiter = "@"


def path(environment: str) -> str:
    """Return the first part of an environment's path: its name, but `prod` for production, as it always was."""
    return "prod" if environment == "production" else environment


def multienv(upstreams: Sequence[Upstream]) -> dict[str, str]:
    """Return the configuration of the proxy in front of all environments: texts by path below its folder."""
    found = {"nginx.conf": _read(_MULTIENV / "nginx.conf"), "access.conf": _access(upstreams)}
    for each in upstreams:
        values = {
            "environment": each.environment,
            "path": path(each.environment),
            "names": " ".join(dict.fromkeys((f"{each.environment}.localhost", f"{path(each.environment)}.localhost"))),
            "upstream": each.container,
        }
        for kind in ("host", "path"):
            template = _Template(_read(_MULTIENV / f"{kind}.conf.template"))
            found[f"{kind}s/{each.environment}.conf"] = template.substitute(values)
    return found


def _access(upstreams: Sequence[Upstream]) -> str:
    """Let this machine in, and none of the environments' own containers; the first rule that matches counts."""
    rules = [line for each in upstreams for line in (f"allow {each.gateway};", f"deny {each.subnet};")]
    return "\n".join(["# Written by the workflow.", *rules, "allow all;", ""])


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8")

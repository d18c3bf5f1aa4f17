"""Docker's plugins: programs of their own, which docker takes over twice as long to start as they take themselves."""

from __future__ import annotations

import os
from pathlib import Path

from . import daemon

_FOLDERS = (
    *("/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins"),
    *("/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins"),
)
"""Where docker looks for its plugins behind the user's own folder, in this order (docker/cli, cli-plugins/manager)."""


def path(name: str) -> str:
    """Return the path of a plugin, such as `docker-compose`; empty: docker must look for it."""
    own = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "cli-plugins"
    programs = (str(Path(folder, name)) for folder in (own, *_FOLDERS))
    return next((each for each in programs if os.access(each, os.X_OK)), "")


def build() -> list[str]:
    """Return the beginning of a command that builds an image as `docker build` does.

    That is Buildx, which docker asks several times what it is before it starts it (0.13 s of a core, measured), and the
    builder of its own context, unless BUILDX_BUILDER names another (docker/cli, cmd/docker/builder.go).
    """
    found = path("docker-buildx")
    if not found or not daemon.is_default():
        return ["docker", "build"]
    return [found, "build", *([] if os.environ.get("BUILDX_BUILDER") else ["--builder=default"])]

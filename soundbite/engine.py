"""The Docker engine: whether it answers, what it has, and docker's own words made plain."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from . import console, daemon, plugins, shell
from .errors import SoundbiteError
from .shell import CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from .shell import Completed

_TIMEOUT = 30
_HEALTH_TIMEOUT = 10
_KEPT = ("PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR")
_KEPT_PREFIXES = ("DOCKER_", "BUILDX_", "BUILDKIT_")
_DENIED = re.compile(r"permission denied while trying to connect to the docker", re.IGNORECASE)
_AWAY = re.compile(
    r"(cannot|failed to) connect to the docker (daemon|api)|error during connect|dial unix \S*docker\.sock",
    re.IGNORECASE,
)
"""Docker's words, those of 29 and of the ones before it."""
_BUILD = re.compile(r"#\d+ |\d+\.\d+ ")
"""How lines begin that a step of a build printed: they say nothing of the engine."""
_MEND = "scripts/engine up makes one on Debian; elsewhere start Docker Desktop, or install Docker (docs.docker.com)."


class Network(NamedTuple):
    """A network of the engine: this machine's address in it, and its range."""

    gateway: str
    subnet: str


def run(
    argv: Sequence[str],
    *,
    timeout: float = _TIMEOUT,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    on_line: Callable[[str], None] | None = None,
    check: bool = True,
) -> Completed:
    """Run a docker command with an environment of its own: nothing that happens to be set chooses files or projects.

    Parameters
    ----------
    argv:
        The command, such as `images.build` or `compose.up` make it.
    timeout:
        Seconds it may take.
    variables:
        What is added to its environment, such as the values that compose files ask for.

    Raises
    ------
    SoundbiteError
        There is no docker, no engine answers, or it may not be used.
    CommandFailed
        The command failed for a reason of its own.
    """
    try:
        return shell.run(
            argv,
            timeout=timeout,
            env=variables_of_docker() | dict(variables or {}),
            cwd=cwd,
            stdin=stdin,
            on_line=on_line,
            check=check,
        )
    except CommandFailed as failed:
        raise explained(failed) from None


def variables_of_docker() -> dict[str, str]:
    """Return the part of this process's environment that docker needs, and nothing of ours or of compose's."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if (name in _KEPT or name.startswith(_KEPT_PREFIXES)) and name != "DOCKER_DEFAULT_PLATFORM"
    }
    return kept | {"DOCKER_BUILDKIT": "1", "DOCKER_CLI_HINTS": "false", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def require() -> None:
    """Refuse where containers cannot be run.

    Raises
    ------
    SoundbiteError
        docker is not installed, no engine answers, this user may not use it, or Compose v2 is not there.
    """
    require_running()
    require_compose()


def require_running() -> None:
    """Refuse where no engine runs that this user may use; images are built without Compose.

    Raises
    ------
    SoundbiteError
        docker is not installed, no engine answers, or this user may not use it.
    """
    with suppress(daemon.Unasked):
        if shutil.which("docker") and daemon.ask("/version"):
            return
    run(["docker", "version", "--format", "{{.Server.Version}}"])


def require_compose() -> None:
    """Refuse where Compose v2 is not there; it needs no engine.

    Raises
    ------
    SoundbiteError
        It is not there; the message says whether Compose v1 is.
    """
    if plugins.path("docker-compose") or run(["docker", "compose", "version", "--short"], check=False).code == 0:
        return
    try:
        other = run(["docker-compose", "version", "--short"], check=False).stdout.strip()
    except SoundbiteError:
        other = ""
    if other.startswith("1."):
        other = f"; docker-compose on PATH is Compose v1 ({other}), which knows other files"
    elif other:
        other = f"; docker-compose on PATH ({other}) is not the plugin"
    raise SoundbiteError(
        f"Compose v2 (docker compose) is not there{other}.",
        "Install the plugin: docker-compose-plugin from Docker, or scripts/engine up on Debian.",
    )


def image(name: str) -> dict[str, Any] | None:
    """Return what the engine knows of an image, as `docker image inspect` has it; None if it has none of that name."""
    with suppress(daemon.Unasked):
        known: dict[str, Any] | None = daemon.ask(f"/images/{name}/json")
        return known
    found = run(["docker", "image", "inspect", name], check=False)
    if found.code:
        if "No such image" not in found.stderr:
            raise explained(CommandFailed(found))
        return None
    return dict(json.loads(found.stdout)[0])


def containers(*labels: str) -> list[dict[str, Any]]:
    """Return what `docker inspect` says of the containers that have all of some labels `name=value`."""
    with suppress(daemon.Unasked):
        listed = daemon.ask("/containers/json", all="true", filters={"label": list(labels)}) or []
        every = [daemon.ask(f"/containers/{each['Id']}/json") for each in listed]
        return [each for each in every if each]  # one may be gone since
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    ids = run(["docker", "ps", "--all", "--quiet", "--no-trunc", *filters]).stdout.split()
    if not ids:
        return []
    found = run(["docker", "inspect", *ids], check=False)  # one may be gone since
    return list(json.loads(found.stdout or "[]"))


def service(project: str, name: str) -> dict[str, Any] | None:
    """Return what `docker inspect` says of the container of a compose service; None if there is none."""
    labels = f"com.docker.compose.project={project}", f"com.docker.compose.service={name}"
    return next(iter(containers(*labels)), None)


def words_of(container: dict[str, Any] | None, lines: int = 20) -> tuple[str, str]:
    """Return the end of a container's log, masked, and what its health check says: last, or asked now."""
    if container is None:
        return "", "there is no container"
    done = run(["docker", "logs", "--tail", str(lines), container["Id"]], check=False)
    return console.redact((done.stdout + done.stderr).rstrip()), console.redact(_health_of(container))


def _health_of(container: dict[str, Any]) -> str:
    state = container["State"]
    log = (state.get("Health") or {}).get("Log") or []
    if log:
        return f"{log[-1]['Output'].strip()} (exit code {log[-1]['ExitCode']})"
    command = (container["Config"].get("Healthcheck") or {}).get("Test") or []
    if command[:1] != ["CMD"] or state["Status"] != "running":
        return f"nothing; the container is {state['Status']}, exit code {state['ExitCode']}"
    try:
        asked = run(["docker", "exec", container["Id"], *command[1:]], timeout=_HEALTH_TIMEOUT, check=False)
    except SoundbiteError as error:
        return error.message
    return f"{(asked.stdout + asked.stderr).strip()} (exit code {asked.code})"


def network(name: str) -> Network:
    """Return a network's addresses.

    Raises
    ------
    SoundbiteError
        There is no such network.
    """
    found = json.loads(run(["docker", "network", "inspect", name]).stdout)[0]["IPAM"]["Config"][0]
    return Network(found["Gateway"], found["Subnet"])


def publisher(port: int) -> str | None:
    """Return the name of the container that publishes a port of this machine; None if none does."""
    found = run(["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"], check=False)
    return next(iter(found.stdout.split()), None)


def published(container: str) -> tuple[int, ...]:
    """Return the ports of this machine that a container publishes, in order."""
    found = run(["docker", "inspect", "--format", "{{json .HostConfig.PortBindings}}", container], check=False)
    bindings = json.loads(found.stdout.strip() or "{}") or {}
    return tuple(sorted(int(each["HostPort"]) for pairs in bindings.values() for each in pairs or []))


def explained(failed: CommandFailed) -> SoundbiteError:
    """Return what a failed docker command means: the engine is away, or not ours to use; else the failure itself."""
    lines = [line.strip() for line in failed.completed.stderr.splitlines() if not _BUILD.match(line)]
    if any(map(_DENIED.search, lines)):
        return SoundbiteError(
            "This user may not use the Docker engine (permission denied on its socket).",
            "Join the group docker and sign in again (sudo usermod -aG docker $USER), or use sudo.",
        )
    if away := next(filter(_AWAY.search, lines), ""):
        return SoundbiteError(f"No Docker engine answers: {away[:300]}", _MEND)
    if "no space left on device" in failed.completed.stderr.lower():
        return SoundbiteError(
            failed.message, "Free some space: inv images.prune, docker system df, docker builder prune."
        )
    return failed

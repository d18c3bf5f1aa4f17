"""The host's Docker engine: asked over its own socket, commanded by `docker` and Compose."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .asking import body_of
from .failure import StepFailed
from .home import HOME, write

_LEAST_FREE = 300 * 2**20
"""Bytes that must be free before an image is fetched."""
_TIMEOUT = 60.0
_PULL_TIMEOUT = 600.0
_SOCKET = Path("/var/run/docker.sock")
_PLUGINS = (
    *("~/.docker/cli-plugins", "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins"),
    *("/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins"),
)
"""Where docker looks for its plugins, in this order (docker/cli, cli-plugins/manager)."""
_RACE = "waiting for init preliminary setup"
"""What runc says when its own child was gone before it began, which is nothing of the container's. Seen once."""


def require() -> None:
    """Refuse where there is no engine, or no Compose."""
    try:
        body_of(_SOCKET, "/_ping")  # for its version, the engine would start programs to ask for theirs
    except OSError:
        raise StepFailed("cannot connect to the docker daemon: its engine does not run") from None
    # A plugin that is there is believed: whether it works is seen at once, by the first that is asked of it.
    if not _plugin() and not run(["docker", "compose", "version", "--short"], {}, check=False).strip():
        raise StepFailed("docker compose (v2) is not there; install docker-compose-v2")


def ask(url: str) -> Any:
    """Ask the engine itself (Docker Engine API), which takes a tenth of what its command takes; None if it cannot."""
    try:
        return json.loads(body_of(_SOCKET, url))
    except (OSError, ValueError):
        return None


def container(project: str, service: str) -> dict[str, Any]:
    """Return what the engine says of a compose service's container; empty if there is none."""
    labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    listed = ask(f"/containers/json?all=1&filters={_quoted(json.dumps({'label': labels}))}")
    found = ask(f"/containers/{listed[0]['Id']}/json") if listed else None
    if not found:
        return {}
    told = found["Config"]["Labels"]
    return {
        "id": found["Id"],
        "image": found["Config"]["Image"],
        "deployment": told.get("soundbite.deployment"),
        "release": told.get("soundbite.release"),
        "state": found["State"]["Status"],
        "exit_code": found["State"]["ExitCode"],
        "restarts": found["RestartCount"],
        "started": found["State"]["StartedAt"],
    }


def _quoted(text: str) -> str:
    """Return a text as part of a URL: all of it in percents, which is simple, and loads nothing."""
    return "".join(f"%{each:02X}" for each in text.encode())


def logs(container_id: str, lines: int) -> list[str]:
    """Return the last lines that a container printed."""
    done = subprocess.run(
        ["docker", "logs", "--tail", str(lines), container_id],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=_TIMEOUT,
        check=False,
    )
    return done.stdout.decode(errors="replace").splitlines()


def compose(project: str, files: list[Path], variables: dict[str, str], *arguments: str) -> None:
    """Run `docker compose` on one project, with no variables but these."""
    named = [word for path in files for word in ("--file", str(path))]
    own = ["--project-name", project, "--project-directory", str(HOME), "--env-file", os.devnull, "--ansi=never"]
    argv = [*_compose(), *own, "--progress=plain", *named, *arguments]
    try:
        run(argv, variables)
    except StepFailed as failed:
        if _RACE not in str(failed):
            raise
        run(argv, variables)


def compose_down(project: str) -> None:
    """Stop and remove one project, whatever its files were."""
    run([*_compose(), "--project-name", project, "down", "--remove-orphans", "--volumes"], {})


def _compose() -> list[str]:
    """Return how Compose is called: the plugin by itself, which is a program (docs.docker.com, "Compose standalone").

    By `docker compose` it takes two and a half times as long to start (measured): docker itself starts, and starts it
    once to ask what it is, and once to have it work.
    """
    found = _plugin()
    return [found] if found else ["docker", "compose"]


def _plugin() -> str:
    """Return the path of Compose; empty: docker must look for it."""
    programs = (str(Path(folder, "docker-compose").expanduser()) for folder in _PLUGINS)
    return next((each for each in programs if os.access(each, os.X_OK)), "")


def ensure_image(image: str, registry: dict[str, str] | None) -> None:
    """Fetch an image by its digest unless it is here; who may fetch it is told for this once and not kept."""
    if ask(f"/images/{image}/json"):
        return
    root = str((ask("/info") or {}).get("DockerRootDir", HOME))
    free = min(shutil.disk_usage(each).free for each in (HOME, root))
    if free < _LEAST_FREE:
        raise StepFailed(f"only {free // 2**20} MiB are free there, too few for {image}")
    settings = HOME / ".registry"
    shutil.rmtree(settings, ignore_errors=True)
    try:
        if registry:
            write(settings / "config.json", json.dumps({"auths": {registry["host"]: {"auth": registry["auth"]}}}))
        variables = {"DOCKER_CONFIG": str(settings)} if registry else {}
        run(["docker", "pull", "--quiet", image], variables, timeout=_PULL_TIMEOUT)
    finally:
        shutil.rmtree(settings, ignore_errors=True)


def docker(*arguments: str, check: bool = True) -> str:
    """Run `docker`; return what it printed."""
    return run(["docker", *arguments], {}, check=check)


def run(argv: list[str], variables: dict[str, str], *, timeout: float = _TIMEOUT, check: bool = True) -> str:
    """Run a command with no variables but these, PATH and HOME; return its stdout.

    Raises
    ------
    StepFailed
        It cannot be started, is not done within `timeout` seconds, or, with `check`, ends with another code than 0.
    """
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**kept, "HOME": kept.get("HOME", "/root"), **variables}
    named = " ".join([Path(argv[0]).name, *argv[1:3]])
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise StepFailed(f"{named} was not done within {timeout:.0f} s") from None
    except OSError as error:
        raise StepFailed(f"{argv[0]}: {error.strerror}") from None
    if check and done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise StepFailed(f"{named} ended with exit code {done.returncode}: {said[-2000:]}")
    return done.stdout.decode(errors="replace")

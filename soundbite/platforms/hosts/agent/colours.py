"""Two colours, one of which serves: each a compose project with the application and its socket."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from . import deployments, engine
from .asking import at_socket
from .failure import StepFailed
from .home import HOME, PROJECT, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("blue", "green")
FOLDER = HOME / "colours"
_LIVE = FOLDER / "live"
_POLL = 0.05
_LOOK = 0.5
"""Seconds between two looks at the engine while waiting: that is dearer than asking the socket."""


def make_folders() -> None:
    """Make the folders of the sockets, so that proxy and application can reach them."""
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o755)
    for name in NAMES:
        (FOLDER / name).mkdir(exist_ok=True)
        (FOLDER / name).chmod(0o777)  # whoever the application is makes its socket there


def live() -> str | None:
    """Return the colour that serves."""
    try:
        found = str(_LIVE.readlink())
    except OSError:
        return None
    return found if found in NAMES else None


def idle() -> str:
    """Return the colour that does not serve."""
    return NAMES[1] if live() == NAMES[0] else NAMES[0]


def point(colour: str) -> None:
    """Have a colour serve from the next request on."""
    new = FOLDER / ".live.new"
    with suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(colour)
    new.replace(_LIVE)


def point_nowhere() -> None:
    """Have nothing serve."""
    _LIVE.unlink()


def noted(colour: str | None) -> str | None:
    """Return the deployment that was started last in a colour."""
    try:
        return str(json.loads((HOME / f"{colour}.json").read_text(encoding="utf-8"))["deployment"])
    except (OSError, ValueError, KeyError):
        return None


def found(colour: str) -> dict[str, Any] | None:
    """Return what a colour runs, as its container says; None if there is none."""
    return engine.container(_project(colour), "api") or None


def running() -> list[str]:
    """Return the colours that do not serve and have a container all the same."""
    serving = live()
    return [name for name in NAMES if name != serving and found(name)]


def runs(colour: str, deployment: str, *, anew: bool = False) -> bool:
    """Tell whether a colour runs a deployment and answers; one that is wanted `anew` counts as not."""
    there = found(colour)
    if anew or not there or there["deployment"] != deployment or there["state"] != "running":
        return False
    return answers(colour, deployment)


def answers(colour: str, deployment: str) -> bool:
    """Tell whether what a colour runs says that it is up."""
    return not at_socket(_socket(colour), deployments.told(deployment)["health_path"])


def up(colour: str, deployment: str) -> None:
    """Start a deployment in a colour."""
    told = deployments.told(deployment)
    write(HOME / f"{colour}.json", json.dumps({"deployment": deployment}))
    with suppress(FileNotFoundError):
        _socket(colour).unlink()
    variables = {
        **told["variables"],
        "COMPOSE_PROJECT": _project(colour),
        "API_IMAGE": told["image"],
        "DEPLOYMENT": deployment,
        "RELEASE": told["release"],
        "SOCKETS": str(FOLDER / colour),
    }
    files = [deployments.folder(deployment) / "compose" / name for name in told["compose"]]
    how = ("--detach", "--no-build", "--pull=never", "--force-recreate")
    engine.compose(_project(colour), files, variables, "up", *how)


def down(colour: str) -> None:
    """Stop what a colour runs."""
    engine.compose_down(_project(colour))
    if live() != colour:
        with suppress(FileNotFoundError):
            (HOME / f"{colour}.json").unlink()


@contextmanager
def removed_on_failure(colour: str) -> Iterator[None]:
    """Stop what a colour runs if a step with it fails."""
    try:
        yield
    except StepFailed:
        with suppress(StepFailed):
            down(colour)
        raise


def await_ready(colour: str, deployment: str) -> None:
    """Wait until a deployment is up and ready.

    Raises
    ------
    StepFailed
        It ended, or is not ready in the time that it has; the message has its last lines.
    """
    told = deployments.told(deployment)
    until = time.monotonic() + told["start_timeout"]
    looked = time.monotonic()
    for path in (told["health_path"], told["ready_path"]):
        while problem := at_socket(_socket(colour), path):
            now = time.monotonic()
            if now - looked > _LOOK:
                looked = now
                _require_alive(colour)
            if now > until:
                raise StepFailed(
                    f"the application is not ready after {told['start_timeout']:.0f} s: {path}: {problem}. "
                    f"Its last lines:\n{_end(colour)}"
                )
            time.sleep(_POLL)


def logs(colour: str | None, lines: int) -> list[str]:
    """Return the last lines of what a colour runs."""
    there = found(colour) if colour else None
    return deployments.masked(engine.logs(there["id"], lines)) if there else []


def _require_alive(colour: str) -> None:
    there = found(colour)
    if there and there["state"] not in {"exited", "dead", "restarting"} and not there["restarts"]:
        return
    state = f"{there['state']}, exit code {there['exit_code']}" if there else "is gone"
    raise StepFailed(f"the application ended while starting ({state}). Its last lines:\n{_end(colour)}")


def _end(colour: str) -> str:
    return "\n".join(f"  {line}" for line in logs(colour, 20)) or "  (it printed nothing)"


def _project(colour: str) -> str:
    return f"{PROJECT}-{colour}"


def _socket(colour: str) -> Path:
    return FOLDER / colour / "app.sock"

"""The proxy: nginx before the two colours, whose configuration is tested before it is used."""

from __future__ import annotations

import json
import shutil
import time
from typing import Any

from . import colours, deployments, engine
from .asking import at_port
from .failure import StepFailed
from .home import HOME, PROJECT, write

FOLDER = HOME / "proxy"
_MADE_OF = FOLDER / "proxy.json"
_NAME = f"{PROJECT}-proxy"
_TRIES, _POLL = 3, 0.05


def is_made() -> bool:
    """Tell whether the host has one."""
    return _MADE_OF.exists()


def found() -> dict[str, Any]:
    """Return what the engine says of its container; empty if there is none."""
    return engine.container(_NAME, "proxy")


def ensure(wanted: dict[str, Any], registry: dict[str, str] | None) -> dict[str, Any]:
    """Bring it up as it is wanted; one that is so already is left alone.

    Parameters
    ----------
    wanted:
        `image`, `port`, and its `files` by name.

    Raises
    ------
    StepFailed
        nginx refuses the new configuration; the old one stays.
    """
    before = found()
    if before.get("state") == "running" and _is(wanted):
        return {"proxy": "running", "reloaded": False}
    engine.ensure_image(wanted["image"], registry)
    changed = _test(wanted)
    for name, text in wanted["files"].items():
        write(FOLDER / name, text)
        (FOLDER / name).chmod(0o644)
    FOLDER.chmod(0o755)
    write(_MADE_OF, json.dumps({"image": wanted["image"], "port": wanted["port"]}))
    up()
    after = found()
    if changed and before.get("id") == after.get("id"):
        engine.docker("exec", after["id"], "nginx", "-c", "/etc/soundbite/nginx.conf", "-s", "reload")
    return {"proxy": after.get("state"), "reloaded": changed}


def up() -> None:
    """Start it as it was made."""
    made = _made_of()
    variables = {
        "COMPOSE_PROJECT": _NAME,
        "NGINX_IMAGE": made["image"],
        "NGINX_CONFIGURATION": str(FOLDER),
        "COLOURS": str(colours.FOLDER),
        "HTTP_PORT": str(made["port"]),
    }
    engine.compose(_NAME, [FOLDER / "proxy.yml"], variables, "up", "--detach", "--pull=never")


def require_answer(deployment: str, *, ready: bool = False) -> None:
    """See that it gives on what the application answers.

    Raises
    ------
    StepFailed
        It does not.
    """
    port = int(_made_of()["port"])
    told = deployments.told(deployment)
    for path in (told["health_path"], *([told["ready_path"]] if ready else [])):
        for _ in range(_TRIES):
            problem = at_port(port, path)
            if not problem:
                break
            time.sleep(_POLL)
        else:
            raise StepFailed(f"the proxy answers {path} with {problem}")


def logs(lines: int) -> list[str]:
    """Return its last lines."""
    there = found()
    return engine.logs(there["id"], lines) if there else []


def _made_of() -> dict[str, Any]:
    return dict(json.loads(_MADE_OF.read_text(encoding="utf-8")))


def _is(wanted: dict[str, Any]) -> bool:
    try:
        now = {name: (FOLDER / name).read_text(encoding="utf-8") for name in wanted["files"]}
        made = _made_of()
    except (OSError, ValueError):
        return False
    return bool(now == wanted["files"] and made == {"image": wanted["image"], "port": wanted["port"]})


def _test(wanted: dict[str, Any]) -> bool:
    """Have nginx test a new configuration before it takes the place of the old; return whether it is another."""
    text = wanted["files"]["nginx.conf"]
    current = FOLDER / "nginx.conf"
    if current.exists() and current.read_text(encoding="utf-8") == text:
        return False
    candidate = HOME / "proxy.candidate"
    shutil.rmtree(candidate, ignore_errors=True)
    write(candidate / "nginx.conf", text)
    candidate.chmod(0o755)
    (candidate / "nginx.conf").chmod(0o644)
    run = ["run", "--rm", "--network=none", "--user=1000:1000", "--read-only", "--tmpfs=/tmp"]
    mounts = [f"--volume={candidate}:/etc/soundbite:ro", f"--volume={colours.FOLDER}:/run/colours:ro"]
    try:
        engine.docker(*run, *mounts, wanted["image"], "nginx", "-c", "/etc/soundbite/nginx.conf", "-t")
    except StepFailed as failed:
        raise StepFailed(f"nginx refuses its new configuration, so it is not used:\n{failed}") from None
    finally:
        shutil.rmtree(candidate, ignore_errors=True)
    return True

"""The verbs: each is one step of an operation, and may be done again whatever became of it before."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from . import colours, compiling, deployments, engine, joining, proxy
from .digest import DIGEST
from .failure import StepFailed
from .home import ARCHIVE, HOME, PROJECT, token, write

_UNITS = Path("/etc/systemd/system")


def status(order: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - as all verbs
    """Tell what serves and what else is there, from what is found and not from what was noted."""
    live = colours.live()
    found = {name: colours.found(name) for name in colours.NAMES}
    return {
        "agent": DIGEST,
        "token": token(),
        "engine": str((engine.ask("/version") or {}).get("Version", "")),
        "live": live,
        "serving": found[live] if live else None,
        "idle": {name: each for name, each in found.items() if name != live and each},
        "deployments": deployments.kept(),
        "served": deployments.served(),
        "proxy": proxy.found().get("state", "missing"),
        "free": shutil.disk_usage(HOME).free,
    }


def logs(order: dict[str, Any]) -> dict[str, Any]:
    """Return the last lines of what serves, or of the proxy."""
    lines = int(order.get("lines", 50))
    return {"lines": proxy.logs(lines) if order.get("proxy") else colours.logs(colours.live(), lines)}


def prepare(order: dict[str, Any]) -> dict[str, Any]:
    """Make the folders, and bring the proxy up; a new configuration is tested before it is used."""
    deployments.make_folder()
    compiling.compile_archive()
    proxy.FOLDER.mkdir(exist_ok=True)
    engine.require()
    HOME.chmod(0o711)  # the proxy, whose user is not root, goes through to the sockets
    colours.make_folders()
    if order.get("ledger"):
        joining.note(order["ledger"])
    if order.get("unit"):
        _install_unit(order["unit"])
    return proxy.ensure(order["proxy"], order.get("registry"))


def stage(order: dict[str, Any]) -> dict[str, Any]:
    """Start a deployment in the colour that does not serve, and wait until it is ready."""
    if "proxy" in order:
        prepare(order)
    deployment = order["deployment"]
    if "files" in order:
        deployments.keep(deployment, order)
    image = deployments.told(deployment)["image"]
    live, anew = colours.live(), bool(order.get("anew"))
    if live and colours.runs(live, deployment, anew=anew):
        return {"colour": live, "staged": False}
    colour = colours.idle()
    started = time.monotonic()
    if not colours.runs(colour, deployment, anew=anew):
        if colours.found(colour):
            colours.down(colour)
        engine.ensure_image(image, order.get("registry"))
        started = time.monotonic()
        with colours.removed_on_failure(colour):
            colours.up(colour, deployment)
            colours.await_ready(colour, deployment)
    return {"colour": colour, "staged": True, "seconds": round(time.monotonic() - started, 2)}


def switch(order: dict[str, Any]) -> dict[str, Any]:
    """Let a staged deployment serve from the next request on; the other goes on answering what it was asked."""
    deployment = order["deployment"]
    staged = (name for name in colours.NAMES if colours.noted(name) == deployment)
    colour = next((name for name in staged if colours.answers(name, deployment)), None)
    if colour is None:
        raise StepFailed(f"{deployment} is not staged here, or does not answer")
    before = colours.live()
    if before != colour:
        colours.point(colour)
    try:
        proxy.require_answer(deployment)
    except StepFailed:
        if before and before != colour:
            colours.point(before)
        raise
    deployments.note_served(deployment)
    joining.note_offline(offline=bool(order.get("offline")))
    return {"colour": colour, "before": colours.noted(before) if before != colour else None}


def prove(order: dict[str, Any]) -> dict[str, Any]:
    """See that a deployment is what serves here, and that it is ready, through the proxy."""
    live, deployment = colours.live(), order["deployment"]
    found = colours.found(live) if live else None
    if not found or found["deployment"] != deployment or found["state"] != "running":
        raise StepFailed(f"{found['deployment'] if found else 'nothing'} serves here, not {deployment}")
    proxy.require_answer(deployment, ready=True)
    return {"serving": deployment}


def back(order: dict[str, Any]) -> dict[str, Any]:
    """Let serve again what a deployment took the place of; where that is gone or nothing was, nothing serves."""
    live, wanted = colours.live(), order["deployment"]
    if wanted is None:
        if live is not None and colours.noted(live) == order["leave"]:
            colours.point_nowhere()
            colours.down(live)
        return {"serving": None}
    if live is None or colours.noted(live) != wanted or not colours.answers(live, wanted):
        other = colours.idle()
        if colours.noted(other) != wanted or not colours.answers(other, wanted):
            # The one that serves, where it answers by now: a host that was rebooted takes a moment.
            other = stage(order)["colour"]
        if other != live:
            colours.point(other)
    proxy.require_answer(wanted)
    if live not in {None, colours.live()}:
        colours.down(str(live))
    joining.note_offline(offline=False)
    return {"serving": wanted}


def drain(order: dict[str, Any]) -> dict[str, Any]:
    """Stop what no longer serves, after the time it has for what it was asked; then away with what is old."""
    if colours.running() and order.get("seconds"):
        time.sleep(float(order["seconds"]))
    stopped = abandon(order)["stopped"]
    return {"stopped": stopped, "removed": deployments.prune(colours.noted(colours.live()))}


def abandon(order: dict[str, Any]) -> dict[str, Any]:
    """Stop what does not serve; what is left for good, with its secrets, goes too."""
    stopped = colours.running()
    for name in stopped:
        colours.down(name)
    leave = order.get("leave")
    if leave and leave != colours.noted(colours.live()):
        deployments.forget(leave)
    return {"stopped": stopped}


def converge(order: dict[str, Any]) -> dict[str, Any]:
    """Bring back what served, as after a boot: the proxy, and the colour that the link points to."""
    if not proxy.is_made():
        return {"serving": None}
    proxy.up()
    live = colours.live()
    if live is None:
        return {"serving": None}
    deployment = colours.noted(live)
    if deployment is None:
        raise StepFailed(f"it is not known what the colour {live} was")
    if not colours.runs(live, deployment):
        colours.up(live, deployment)
        colours.await_ready(live, deployment)
    abandon(order)
    return {"serving": deployment}


def _install_unit(text: str) -> None:
    """Have systemd, where it is, bring back at boot what served."""
    if not Path("/run/systemd/system").is_dir():
        return
    name = f"{PROJECT}.service"
    write(_UNITS / name, text.replace("@AGENT@", str(ARCHIVE)))
    (_UNITS / name).chmod(0o644)
    for arguments in (["daemon-reload"], ["enable", name]):
        engine.run(["systemctl", *arguments], {})

"""The deployments that the host has: what each is, those that served, and away with the old."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import engine
from .failure import StepFailed
from .home import HOME, write

if TYPE_CHECKING:
    from pathlib import Path

KEPT = 3
"""Deployments that stay startable: the one that serves, and those before it."""

_SHORTEST_SECRET = 4
"""Characters; a shorter one would be found everywhere."""

_FOLDER = HOME / "deployments"
_SERVED = HOME / "served.json"


def make_folder() -> None:
    """Make the folder that they lie in."""
    _FOLDER.mkdir(exist_ok=True)


def folder(deployment: str) -> Path:
    """Return where a deployment's files lie."""
    return _FOLDER / deployment


def keep(deployment: str, order: dict[str, Any]) -> None:
    """Write what a deployment is, whole or not at all; nobody but root may read it.

    One that is here already, and the same, is left alone: its files may be mounted.
    """
    texts = {"deployment.json": json.dumps(order["told"])}
    texts |= {f"compose/{name}": text for name, text in order["files"].items()}
    secrets = {f"secrets/{name}": text for name, text in order.get("secrets", {}).items()}
    if _holds(folder(deployment), texts | secrets):
        return
    new, old = _FOLDER / f".{deployment}.new", _FOLDER / f".{deployment}.old"
    shutil.rmtree(new, ignore_errors=True)
    for name, text in (texts | secrets).items():
        write(new / name, text)
    for name in secrets:
        (new / name).chmod(0o444)  # to whoever it is mounted for; the folder is root's alone
    shutil.rmtree(old, ignore_errors=True)
    with suppress(FileNotFoundError):
        folder(deployment).replace(old)
    new.replace(folder(deployment))
    shutil.rmtree(old, ignore_errors=True)


def told(deployment: str) -> dict[str, Any]:
    """Return what was told of a deployment: image, release, compose files, variables, paths to ask.

    Raises
    ------
    StepFailed
        The host does not have it.
    """
    try:
        return dict(json.loads((folder(deployment) / "deployment.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StepFailed(f"this host does not have {deployment}; it has {', '.join(kept())}") from None


def kept() -> list[str]:
    """Return the deployments that are here: those that served, oldest first, then the others."""
    if not _FOLDER.is_dir():
        return []
    there = {each.name for each in _FOLDER.iterdir() if not each.name.startswith(".")}
    return [*(each for each in _history() if each in there), *sorted(there - set(_history()))]


def note_served(deployment: str) -> None:
    """Note that a deployment serves from now on."""
    before = [each for each in _history() if each != deployment]
    write(_SERVED, json.dumps([*before, deployment][-2 * KEPT :]))


def prune(live: str | None) -> list[str]:
    """Remove all but the newest that served and the one that serves, and images that no kept one needs."""
    keep_ = {*served()[-KEPT:], *([live] if live else [])}
    gone = [each for each in kept() if each not in keep_]
    _remove(gone)
    return gone


def forget(deployment: str) -> None:
    """Remove one that went back, so that nobody takes it for one that served."""
    if deployment in kept():
        _remove([deployment])
    write(_SERVED, json.dumps([each for each in _history() if each != deployment]))


def served() -> list[str]:
    """Return those that served and are here still, oldest first."""
    return [each for each in _history() if folder(each).is_dir()]


def masked(lines: list[str]) -> list[str]:
    """Return an application's lines without the secrets that it was given: whoever reads them may not know these."""
    values = {each.read_text(encoding="utf-8").strip() for each in _FOLDER.glob("*/secrets/*")}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= _SHORTEST_SECRET:
            lines = [line.replace(value, "********") for line in lines]
    return lines


def _remove(gone: list[str]) -> None:
    used = {told(each)["image"] for each in kept() if each not in gone}
    for each in gone:
        image = told(each)["image"]
        shutil.rmtree(folder(each), ignore_errors=True)
        if image not in used:
            engine.docker("image", "rm", image, check=False)


def _holds(place: Path, texts: dict[str, str]) -> bool:
    try:
        return all((place / name).read_text(encoding="utf-8") == text for name, text in texts.items())
    except OSError:
        return False


def _history() -> list[str]:
    try:
        return list(json.loads(_SERVED.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []

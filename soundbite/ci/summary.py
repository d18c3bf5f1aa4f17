"""`inv ci.summary`: what is known of the checkout: its commit, its tests, its images, and where it is deployed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundbite import checkout, console, images
from soundbite import environment as environments
from soundbite.ages import now
from soundbite.errors import SoundbiteError
from soundbite.parallel import Asked

from .tested import tested

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 10.0
"""Seconds that the engine has to say which images there are."""

_FILE = "GITHUB_STEP_SUMMARY"


def gather(listing: Callable[[], list[dict[str, Any]]], overview: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what is known.

    Parameters
    ----------
    listing:
        Gives the images that this machine has.
    overview:
        Gives how the environments are.

    Returns
    -------
    dict
        `checkout`, `tests`, `images` (or why they are unknown) and `environments`.
    """
    asked = Asked(listing, "the Docker engine")
    until = time.monotonic() + _PATIENCE
    revision = checkout.revision()
    return {
        "at": now(),
        "checkout": {
            "branch": _branch(),
            "revision": revision,
            "commit": None if revision == checkout.UNKNOWN else revision.removesuffix(checkout.DIRTY),
            "clean": checkout.is_clean(revision),
        },
        "tests": tested(revision),
        "environments": overview()["environments"],
        "images": _images(lambda: asked.result(until)),
    }


def tell_github(markdown: str) -> None:
    """Append to the summary of the job, where GitHub Actions runs us; elsewhere do nothing."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    try:
        with Path(os.environ[_FILE]).open("a", encoding="utf-8") as stream:
            stream.write(markdown + "\n")
    except KeyError:
        console.warn(f"{_FILE} is not set: the job has no summary.")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        console.warn(f"The file of {_FILE} cannot be written: {reason}. The job has no summary.")


def _branch() -> str | None:
    found = checkout.branch()
    if not found and os.environ.get("GITHUB_ACTIONS") == "true":
        # It checks out a commit; of a pull request, the branch is the one that asks.
        found = os.environ.get("GITHUB_HEAD_REF") or os.environ.get("GITHUB_REF_NAME", "")
    return found or None


def _images(listing: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]] | dict[str, str]:
    """Return the images that the checkout as it is makes, whether they are there or not."""
    try:
        wanted: dict[str, list[str]] = {}
        for name in environments.order():
            environment = environments.load(name)
            for recipe in (images.api(environment), images.processor(environment)):
                wanted.setdefault(recipe.name(recipe.content()), []).append(name)
        there = {each["name"]: each for each in listing()}
    except (SoundbiteError, OSError) as error:
        return {"unknown": error.message if isinstance(error, SoundbiteError) else error.strerror or "?"}
    nothing = dict.fromkeys(("id", "revision", "created", "size"))
    return [
        {"name": name, "environments": of, "built": name in there}
        | {key: there.get(name, nothing)[key] for key in nothing}
        for name, of in wanted.items()
    ]

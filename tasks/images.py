"""inv images.*: the images of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import JSON_HELP, command
from tasks.flags import number

if TYPE_CHECKING:
    from invoke import Context


@command(name="list", help={"json": JSON_HELP})
def list_(context: Context, json: bool = False) -> None:
    """List the images of this project that this machine has."""
    from soundbite import console, packaging

    found = packaging.listing()
    if json:
        console.result_json(found)
        return
    console.table(
        [
            (
                each["name"],
                each["id"].removeprefix("sha256:")[:12],
                each["revision"],
                each["created"],
                f"{each['size'] / 1e6:.0f} MB",
                "in use" if each["in_use"] else "",
            )
            for each in found
        ],
        heading=("image", "id", "revision", "built", "size", ""),
    )


@command(help={"keep": "Images of each kind that stay.", "plan": "Say which, and remove none."})
def prune(context: Context, keep: str = "5", plan: bool = False) -> None:
    """Remove old images from this machine; those in use and those of the checkout as it is stay."""
    from soundbite import console, packaging

    gone = packaging.prune(number("--keep", keep), plan=plan)
    for name in gone:
        console.result(f"{'would remove' if plan else 'removed'} {name}")
    if not gone:
        console.say("There is nothing to remove.")

"""inv releases.*: what was built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import JSON_HELP, REHEARSE_HELP, command

if TYPE_CHECKING:
    from invoke import Context


@command(help={"release": "Its id, such as r-1f0c22aa91be.", "rehearse": REHEARSE_HELP, "json": JSON_HELP})
def show(context: Context, release: str = "", rehearse: bool = False, json: bool = False) -> None:
    """Show what a release is made of, and where it was deployed."""
    from soundbite import console
    from soundbite.deployment import showing
    from soundbite.errors import ConfigurationError

    if not release:
        raise ConfigurationError("Say which release.", "--release=r-…; inv history --env=NAME lists them.")
    found = showing.release(release, rehearsal=rehearse)
    if json:
        console.result_json(found)
        return
    rows = [(name, str(found[name])) for name in ("id", "commit", "built", "image", "processor", "irreversible")]
    console.table([*rows, *((f"tree {name}", digest) for name, digest in found["trees"].items())])
    for name, known in found["environments"].items():
        if isinstance(known, str):
            console.result(f"{name}: {known}")
            continue
        for each in known:
            serving, bad = ", serves" if each["serving"] else "", f", bad: {each['bad']}" if each["bad"] else ""
            console.result(f"{name}: {each['deployment']} {each['state']}{serving}{bad}")

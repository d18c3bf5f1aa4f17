"""inv rehearse.*: hosts on this machine, for any task with --rehearse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import ENV_HELP, JSON_HELP, command
from tasks.flags import number

if TYPE_CHECKING:
    from invoke import Context


@command(help={"env": ENV_HELP, "hosts": "How many hosts, 1 to 8.", "json": JSON_HELP})
def up(context: Context, env: str = "staging", hosts: str = "2", json: bool = False) -> None:
    """Bring up an environment's hosts as containers, with emulated AWS and a registry."""
    from soundbite import console, rehearsal

    found = rehearsal.up(env, number("--hosts", hosts))
    if json:
        console.result_json(found)
        return
    console.table(
        [(each["name"], each["address"], each["url"]) for each in found], heading=("host", "address", "will serve at")
    )
    console.result(f"now: inv deploy.{env} --rehearse --build --yes")


@command(help={"json": JSON_HELP})
def status(context: Context, json: bool = False) -> None:
    """Show what runs of the rehearsal: emulated AWS, the registry, the hosts."""
    from soundbite import console, rehearsal

    found = rehearsal.status()
    if json:
        console.result_json(found)
        return
    rows = [
        (name, "", found[name]["address"] or "", found[name]["state"])
        for name in ("emulator", "registry")
        if found[name]
    ]
    rows += [(each["name"], each["environment"], each["address"], each["state"]) for each in found["hosts"]]
    console.table(rows, heading=("what", "environment", "address", "state"))


@command(help={"env": "One environment's hosts only; default: everything."})
def down(context: Context, env: str = "") -> None:
    """Take the rehearsal down; emulated AWS saves its state."""
    from soundbite import console, rehearsal

    if not rehearsal.down(env):
        console.say(f"Nothing of {env or 'the rehearsal'} runs.")

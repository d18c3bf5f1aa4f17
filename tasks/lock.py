"""inv lock.*: who is at work on an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.command import ENV_HELP, JSON_HELP, REHEARSE_HELP, command
from tasks.deploy import named
from tasks.flags import seconds

if TYPE_CHECKING:
    from invoke import Context

_HELP = {"env": ENV_HELP, "rehearse": REHEARSE_HELP, "json": JSON_HELP}


@command(help=_HELP)
def status(context: Context, env: str = "", rehearse: bool = False, json: bool = False) -> None:
    """Say who has an environment's lock, since when and why."""
    from soundbite.deployment import scene, showing

    _print(env, showing.lock(scene.load(named(env), rehearsal=rehearse)), json=json)


@command(help={**_HELP, "reason": "Why; others see it.", "lock-wait": "How long to wait for another, for example 10m."})
def acquire(
    context: Context, env: str = "", reason: str = "", lock_wait: str = "", rehearse: bool = False, json: bool = False
) -> None:
    """Keep everybody from deploying to an environment, until it is released."""
    from soundbite.deployment import scene, showing

    here = scene.load(named(env), rehearsal=rehearse)
    _print(env, showing.acquire(here, reason, seconds("--lock-wait", lock_wait)), json=json)


@command(help=_HELP)
def release(context: Context, env: str = "", rehearse: bool = False, json: bool = False) -> None:
    """Release a lock that a person acquired; an operation's is left alone."""
    from soundbite.deployment import scene, showing

    _print(env, showing.release_lock(scene.load(named(env), rehearsal=rehearse)), json=json)


def _print(env: str, found: dict[str, Any], *, json: bool) -> None:
    from soundbite import console

    if json:
        console.result_json(found)
    elif found["state"] == "free":
        console.result(f"{env} is not locked.")
    else:
        what = found.get("operation") or "by hand"
        console.result(f"{env} is {found['state']} ({what}): {found['reason']}")
        console.result(f"  {found['who']} on {found['where']} since {found['since']}")

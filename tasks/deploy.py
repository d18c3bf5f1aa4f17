"""inv deploy.*: a release into an environment; a task for each environment that is deployed to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import environment as environments
from tasks.asking import yes
from tasks.command import ENV_HELP, JSON_HELP, REHEARSE_HELP, command
from tasks.flags import seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from invoke import Context

    from soundbite.deployment import Wishes

HELP = {
    "release": "A release's id; default: the newest verified one stage before.",
    "build": "Deploy what the working tree is: the first stage's default, elsewhere for a first deployment.",
    "plan": "Say what would change, and change nothing.",
    "yes": "Go on without asking.",
    "resume": "Finish a deployment or rollback that was cut off.",
    "abort": "Take back one that was cut off: what served before serves again.",
    "reason": "Why; the audit trail keeps it.",
    "override-bad": "Deploy a release that was marked bad; wants --reason.",
    "irreversible": "Why this release cannot be taken back, for example a migration.",
    "lock-wait": "How long to wait for somebody else's lock, for example 10m.",
    "set": "KEY=VALUE: a setting for this deployment only; may be given several times.",
    "without": "A host to leave out, for example one that is down; may be given several times.",
    "rehearse": REHEARSE_HELP,
    "json": JSON_HELP,
}


def run(name: str, flags: dict[str, Any]) -> None:
    """Deploy to an environment as the flags say, and print how it ended."""
    from soundbite import console, deployment
    from soundbite.deployment import scene
    from soundbite.errors import ConfigurationError

    chosen = [flag for flag in ("plan", "resume", "abort") if flags[flag]]
    if len(chosen) > 1:
        raise ConfigurationError(f"--{' and --'.join(chosen)} are different things.", "Give one of them.")
    here = scene.load(name, rehearsal=flags["rehearse"], overrides=_overrides(flags["set"] or []))
    here.without = flags["without"] or []
    if flags["plan"]:
        found = deployment.plan(here, _wishes(flags))
    elif flags["resume"]:
        found = deployment.resume(here)
    elif flags["abort"]:
        found = deployment.abort(here, flags["reason"])
    else:
        ask = partial(yes, question=f"Deploy this to {name}?", assume=flags["yes_"])
        found = deployment.deploy(here, _wishes(flags), ask)
    if flags["json"]:
        console.result_json(found)
    elif flags["plan"]:
        _print_plan(found)
    elif found.get("deployment"):
        console.result(f"{name}: {found['deployment']} serves, {here.environment.app.url}")


def _wishes(flags: dict[str, Any]) -> Wishes:
    from soundbite.deployment import Wishes

    same = ("release", "build", "override_bad", "reason", "irreversible")
    wait = seconds("--lock-wait", flags["lock_wait"])
    return Wishes(**{name: flags[name] for name in same}, lock_wait=wait)


def _print_plan(found: dict[str, Any]) -> None:
    from soundbite import console

    console.result("\n".join(found["differences"]) or f"{found['before']} serves already; nothing would change.")
    if found["infrastructure"]:
        console.result(found["infrastructure"])
    if found["irreversible"]:
        console.warn(f"It cannot be taken back: {found['irreversible']}")
    if found["bad"]:
        console.warn(f"{found['release']} was marked bad: {found['bad']}")


def named(env: str, known: Sequence[str] = ()) -> str:
    """Return the environment's name, if one was given.

    Parameters
    ----------
    known:
        Those that could be named; empty: those that are deployed to.

    Raises
    ------
    ConfigurationError
        None was.
    """
    from soundbite.errors import ConfigurationError

    if not env:
        raise ConfigurationError(
            "Say which environment.", f"--env=NAME: {', '.join(known or environments.deployable())}."
        )
    return env


def _overrides(given: list[str]) -> dict[str, str]:
    from soundbite.errors import ConfigurationError

    for each in given:
        if "=" not in each:
            raise ConfigurationError(f"--set={each} has no value.", "--set=KEY=VALUE")
    return dict(each.split("=", 1) for each in given)


@command(default=True, help={"env": ENV_HELP, **HELP}, name="to", iterable=["set", "without"])
def to(
    context: Context,
    env: str = "",
    release: str = "",
    build: bool = False,
    plan: bool = False,
    yes_: bool = False,
    resume: bool = False,
    abort: bool = False,
    reason: str = "",
    override_bad: bool = False,
    irreversible: str = "",
    lock_wait: str = "",
    set: Any = None,
    without: Any = None,
    rehearse: bool = False,
    json: bool = False,
) -> None:
    """Deploy a release to the environment of --env."""
    run(named(env), dict(locals()))


def task_for(environment: str, name: str = "", says: str = "") -> Any:
    """Return the task that deploys to one environment.

    Parameters
    ----------
    name:
        What it is called in its namespace; default: as the environment.
    says:
        Its line in `inv --list`.
    """

    def deploy(
        context: Context,
        release: str = "",
        build: bool = False,
        plan: bool = False,
        yes_: bool = False,
        resume: bool = False,
        abort: bool = False,
        reason: str = "",
        override_bad: bool = False,
        irreversible: str = "",
        lock_wait: str = "",
        set: Any = None,
        without: Any = None,
        rehearse: bool = False,
        json: bool = False,
    ) -> None:
        run(environment, dict(locals()))

    deploy.__doc__ = says or f"Deploy a release to {environment}."
    return command(help=HELP, name=name or environment, iterable=["set", "without"])(deploy)


def tasks() -> list[Any]:
    """Return a task for each environment that is deployed to."""
    return [task_for(name) for name in environments.deployable()]

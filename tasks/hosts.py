"""inv hosts.*: the hosts of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tasks.command import ENV_HELP, JSON_HELP, PLAN_HELP, REHEARSE_HELP, WITHOUT_HELP, command, exit_with
from tasks.deploy import named
from tasks.flags import number

if TYPE_CHECKING:
    from invoke import Context

_HELP = {"env": ENV_HELP, "rehearse": REHEARSE_HELP}
_OFFLINE = "By what this checkout remembers, without asking AWS."


@command(name="list", help={**_HELP, "offline": _OFFLINE, "json": JSON_HELP})
def list_(context: Context, env: str = "", offline: bool = False, rehearse: bool = False, json: bool = False) -> None:
    """List the hosts, and what serves on each."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    found = hosting.listing(scene.load(named(env), rehearsal=rehearse), offline=offline)
    if json:
        console.result_json(found)
    else:
        rows = [
            (
                each["name"],
                each["address"],
                each["deployment"] or ("nothing" if each["reachable"] else "?"),
                each["state"] or "",
                each["colour"] or "",
                " ".join(each["deployments"]),
                each["problem"],
            )
            for each in found
        ]
        console.table(rows, heading=("host", "address", "serves", "state", "colour", "has", ""))
    exit_with(0 if all(each["reachable"] for each in found) else 1)


@command(help={**_HELP, "json": JSON_HELP})
def ping(context: Context, env: str = "", rehearse: bool = False, json: bool = False) -> None:
    """Sign in to each host, and see that its engine answers."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    found = hosting.listing(scene.load(named(env), rehearsal=rehearse))
    if json:
        told = ("name", "address", "reachable", "engine", "problem")
        console.result_json([{name: each[name] for name in told} for each in found])
    else:
        for each in found:
            well = each["reachable"] and each["engine"]
            mark = console.paint("✓", "green") if well else console.paint("✗", "red")
            why = f"engine {each['engine']}" if well else each["problem"] or "its engine does not run"
            console.result(f"{mark} {each['name']}  {why}")
    exit_with(0 if all(each["reachable"] and each["engine"] for each in found) else 1)


@command(help={**_HELP, "plan": PLAN_HELP})
def prepare(context: Context, env: str = "", plan: bool = False, rehearse: bool = False) -> None:
    """Make the hosts ready for deployments; again and again does no harm."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    for name in hosting.prepare(scene.load(named(env), rehearsal=rehearse), plan=plan):
        console.result(f"{name} would be made ready" if plan else f"{name} is ready")


@command(
    name="exec",
    help={
        **_HELP,
        "command": "A shell command.",
        "host": "One host only: its name, id or address.",
        "plan": "Say where it would run, and run nothing.",
        "json": JSON_HELP,
    },
)
def exec_(
    context: Context,
    env: str = "",
    command_: str = "",
    host: str = "",
    plan: bool = False,
    rehearse: bool = False,
    json: bool = False,
) -> None:
    """Run a command on every host."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    found = hosting.execute(scene.load(named(env), rehearsal=rehearse), command_, only=host, plan=plan)
    if json:
        console.result_json(found)
        exit_with(int(any(each.get("code") for each in found)))
        return
    for each in found:
        if plan:
            console.result(f"{each['host']}  would run: {each['command']}")
            continue
        for line in (each["stdout"] + each["stderr"]).splitlines():
            console.result(f"{each['host']}  {line}")
        if each["code"]:
            console.error(f"{each['host']}: exit code {each['code']}")
    exit_with(int(any(each.get("code") for each in found)))


@command(
    help={
        **_HELP,
        "lines": "Lines of each.",
        "proxy": "The proxy's instead of the application's.",
        "json": JSON_HELP,
    }
)
def logs(
    context: Context, env: str = "", lines: str = "50", proxy: bool = False, rehearse: bool = False, json: bool = False
) -> None:
    """Show the last lines of what serves on each host."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    found = hosting.logs(scene.load(named(env), rehearsal=rehearse), number("--lines", lines), proxy=proxy)
    if json:
        console.result_json([{"host": name, "line": line} for name, line in found])
        return
    for name, line in found:
        console.result(f"{name}  {line}")


@command(help={**_HELP, "plan": PLAN_HELP, "without": WITHOUT_HELP}, iterable=["without"])
def converge(context: Context, env: str = "", plan: bool = False, without: Any = None, rehearse: bool = False) -> None:
    """Bring every host to what serves by the ledger: new ones, and any that are astray."""
    from soundbite.deployment import hosting, scene

    here = scene.load(named(env), rehearsal=rehearse)
    here.without = without or []
    _print_going(hosting.converge(here, plan=plan), plan=plan)


@command(
    help={
        **_HELP,
        "offline": "Needed: it asks neither account, lock nor ledger.",
        "to": "A deployment that the hosts still have; default: the one before.",
        "plan": PLAN_HELP,
        "confirm": "The environment's name instead of typing it when asked.",
    }
)
def switch(
    context: Context,
    env: str = "",
    to: str = "",
    offline: bool = False,
    plan: bool = False,
    confirm: str = "",
    rehearse: bool = False,
) -> None:
    """Go back by the hosts' own records alone, when AWS or the ledger is down."""
    from soundbite import console
    from soundbite.deployment import hosting, scene
    from soundbite.errors import ConfigurationError
    from tasks.asking import typed_name

    if not offline:
        raise ConfigurationError("This asks neither account, lock nor ledger.", "inv rollback does; or say --offline.")
    here = scene.load(named(env), rehearsal=rehearse)
    if not plan:
        typed_name(env, f"This switches the hosts of {env}, and the ledger will not know of it.", given=confirm)
    _print_going(hosting.switch_offline(here, to, plan=plan), plan=plan)
    if not plan:
        console.warn(
            f"The ledger does not know: inv hosts.converge --env={env}, or the next deploy, brings them together."
        )


def _print_going(found: list[dict[str, Any]], *, plan: bool) -> None:
    from soundbite import console

    for each in found:
        before = f" (now {each['served'] or 'nothing'})" if plan else ""
        console.result(f"{each['host']} {'would serve' if plan else 'serves'} {each['serves']}{before}")

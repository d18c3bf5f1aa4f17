"""inv hosts.*: the hosts of an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.command import ENV_HELP, JSON_HELP, REHEARSE_HELP, command, exit_with
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


@command(help=_HELP)
def ping(context: Context, env: str = "", rehearse: bool = False) -> None:
    """Sign in to each host, and see that its engine answers."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    found = hosting.listing(scene.load(named(env), rehearsal=rehearse))
    for each in found:
        well = each["reachable"] and each["engine"]
        told = f"engine {each['engine']}" if well else each["problem"] or "its engine does not run"
        console.result(f"{console.paint('✓', 'green') if well else console.paint('✗', 'red')} {each['name']}  {told}")
    exit_with(0 if all(each["reachable"] and each["engine"] for each in found) else 1)


@command(help=_HELP)
def prepare(context: Context, env: str = "", rehearse: bool = False) -> None:
    """Make the hosts ready for deployments; again and again does no harm."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    for name in hosting.prepare(scene.load(named(env), rehearsal=rehearse)):
        console.result(f"{name} is ready")


@command(name="exec", help={**_HELP, "command": "A shell command.", "host": "One host only: its name, id or address."})
def exec_(context: Context, env: str = "", command_: str = "", host: str = "", rehearse: bool = False) -> None:
    """Run a command on every host."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    found = hosting.execute(scene.load(named(env), rehearsal=rehearse), command_, only=host)
    for each in found:
        for line in (each["stdout"] + each["stderr"]).splitlines():
            console.result(f"{each['host']}  {line}")
        if each["code"]:
            console.error(f"{each['host']}: exit code {each['code']}")
    exit_with(int(any(each["code"] for each in found)))


@command(help={**_HELP, "lines": "Lines of each.", "proxy": "The proxy's instead of the application's."})
def logs(context: Context, env: str = "", lines: str = "50", proxy: bool = False, rehearse: bool = False) -> None:
    """Show the last lines of what serves on each host."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    for name, line in hosting.logs(scene.load(named(env), rehearsal=rehearse), number("--lines", lines), proxy=proxy):
        console.result(f"{name}  {line}")


@command(help=_HELP)
def converge(context: Context, env: str = "", rehearse: bool = False) -> None:
    """Bring every host to what serves by the ledger: new ones, and any that are astray."""
    from soundbite import console
    from soundbite.deployment import hosting, scene

    for name, serving in hosting.converge(scene.load(named(env), rehearsal=rehearse)).items():
        console.result(f"{name} serves {serving}")


@command(
    help={
        **_HELP,
        "offline": "Needed: it asks neither account, lock nor ledger.",
        "to": "A deployment that the hosts still have; default: the one before.",
        "confirm": "The environment's name instead of typing it when asked.",
    }
)
def switch(
    context: Context, env: str = "", to: str = "", offline: bool = False, confirm: str = "", rehearse: bool = False
) -> None:
    """Go back by the hosts' own records alone, when AWS or the ledger is down."""
    from soundbite import console
    from soundbite.deployment import hosting, scene
    from soundbite.errors import ConfigurationError
    from tasks.asking import typed_name

    if not offline:
        raise ConfigurationError("This asks neither account, lock nor ledger.", "inv rollback does; or say --offline.")
    here = scene.load(named(env), rehearsal=rehearse)
    typed_name(env, f"This switches the hosts of {env}, and the ledger will not know of it.", given=confirm)
    for name, serving in hosting.switch_offline(here, to).items():
        console.result(f"{name} serves {serving}")
    console.warn(f"The ledger does not know: inv hosts.converge --env={env}, or the next deploy, brings them together.")

"""inv dev.*: SoundBite on this machine."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tasks import deploy
from tasks.asking import typed_name, yes
from tasks.command import ENV_HELP, JSON_HELP, command, exit_with
from tasks.flags import number

if TYPE_CHECKING:
    from invoke import Context

_LOCAL = "dev-localstack"
_UP_HELP = {
    "detach": "Return when ready.",
    "inspect": "Open node's debugger on APP_INSPECT_PORT.",
    "containers": "In containers instead of processes.",
}


@command(default=True, help=_UP_HELP)
def localstack(context: Context, detach: bool = False, inspect: bool = False, containers: bool = False) -> None:
    """Bring up SoundBite with emulated AWS, from nothing to answering; logs follow until Ctrl-C."""
    from soundbite import development, environment

    development.up(
        environment.load(_LOCAL),
        confirm=lambda _difference: None,
        detach=detach,
        inspect=inspect,
        containers=containers,
    )


@command(
    help={
        **_UP_HELP,
        "deploy": "Deploy the infrastructure where it differs, after showing the difference.",
        "yes": "Deploy without asking.",
    }
)
def aws(
    context: Context,
    detach: bool = False,
    inspect: bool = False,
    containers: bool = False,
    deploy: bool = False,
    yes_: bool = False,
) -> None:
    """Bring up SoundBite here against the real AWS of dev-aws; refuses any other account."""
    from soundbite import development, environment

    development.up(
        environment.load("dev-aws"),
        confirm=partial(yes, question="Deploy this to dev-aws?", assume=yes_),
        detach=detach,
        inspect=inspect,
        deploy=deploy,
        containers=containers,
    )


aws_deployed = deploy.task_for(
    "dev-aws-deployed", "aws-deployed", "Deploy to dev-aws-deployed; the same as inv deploy.dev-aws-deployed."
)


@command(help={"down": "Take them down.", "json": JSON_HELP})
def multienv(context: Context, down: bool = False, json: bool = False) -> None:
    """Run all environments side by side on this machine, each by its image, behind one nginx."""
    from soundbite import console
    from soundbite.development import multienv as journey

    if down:
        if not journey.down():
            console.say("Nothing of it runs.")
        return
    found = journey.up()
    if json:
        console.result_json(found)
        return
    console.table(
        [(each["environment"], each["account"], each["url"], each["host"]) for each in found],
        heading=("environment", "account", "address", "or"),
    )
    console.result(f"image: {found[0]['image']}")


@command(help={"env": ENV_HELP})
def down(context: Context, env: str = _LOCAL) -> None:
    """Stop everything that runs; emulated AWS saves its state."""
    from soundbite import console, development, environment

    if not development.down(environment.load(env)):
        console.say(f"Nothing of {env} runs.")


@command(help={"env": ENV_HELP, "json": JSON_HELP})
def status(context: Context, env: str = _LOCAL, json: bool = False) -> None:
    """Show what runs, since when, and whether the application is ready."""
    from soundbite import console, development, environment

    found = development.status(environment.load(env))
    if json:
        console.result_json(found)
        return
    rows = [
        (name, each["state"], str(each.get("pid", "")), f"{each['age_seconds']} s" if "age_seconds" in each else "")
        for name, each in found["processes"].items()
    ]
    console.table(rows, heading=("service", "state", "pid", "since"))
    console.result(f"{env}: {found['url']} " + ("is ready" if found["ready"] else f"is not ready: {found['problem']}"))


@command(help={"env": ENV_HELP, "service": "One service only.", "lines": "Lines of each log.", "follow": "Go on."})
def logs(context: Context, env: str = _LOCAL, service: str = "", lines: str = "50", follow: bool = False) -> None:
    """Show the logs of emulator, application and processor."""
    from soundbite import development, environment

    development.logs(environment.load(env), service=service, lines=number("--lines", lines), follow=follow)


@command(help={"env": ENV_HELP, "confirm": "The environment's name, instead of typing it when asked."})
def reset(context: Context, env: str = _LOCAL, confirm: str = "") -> None:
    """Stop everything and delete what is kept here: emulated AWS with all its clips, and the logs."""
    from soundbite import console, development, environment

    loaded = environment.load(env)
    typed_name(
        env, f"This deletes what {loaded.state} keeps: logs, and emulated AWS with all its clips.", given=confirm
    )
    development.reset(loaded)
    console.say(f"{env} is as if it had never run.")


@command(help={"env": ENV_HELP, "command": "A command to run instead of a dialogue."})
def shell(context: Context, env: str = _LOCAL, command_: str = "") -> None:
    """Open a shell with the environment's variables: the application's, and AWS's."""
    from soundbite import development, environment

    exit_with(development.shell(environment.load(env), command_))


@command(help={"env": ENV_HELP, "keep": "The folder for the audio; default: in the environment's state."})
def smoke(context: Context, env: str = _LOCAL, keep: str = "") -> None:
    """Speak one clip, from POST to audio that plays."""
    from pathlib import Path

    from soundbite import development, environment

    exit_with(development.smoke(environment.load(env), Path(keep) if keep else None))


@command(help={"env": "One environment; default: every local one.", "containers": "In containers."})
def test(context: Context, env: str = "", containers: bool = False) -> None:
    """Start each local environment in turn and prove that it is what it says."""
    from soundbite import development, environment

    names = [env] if env else [name for name in environment.order() if environment.load(name).local]
    exit_with(development.prove(names, containers=containers))

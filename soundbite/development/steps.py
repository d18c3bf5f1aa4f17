"""The steps of bringing a local environment up, each told in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from soundbite import application, console, emulator
from soundbite.errors import ConfigurationError, Refused
from soundbite.infrastructure import assembly, stacks
from soundbite.parallel import workers
from soundbite.platforms import room as rooms
from soundbite.platforms.room import EMULATOR

if TYPE_CHECKING:
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment
    from soundbite.platforms.room import Room

Output = Callable[[str], str]


def require_local(environment: Environment) -> None:
    """Refuse an environment whose application does not run here.

    Raises
    ------
    ConfigurationError
        Its PLATFORM is not `local`.
    """
    if not environment.local:
        raise ConfigurationError(
            f"{environment.name} does not run on this machine (PLATFORM={environment.workflow.platform}).",
            "inv dev.* are for environments with PLATFORM=local; see inv envs.list.",
        )


def lock_file(environment: Environment) -> Path:
    """Return the file whose lock serializes what changes this environment from this checkout."""
    return environment.state / "lock"


def account(environment: Environment, cloud: Cloud) -> None:
    """Compare the credentials' account with the environment's, before anything is changed."""
    with console.step("account") as step:
        arn = cloud.require_account()
        step.detail = f"{environment.aws.account_id} as {arn.rpartition('/')[2] or arn}"


def ground(room: Room, cloud: Cloud, *, build: bool, inspect: bool = False) -> None:
    """Make what everything else needs, at once: images, emulated AWS, dependencies, the build."""
    environment = room.environment
    with workers(2) as submit:
        cli = submit(lambda: application.cdk_cli().ensure())
        if room.containers:
            with console.step("images") as step:
                step.detail = room.prepare(step.tell, inspect=inspect)
        if environment.emulator.mode == "embedded":
            with console.step("emulator") as step:
                service = rooms.service(room, EMULATOR)
                started = emulator.start(environment, cloud, service, own_port=not room.containers)
                step.detail = f"{environment.endpoint_url}, {'started' if started.fresh else 'was running'}"
            if started.lost:
                console.warn(started.lost)
        if build:
            dependencies = application.dependencies(environment)
            if dependencies is not None and dependencies.needed():
                submit(assembly.unpack)  # while npm waits for the network
            _work("dependencies", dependencies)
            _work("build", application.build(environment))
        if not cli.done():
            with console.step("aws-cdk") as step:
                step.detail = "installed" if cli.result() else "unchanged"
        cli.result()


def infrastructure(environment: Environment, cloud: Cloud, *, change: bool, confirm: Callable[[str], None]) -> Output:
    """Bring the stacks to what the checkout says.

    Parameters
    ----------
    change:
        Whether stacks may be changed; if not, missing ones are refused and others are told.
    confirm:
        Called with the difference before anything is changed; raises to stop.

    Returns
    -------
    callable
        The stacks' outputs by `Stack.OutputName`.
    """
    with console.step("infrastructure") as step:
        made = assembly.synth(environment)
        waiting = stacks.pending(cloud, made)
        short = ", ".join(name.removeprefix(environment.stack_name("")) for name in waiting)
        if waiting and not change:
            _refuse_missing(environment, cloud, made)
        step.detail = f"{len(made.stacks())} stacks, {f'{short} differ from this checkout' if waiting else 'unchanged'}"
    if waiting and not change:
        console.warn("--deploy brings the infrastructure up to date; until then it is used as it is.")
    elif waiting:
        if not environment.emulated:
            confirm(stacks.diff(cloud, made))
        with console.step("deploy") as step:
            stacks.bootstrap(cloud, step.tell)
            stacks.deploy(cloud, made, step.tell)
            step.detail = short
    return stacks.outputs(cloud)


def follow_processor(room: Room, cloud: Cloud, output: Output) -> None:
    """Show the processor's log, and keep its code fresh."""
    if room.environment.processor.artifact is not None:
        room.follow_processor(cloud, output("Compute.FunctionName"), output("Compute.LogGroupName"))


def application_up(room: Room, cloud: Cloud, output: Output, *, inspect: bool) -> None:
    """Start the application and wait until it is ready."""
    environment = room.environment
    with console.step("app") as step:
        step.progress = f"waiting for {environment.app_url}{environment.app.health_path}"
        fresh = room.start_app(cloud, output, inspect=inspect)
        room.await_ready()
        step.detail = f"{environment.app_url}, {'started' if fresh else 'was running'}"


def _refuse_missing(environment: Environment, cloud: Cloud, made: assembly.Assembly) -> None:
    missing = sorted(set(made.stacks()) - set(stacks.describe(cloud)))
    if missing:
        raise Refused(
            f"{environment.name} lacks infrastructure: {', '.join(missing)} are not deployed. Nothing was changed.",
            f"inv dev.{environment.name.removeprefix('dev-')} --deploy shows the difference and deploys it.",
        )


def _work(name: str, work: application.Work | None) -> None:
    if work is None:
        return
    with console.step(name) as step:
        step.detail = "done" if work.ensure(step.tell) else "unchanged"

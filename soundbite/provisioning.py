"""`inv cdk.*`: from the checkout to the stacks of an environment, and their end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import application, console
from . import environment as environments
from .cloud import Cloud
from .errors import ConfigurationError
from .infrastructure import assembly, stacks
from .parallel import workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from .environment import Environment
    from .infrastructure.assembly import Assembly


def chosen(name: str, *, every: bool) -> list[Environment]:
    """Return the environment of that name, or every one.

    Raises
    ------
    ConfigurationError
        Neither was asked for, or both.
    """
    if bool(name) == every:
        raise ConfigurationError("Say which environment.", "--env=NAME, or --all; inv envs.list shows them.")
    return [environments.load(each) for each in (environments.order() if every else [name])]


def build(environment: Environment) -> None:
    """Make what the infrastructure is made of: the cdk program, and the processor's code."""
    works = {
        "aws-cdk": application.cdk_cli(),
        "dependencies": application.dependencies(environment),
        "build": application.build(environment),
    }
    needed = {name: work for name, work in works.items() if work is not None and work.needed()}
    with workers(1) as submit:
        if needed:
            submit(assembly.unpack)  # while npm waits for the network
        for name, work in needed.items():
            with console.step(name) as step:
                step.detail = "done" if work.ensure(step.tell) else "unchanged"


def synth(environment: Environment) -> Assembly:
    """Synthesize an environment's cloud assembly, or take the kept one of the same inputs."""
    build(environment)
    with console.step("synth") as step:
        made = assembly.synth(environment)
        step.detail = f"{environment.name}: {len(made.stacks())} stacks, {'new' if made.fresh else 'unchanged'}"
    return made


def diff(environment: Environment) -> str:
    """Return what a deploy would change, as cdk words it."""
    cloud = Cloud(environment)
    made = synth(environment)
    cloud.require_account()
    if not stacks.pending(cloud, made):
        return f"{environment.name}: no differences in {len(made.stacks())} stacks."
    return stacks.diff(cloud, made)


def deploy(environment: Environment, confirm: Callable[[str], None]) -> list[str]:
    """Deploy the stacks that differ from the checkout.

    Parameters
    ----------
    confirm:
        Called with the difference before anything is changed; raises to stop. Not for emulated AWS.

    Returns
    -------
    list
        The stacks that were deployed; none where nothing differed.
    """
    cloud = Cloud(environment)
    made = synth(environment)
    with console.step("compare") as step:
        cloud.require_account()
        waiting = stacks.pending(cloud, made)
        short = [name.removeprefix(environment.stack_name("")) for name in waiting]
        step.detail = f"{environment.name}: {', '.join(short)} differ" if waiting else f"{environment.name}: unchanged"
    if not waiting:
        return []
    if not environment.emulated:
        confirm(stacks.diff(cloud, made))
    with console.step("deploy") as step:
        stacks.bootstrap(cloud, step.tell)
        stacks.deploy(cloud, made, step.tell)
        step.detail = f"{environment.name}: {', '.join(short)} deployed"
    return waiting


def doomed(environment: Environment) -> list[str]:
    """Return the stacks that `destroy` would destroy; changes nothing."""
    cloud = Cloud(environment)
    made = synth(environment)
    cloud.require_account()
    return stacks.doomed(cloud, made)


def destroy(environment: Environment) -> list[str]:
    """Destroy an environment's stacks, all but the one with the ledger.

    Returns
    -------
    list
        The stacks that are gone.
    """
    cloud = Cloud(environment)
    made = synth(environment)
    with console.step("destroy") as step:
        cloud.require_account()
        if environment.workflow.platform == "ecs":
            from .platforms.ecs import Ecs

            step.tell("its ECS service")
            Ecs(cloud).remove()
        gone = stacks.destroy(cloud, made, step.tell)
        kept = environment.stack_name(stacks.BOOTSTRAP)
        step.detail = f"{', '.join(gone)} gone; {kept} kept" if gone else "nothing was there"
    return gone

"""The environment's stacks: all there, in a good state, tagged, with their outputs."""

from __future__ import annotations

from typing import Any

from soundbite.infrastructure import stacks

from .model import Failed, NotYet, Scene, check


@check("stacks.present")
def present(scene: Scene) -> str:
    """Every stack of the environment is there."""
    there = _mine(scene)
    missing = [name for name in stacks.expected(scene.environment) if name not in there]
    if missing:
        raise Failed(f"not there: {', '.join(missing)}")
    return ", ".join(there)


@check("stacks.state", patience=15)
def state(scene: Scene) -> str:
    """Every stack's last change succeeded."""
    states = {name: str(stack["StackStatus"]) for name, stack in _mine(scene).items()}
    bad = {name: found for name, found in states.items() if found not in stacks.SETTLED}
    moving = [name for name, found in bad.items() if found.endswith("IN_PROGRESS")]
    if bad:
        told = ", ".join(f"{name} is {found}{_reason(scene, name)}" for name, found in bad.items())
        if len(moving) == len(bad):
            scene.forget("stacks")
            raise NotYet(f"being changed: {told}")
        raise Failed(told)
    return f"{len(states)} stacks"


@check("stacks.tags")
def tags(scene: Scene) -> str:
    """Every stack has the tags that say whose it is."""
    wanted = stacks.tags(scene.environment)
    problems = []
    for name, stack in _mine(scene).items():
        found = {each["Key"]: each["Value"] for each in stack.get("Tags", [])}
        problems += [
            f"{name} has {key}={found[key]}, not {value}" if key in found else f"{name} has no tag {key}"
            for key, value in wanted.items()
            if found.get(key) != value
        ]
    if problems:
        raise Failed("; ".join(problems))
    return ", ".join(f"{key}={value}" for key, value in wanted.items())


@check("stacks.outputs")
def outputs(scene: Scene) -> str:
    """Every stack gives out what the workflow and the others read of it."""
    there = {
        f"{name}.{output['OutputKey']}"
        for name, stack in _mine(scene).items()
        for output in stack.get("Outputs", [])
        if output["OutputValue"]
    }
    missing = [each for each in stacks.expected_outputs(scene.environment) if each not in there]
    if missing:
        raise Failed(f"not there: {', '.join(missing)}")
    return f"{len(stacks.expected_outputs(scene.environment))} outputs"


@check("stacks.protected")
def protected(scene: Scene) -> str:
    """Stacks whose data must outlive mistakes cannot be deleted by one call."""
    kept = set(stacks.expected(scene.environment)) if scene.environment.workflow.retain_data else {stacks.BOOTSTRAP}
    open_ = [
        name for name, stack in _mine(scene).items() if name in kept and not stack.get("EnableTerminationProtection")
    ]
    if open_:
        raise Failed(f"without termination protection: {', '.join(open_)}")
    return f"{', '.join(sorted(kept))}"


def _mine(scene: Scene) -> dict[str, dict[str, Any]]:
    prefix = scene.environment.stack_name("")
    return {name.removeprefix(prefix): stack for name, stack in scene.stacks().items() if name.startswith(prefix)}


def _reason(scene: Scene, name: str) -> str:
    reason = _mine(scene)[name].get("StackStatusReason")
    return f" ({reason})" if reason else ""

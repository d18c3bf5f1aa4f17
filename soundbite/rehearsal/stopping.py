"""`inv rehearse.down`, and taking back what an `up` that failed has made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from soundbite import console, emulator, engine, locks
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError

from . import balancer, containers, hosts, instances
from . import place as places

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from soundbite.environment import Environment

    from .place import Place

_LOCK_WAIT = 600


def down(name: str = "") -> list[str]:
    """Take a rehearsal down: one environment's hosts, or without a name everything; emulated AWS saves its state.

    Returns
    -------
    list
        What was there.
    """
    environments = [places.load(name)] if name else places.deployed()
    if not environments:
        return []
    engine.require()
    place = places.of(environments[0])
    with locks.held(place.lock, f"taking down {name or 'the rehearsal'}", _LOCK_WAIT):
        ran = _hosts(place, environments, name)
        if not name:
            ran += _rest(place, environments[0])
        return ran


@contextmanager
def undone(place: Place, environment: Environment) -> Iterator[None]:
    """If the block fails or is interrupted, remove what is there now and was not before."""
    before = {each["Id"] for each in place.containers()}
    networks, emulated = place.networks(), places.emulated(environment)
    try:
        yield
    except BaseException:
        try:
            now = [each for each in place.containers() if each["Id"] not in before]
            mine = [each for each in now if places.labels_of(each)[places.PART_LABEL] == places.HOST]
            with console.step("containers") as step:
                hosts.remove(place, mine)
                containers.remove([each for each in now if each not in mine])
                if not networks and not before:
                    _remove_networks(place)
                    containers.remove_volumes(place.volumes())
                step.detail = f"{', '.join(map(places.name_of, now)) or 'none'} taken down"
            if not emulated:
                _stop_emulator(environment)
        except SoundbiteError as error:  # what led here says more
            console.warn(f"Not everything could be taken down again: {error.message}")
        raise


def _hosts(place: Place, environments: Sequence[Environment], name: str) -> list[str]:
    found = place.containers(places.HOST, name)
    with console.step("hosts") as step:
        hosts.remove(place, found)
        if name:
            balancer.forget(place, name)
            containers.remove_volumes(place.volumes(name))  # what a killed run left
        ran = [places.name_of(each) for each in found]
        step.detail = f"{', '.join(ran) or 'none'} taken down"
    if places.emulated(environments[0]):
        with console.step("instances") as step:
            ended = sum(instances.terminate(Cloud(each)) for each in environments)
            step.detail = f"{ended} terminated"
    return ran


def _rest(place: Place, environment: Environment) -> list[str]:
    """Take down what all environments share."""
    found: list[dict[str, Any]] = place.containers()
    ran = [places.name_of(each) for each in found]
    with console.step("registry") as step:
        containers.remove(found)
        containers.remove_volumes(place.volumes())
        _remove_networks(place)
        balancer.forget(place, "")
        step.detail = "taken down" if ran else "none"
    if place.shares_emulator():
        console.say("  emulated AWS goes on: inv dev.multienv uses it.")
    elif _stop_emulator(environment):
        ran.append(emulator.NAME)
        containers.remove(emulator.containers(environment))
    return ran


def _stop_emulator(environment: Environment) -> bool:
    if not places.emulated(environment):
        return False
    with console.step("stop emulator") as step:
        step.detail = emulator.stop(environment, emulator.process(environment)) or "state saved"
    return True


def _remove_networks(place: Place) -> None:
    if names := place.networks():
        engine.run(["docker", "network", "rm", *names])

"""`inv rehearse.up`: from nothing to hosts that a deployment finds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import building, console, emulator, engine, images, locks, secrets
from soundbite.cloud import Cloud
from soundbite.errors import ConfigurationError
from soundbite.parallel import workers

from . import balancer, hosts, instances, readiness, registry, stopping
from . import network as networks
from . import place as places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.building import Built
    from soundbite.environment import Environment
    from soundbite.platforms.hosts import Host

    from .network import Network
    from .place import Place

LOCK_WAIT = 600


def up(name: str, count: int) -> list[dict[str, Any]]:
    """Bring up an environment's hosts for a rehearsal, with the registry and emulated AWS that they need.

    With PLATFORM=ecs there are no hosts: emulated AWS makes the containers.

    Hosts that run and are as they should be stay as they are. What this run made is removed again if it fails.

    Parameters
    ----------
    count:
        How many hosts, 1 to 8; those beyond are removed. Without hosts it says nothing.

    Returns
    -------
    list
        By host: its name, its address, its environment, and where it will serve.

    Raises
    ------
    ConfigurationError
        The environment is not deployed, or the count is out of bounds.
    SoundbiteError
        A step failed.
    """
    if not 1 <= count <= hosts.MOST:
        raise ConfigurationError(f"--hosts={count}: a rehearsal has 1 to {hosts.MOST} hosts.")
    environment = places.load(name)
    registry.port(environment)
    engine.require()
    place = places.of(environment)
    with locks.held(place.lock, f"bringing up the hosts of {name}", LOCK_WAIT), stopping.undone(place, environment):
        on_hosts = environment.workflow.platform == "hosts"
        numbers = range(1, hosts.MOST + 1)
        place.require_own(
            [place.registry, place.balancer, *(hosts.name(environment, each) for each in numbers)],
            [place.registry, *(hosts.volume(environment, each) for each in numbers)],
        )
        cloud = Cloud(environment)
        image = _ground(environment, cloud)
        network = networks.ensure(place)
        with console.step("registry") as step:
            started = registry.ensure(place, environment, image, network)
            step.detail = f"127.0.0.1:{registry.port(environment)}, {'started' if started else 'was running'}"
        found = _hosts(place, environment, cloud, count, image, network) if on_hosts else []
        with console.step("load balancer") as step:
            step.detail = balancer.ensure(place, environment, found, network)
        with console.step("secrets") as step:
            # A person sets them for real; a rehearsal makes up what is missing.
            step.detail = ", ".join(secrets.make_missing(environment.app_env, cloud)) or "all there"
    if not on_hosts:
        address = f"127.0.0.1:{environment.proxy.port}"
        return [{"name": "ECS service", "address": address, "environment": name, "url": environment.app.url}]
    return [
        {
            "name": each.name,
            "address": each.address,
            "environment": name,
            "url": f"http://{each.address}:{environment.hosts.http_port}",
        }
        for each in found
    ]


def _hosts(
    place: Place, environment: Environment, cloud: Cloud, count: int, image: Built, network: Network
) -> Sequence[Host]:
    with console.step("hosts") as step:
        found, done = hosts.ensure(place, environment, count, image, network)
        changed = [f"{len(names)} {how}" for how, names in done.items() if names]
        step.detail = f"{', '.join(each.address for each in found)}: {', '.join(changed) or 'unchanged'}"
    with console.step("ready") as step:
        readiness.wait(environment, found, step.tell)
        step.detail = "sshd and engine of each answer"
    with console.step("instances") as step:
        step.detail = f"in account {environment.aws.account_id}, {instances.match(cloud, found)}"
    return found


def _ground(environment: Environment, cloud: Cloud) -> Built:
    """Make at once what both need some time for: emulated AWS, and the hosts' image."""
    with workers(1) as submit:
        image = submit(partial(_image, environment))
        with console.step("emulator") as step:
            started = emulator.start(environment, cloud, emulator.process(environment))
            step.detail = f"{environment.endpoint_url}, {'started' if started.fresh else 'was running'}"
        if started.lost:
            console.warn(started.lost)
        return image.result()


def _image(environment: Environment) -> Built:
    with console.step("image") as step:
        built = building.image(images.host(environment), step.tell)
        step.detail = f"{built.name}, {'built' if built.fresh else 'unchanged'}"
        return built

"""Hosts that are containers: what an EC2 host has (sshd, an engine, Compose, Python), each at an address of its own."""

from __future__ import annotations

import shutil
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import files, paths
from soundbite.cloud import Cloud
from soundbite.environment import naming
from soundbite.parallel import workers
from soundbite.platforms import variables
from soundbite.platforms.hosts import Host

from . import containers, keys, registry
from . import place as places
from .containers import Container

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from soundbite.building import Built
    from soundbite.environment import Environment

    from .network import Network
    from .place import Place

MOST = 8
SSH_PORT = 22

_PRIVILEGES = (
    # Together less than --privileged, which some machines refuse.
    *("--cap-add", "ALL", "--cap-drop", "SYS_RESOURCE"),
    *(word for each in ("seccomp", "apparmor", "systempaths") for word in ("--security-opt", f"{each}=unconfined")),
    *("--device-cgroup-rule", "a *:* rwm", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"),
)
SHARED = "/mnt/shared"
"""Where a host has the folder `Place.shared`."""

_FIRST_BOOT = paths.CDK / "first_boot.py"
_AT_ONCE = 4


def name(environment: Environment, number: int) -> str:
    """Return the name of an environment's host, for example soundbite-rehearsal-staging-host-1."""
    return f"{environment.workflow.compose_project}-host-{number}"


def volume(environment: Environment, number: int) -> str:
    """Return the name of the volume with what a host's engine keeps."""
    return f"{name(environment, number)}-docker"


def ensure(
    place: Place, environment: Environment, count: int, image: Built, network: Network
) -> tuple[list[Host], dict[str, list[str]]]:
    """Make an environment's hosts these many.

    Returns
    -------
    tuple
        The hosts, and the names of those that were made, started or removed.
    """
    found = {number_of(each): each for each in place.containers(places.HOST, environment.name)}
    away = [each for number, each in found.items() if number > count]
    remove(place, away)
    wanted = _wanted(place, environment, count, network)
    _write_keys(place, environment, wanted)
    files.write(place.shared / _FIRST_BOOT.name, _FIRST_BOOT.read_text(encoding="utf-8"))
    done: dict[str, list[str]] = {"made": [], "started": [], "removed": [places.name_of(each) for each in away]}
    jobs: list[Callable[[], None]] = []
    for number, each in wanted.items():
        before = found.get(number)
        right = containers.is_right(before, each, image, network)
        if before is not None and right and places.running(before):
            continue
        done["started" if right else "made"].append(each.name)
        jobs.append(partial(_start, before, each, image, network, right=right))
    with workers(_AT_ONCE) as submit:
        for job in [submit(job) for job in jobs]:
            job.result()
    return [Host(each.address, each.name, each.address, SSH_PORT) for each in wanted.values()], done


def remove(place: Place, found: Sequence[dict[str, Any]]) -> None:
    """Remove hosts with everything that is theirs: containers, volumes, keys."""
    containers.remove(found)
    containers.remove_volumes(own for each in found for own in _volumes_of(each))
    for each in found:
        shutil.rmtree(place.keys(environment_of(each), number_of(each)).parent, ignore_errors=True)


def number_of(container: dict[str, Any]) -> int:
    """Return which host of its environment a container is, from 1."""
    return int(places.labels_of(container)[places.NUMBER_LABEL])


def environment_of(container: dict[str, Any]) -> str:
    """Return the environment of a host's container."""
    return places.labels_of(container)[places.ENVIRONMENT_LABEL]


def address_of(container: dict[str, Any], network: str) -> str:
    """Return the address that a host keeps, whether it runs or not; empty if it has none in the network."""
    found = container["NetworkSettings"]["Networks"].get(network) or {}
    return str((found.get("IPAMConfig") or {}).get("IPv4Address") or "")


def _wanted(place: Place, environment: Environment, count: int, network: Network) -> dict[int, Container]:
    """Return the hosts as they should be; one that is there keeps its address."""
    every = place.containers(places.HOST)
    taken = {places.name_of(each): address_of(each, place.network) for each in every}
    inside = set(map(str, network.subnet))
    taken = {own: address for own, address in taken.items() if address in inside}
    wanted = {}
    by_itself = _variables(environment)
    for number in range(1, count + 1):
        own = name(environment, number)
        address = taken.setdefault(own, network.free(taken.values()))
        kept = volume(environment, number)
        options = [
            *("--hostname", f"{environment.name}-host-{number}"),
            *_PRIVILEGES,
            *("--mount", f"type=volume,source={kept},target=/var/lib/docker"),
            *("--mount", f"type=bind,source={place.keys(environment.name, number)},target=/etc/ssh/keys,readonly"),
            *("--mount", f"type=bind,source={place.shared},target={SHARED},readonly"),
            *("--env", f"REGISTRY={registry.ALIAS}:{registry.PORT}"),
            *("--env", f"REGISTRY_PORT={registry.port(environment)}"),
            *(word for each in by_itself for word in ("--env", each)),
        ]
        labels = place.labels(places.HOST, environment.name, number)
        wanted[number] = Container(own, address, labels, options, kept)
    return wanted


def _variables(environment: Environment) -> list[str]:
    """Return what user data and role tell a host of EC2: where the ledger is, and as whom it is read."""
    given = {
        "FIRST_BOOT": f"{SHARED}/{_FIRST_BOOT.name}",
        "LEDGER_TABLE": naming.ledger(environment.workflow.project, environment.name),
    }
    return [f"{name}={value}" for name, value in (given | variables.emulated(Cloud(environment))).items()]


def _write_keys(place: Place, environment: Environment, wanted: dict[int, Container]) -> None:
    """Write the hosts' keys, and list as known those of every environment that has hosts here."""
    authorized = keys.client(environment)
    known = {
        address_of(each, place.network): keys.host(place.keys(environment_of(each), number_of(each)), authorized)
        for each in place.containers(places.HOST)
    }
    known |= {
        each.address: keys.host(place.keys(environment.name, number), authorized) for number, each in wanted.items()
    }
    keys.know(environment, {address: public for address, public in known.items() if address})


def _start(before: dict[str, Any] | None, wanted: Container, image: Built, network: Network, *, right: bool) -> None:
    if before is not None and not right:
        # Its engine's containers would be there without the folder that they belong to.
        containers.remove([before])
        containers.remove_volumes([wanted.volume])
        before = None
    containers.start(before, wanted, image, network)


def _volumes_of(container: dict[str, Any]) -> list[str]:
    return [each["Name"] for each in container["Mounts"] if each["Type"] == "volume"]

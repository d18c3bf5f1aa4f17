"""The network of hosts and registry, in which every host keeps its address."""

from __future__ import annotations

import ipaddress
import json
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import engine, waiting
from soundbite.errors import SoundbiteError
from soundbite.shell import CommandFailed

from . import place as places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .place import Place

_RANGES = "10.213.{}.0/24"
_REGISTRY, _BALANCER, _FIRST_HOST = 2, 3, 10
_KNOWN_WITHIN = 5.0
"""Seconds for the engine to know of what it has made."""
_UNKNOWN = re.compile(r"not found|no such network", re.IGNORECASE)
_OVERLAPS = re.compile(r"overlap|conflict", re.IGNORECASE)


class Network(NamedTuple):
    """The network: its id, and its range of addresses."""

    id: str
    subnet: ipaddress.IPv4Network

    @property
    def registry(self) -> str:
        """The registry's address."""
        return str(self.subnet[_REGISTRY])

    @property
    def balancer(self) -> str:
        """The load balancer's address."""
        return str(self.subnet[_BALANCER])

    def free(self, taken: Iterable[str]) -> str:
        """Return the first address for a host that nobody has."""
        used = set(taken)
        return next(str(each) for each in list(self.subnet)[_FIRST_HOST:-1] if str(each) not in used)


def ensure(place: Place) -> Network:
    """Return the network, made now where it was missing, in the first range that nothing here uses.

    Raises
    ------
    SoundbiteError
        Every range is in use, or the engine makes no network.
    """
    if not place.networks():
        _make(place)
    found = _found(place.network)
    return Network(found["Id"], ipaddress.IPv4Network(found["IPAM"]["Config"][0]["Subnet"]))


def _found(name: str) -> dict[str, Any]:
    """Return what the engine says of the network.

    One that it has just made it did not know, once, while others were being removed (Docker 20.10): it is asked again.
    """
    deadline = time.monotonic() + _KNOWN_WITHIN
    while True:
        began = time.monotonic()
        try:
            return dict(json.loads(engine.run(["docker", "network", "inspect", name]).stdout)[0])
        except CommandFailed as failed:
            if not _UNKNOWN.search(failed.completed.stderr) or began > deadline:
                raise
        waiting.pause(began, 0.05)


def _make(place: Place) -> None:
    labels = [f"--label={name}={value}" for name, value in place.labels(places.NETWORK).items()]
    here = _addresses()
    for number in range(256):
        subnet = ipaddress.IPv4Network(_RANGES.format(number))
        if any(each in subnet for each in here):
            continue
        try:
            engine.run(["docker", "network", "create", f"--subnet={subnet}", *labels, place.network])
        except CommandFailed as failed:
            if not _OVERLAPS.search(failed.completed.stderr):
                raise
        else:
            return
    raise SoundbiteError(
        f"Every range from {_RANGES.format(0)} to {_RANGES.format(255)} is in use on this machine.",
        "docker network prune removes those that nobody uses.",
    )


def _addresses() -> list[ipaddress.IPv4Address]:
    import socket

    import psutil

    every = (each for found in psutil.net_if_addrs().values() for each in found)
    return [ipaddress.IPv4Address(each.address) for each in every if each.family == socket.AF_INET]

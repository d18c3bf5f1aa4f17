"""What runs of a rehearsal."""

from __future__ import annotations

from typing import Any

from soundbite import engine

from . import hosts
from . import place as places


def status() -> dict[str, Any]:
    """Return what runs: emulated AWS, the registry, and the hosts of every environment."""
    environments = places.deployed()
    if not environments:
        return {"emulator": None, "registry": None, "hosts": []}
    first = environments[0]
    place = places.of(first)
    every = {places.name_of(each): each for each in place.containers()}
    registry = every.pop(place.registry, None)
    every.pop(place.balancer, None)
    port = next(iter(engine.published(place.registry) if registry else ()), None)
    return {
        "emulator": {"state": "running" if places.emulated(first) else "stopped", "address": first.endpoint_url},
        "registry": {
            "state": registry["State"]["Status"] if registry else "missing",
            "address": f"127.0.0.1:{port}" if port else None,
        },
        "hosts": [
            {
                "name": name,
                "environment": hosts.environment_of(each),
                "address": hosts.address_of(each, place.network),
                "state": each["State"]["Status"],
            }
            for name, each in every.items()
        ],
    }

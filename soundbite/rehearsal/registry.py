"""The registry of a rehearsal: on this machine's loopback, and in the hosts' network under the same name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from soundbite import engine, ports
from soundbite.errors import ConfigurationError, SoundbiteError

from . import containers
from . import place as places
from .containers import Container

if TYPE_CHECKING:
    from soundbite.building import Built
    from soundbite.environment import Environment

    from .network import Network
    from .place import Place

PORT = 5000
"""Its port inside, as compose/host/registry.yml has it."""
ALIAS = "registry"


def port(environment: Environment) -> int:
    """Return the port of this machine that IMAGE_REPOSITORY names.

    Raises
    ------
    ConfigurationError
        It names another machine, or no port.
    """
    repository = environment.image.repository
    found = re.match(r"(?:127\.0\.0\.1|localhost):(\d+)/", repository) if isinstance(repository, str) else None
    if found is None:
        setting = environment.settings["IMAGE_REPOSITORY"]
        raise ConfigurationError(
            f"{setting.origin}: IMAGE_REPOSITORY={setting.text} names no port of this machine, and the registry of a "
            "rehearsal is there.",
            f"For example IMAGE_REPOSITORY=127.0.0.1:5005/{environment.name}/api.",
        )
    return int(found[1])


def ensure(place: Place, environment: Environment, image: Built, network: Network) -> bool:
    """Start the registry unless it runs, and wait until it answers; return whether it was started.

    Raises
    ------
    SoundbiteError
        Its port is taken, or it does not answer within 20 s.
    """
    number = port(environment)
    wanted = Container(
        place.registry,
        network.registry,
        place.labels(places.REGISTRY),
        [
            *("--network-alias", ALIAS, "--publish", f"127.0.0.1:{number}:{PORT}"),
            *("--mount", f"type=volume,source={place.registry},target=/var/lib/registry"),
        ],
        place.registry,
        ["docker-registry", "serve", "/etc/docker/registry/config.yml"],
    )
    found = next(iter(place.containers(places.REGISTRY)), None)
    right = containers.is_right(found, wanted, image, network)
    if found is not None and right and places.running(found):
        return False
    if found is None or not (places.running(found) and number in engine.published(place.registry)):
        _require_port(environment, number)
    containers.start(found, wanted, image, network)
    containers.await_answer(place, places.REGISTRY, "registry", f"127.0.0.1:{number}", "/v2/", 200)
    return True


def _require_port(environment: Environment, number: int) -> None:
    try:
        ports.require_free(number, "IMAGE_REPOSITORY", "envs/rehearsal.env", engine.publisher(number))
    except SoundbiteError as error:
        other = environment.settings["IMAGE_REPOSITORY"].text.replace(f":{number}/", f":{number + 1}/", 1)
        raise SoundbiteError(
            error.message,
            f"Stop it, or choose another port: IMAGE_REPOSITORY={other} inv …, for good in envs/rehearsal.env.",
        ) from None

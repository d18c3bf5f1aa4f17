"""Where a rehearsal is: its names on the engine, and the labels that tell what is its own from what is others'."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import compose, emulator, engine
from soundbite import environment as environments
from soundbite.errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from soundbite.environment import Environment

PART_LABEL = compose.REHEARSAL_LABEL
ENVIRONMENT_LABEL = "soundbite.environment"
NUMBER_LABEL = "soundbite.host"

HOST, REGISTRY, NETWORK, BALANCER = "host", "registry", "network", "balancer"


class Place(NamedTuple):
    """One rehearsal on one engine.

    Attributes
    ----------
    folder:
        Its folder of state, which is also how it is known on the engine (`compose.OWNER_LABEL`).
    project:
        What its names on the engine begin with.
    """

    folder: Path
    project: str

    @property
    def lock(self) -> Path:
        """The lock's file, the same as that of `inv dev.multienv`: they share emulated AWS."""
        return self.folder / "lock"

    @property
    def shared(self) -> Path:
        """The folder that each host has at SHARED: what it runs first, and images on their way into it."""
        return self.folder / "shared"

    @property
    def network(self) -> str:
        """The name of the network of hosts and registry."""
        return f"{self.project}-hosts"

    @property
    def registry(self) -> str:
        """The name of the registry's container, and of the volume with its images."""
        return f"{self.project}-registry"

    @property
    def balancer(self) -> str:
        """The name of the load balancer's container."""
        return f"{self.project}-balancer"

    def keys(self, environment: str, number: int) -> Path:
        """Return the folder with a host's keys, which it has at /etc/ssh/keys."""
        return self.folder / environment / "hosts" / str(number) / "keys"

    def labels(self, part: str, environment: str = "", number: int = 0) -> dict[str, str]:
        """Return the labels of what belongs to it."""
        found = {compose.OWNER_LABEL: str(self.folder), PART_LABEL: part}
        if environment:
            found[ENVIRONMENT_LABEL] = environment
        if number:
            found[NUMBER_LABEL] = str(number)
        return found

    def containers(self, part: str = "", environment: str = "") -> list[dict[str, Any]]:
        """Return what `docker inspect` says of its containers, by name."""
        wanted = [f"{compose.OWNER_LABEL}={self.folder}", f"{PART_LABEL}={part}" if part else PART_LABEL]
        if environment:
            wanted.append(f"{ENVIRONMENT_LABEL}={environment}")
        return sorted(engine.containers(*wanted), key=name_of)

    def volumes(self, environment: str = "") -> list[str]:
        """Return the names of its volumes."""
        return self._listed("volume", environment)

    def networks(self) -> list[str]:
        """Return the names of its networks."""
        return self._listed("network")

    def shares_emulator(self) -> bool:
        """Tell whether containers of `inv dev.multienv` run on the same emulated AWS."""
        every = engine.containers(f"{compose.OWNER_LABEL}={self.folder}")
        return any(PART_LABEL not in labels_of(each) and running(each) for each in every)

    def require_own(self, names: Iterable[str], volumes: Iterable[str]) -> None:
        """Refuse when a container, a volume or the network of one of our names is somebody else's.

        Raises
        ------
        SoundbiteError
            The message says whose.
        """
        found = [(each, labels_of(each)) for each in _inspected("container", *names)]
        found += [(each, each["Labels"] or {}) for each in _inspected("volume", *volumes)]
        found += [(each, each["Labels"] or {}) for each in _inspected("network", self.network)]
        for each, labels in found:
            owner = labels.get(compose.OWNER_LABEL)
            if owner != str(self.folder):
                raise SoundbiteError(
                    f"There is a {name_of(each)} already, of {owner or 'somebody else'}. It was left alone.",
                    "Choose other names: PROXY_PROJECT=… inv rehearse.up, for good in envs/rehearsal.env.",
                )

    def _listed(self, kind: str, environment: str = "") -> list[str]:
        labels = [f"{compose.OWNER_LABEL}={self.folder}", PART_LABEL]
        labels += [f"{ENVIRONMENT_LABEL}={environment}"] if environment else []
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return engine.run(["docker", kind, "ls", *filters, "--format", "{{.Name}}"]).stdout.split()


def of(environment: Environment) -> Place:
    """Return where an environment is rehearsed."""
    return Place(environment.state.parent, environment.proxy.project)


def load(name: str) -> Environment:
    """Return an environment as it is rehearsed.

    Raises
    ------
    ConfigurationError
        It is not deployed, or its settings are wrong.
    """
    environment = environments.load(name, rehearsal=True)
    if environment.local:
        raise ConfigurationError(
            f"{name} is not deployed: PLATFORM=local ({environment.settings['PLATFORM'].origin}).",
            f"Those that are: {', '.join(each.name for each in deployed())}.",
        )
    if environment.workflow.platform == "hosts" and environment.hosts.listed:
        raise ConfigurationError(
            f"{environment.settings['HOSTS'].origin}: HOSTS lists the hosts of {name}, so those made here would not be "
            "found.",
            "Unset it.",
        )
    return environment


def deployed() -> list[Environment]:
    """Return every environment that is deployed, as it is rehearsed."""
    loaded = (environments.load(name, rehearsal=True) for name in environments.order())
    return [each for each in loaded if not each.local]


def emulated(environment: Environment) -> bool:
    """Tell whether emulated AWS runs."""
    return emulator.process(environment).pid() is not None


def name_of(inspected: dict[str, Any]) -> str:
    """Return the name of what was inspected."""
    return str(inspected["Name"]).lstrip("/")


def labels_of(container: dict[str, Any]) -> dict[str, str]:
    """Return a container's labels."""
    return dict(container["Config"]["Labels"] or {})


def running(container: dict[str, Any]) -> bool:
    """Tell whether a container runs."""
    return bool(container["State"]["Running"])


def _inspected(kind: str, *names: str) -> list[dict[str, Any]]:
    return list(json.loads(engine.run(["docker", kind, "inspect", *names], check=False).stdout or "[]"))

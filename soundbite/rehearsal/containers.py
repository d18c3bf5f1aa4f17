"""Containers of a rehearsal: made once, left alone while they are what they should be, made anew when not."""

from __future__ import annotations

import json
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import engine, web
from soundbite.errors import SoundbiteError

from . import place as places

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from soundbite.building import Built

    from .network import Network
    from .place import Place

_MADE_LABEL = "soundbite.made"
_TIMEOUT = 120.0
_STOP_GRACE = 10
"""Seconds: a host's engine ends its own containers meanwhile."""
_READY_TIMEOUT = 20.0
_ASK_TIMEOUT = 2.0
_POLL = 0.05


class Container(NamedTuple):
    """A container as it should be.

    Attributes
    ----------
    options:
        Those of `docker run`, without name, network and labels.
    volume:
        The volume of its own that it uses; empty: it has none.
    """

    name: str
    address: str
    labels: Mapping[str, str]
    options: Sequence[str]
    volume: str
    command: Sequence[str] = ()

    def made(self, image: Built, network: Network) -> str:
        """Return a hash that changes when it would have to be made differently."""
        # Of the image its content counts: built again after a commit it has another id, and is the same.
        text = json.dumps([self.name, self.address, list(self.options), list(self.command), image.content, network.id])
        return sha256(text.encode()).hexdigest()[:16]

    def run(self, image: Built, network: Network) -> list[str]:
        """Return the command that makes it."""
        labels = {**self.labels, _MADE_LABEL: self.made(image, network)}
        return [
            *("docker", "run", "--detach", "--init", "--name", self.name),
            *("--network", network.id, "--ip", self.address),
            *_labels(labels),
            *self.options,
            image.name,
            *self.command,
        ]


def is_right(found: dict[str, Any] | None, wanted: Container, image: Built, network: Network) -> bool:
    """Tell whether a container is there and was made as it should be; whether it runs is another matter."""
    return found is not None and places.labels_of(found).get(_MADE_LABEL) == wanted.made(image, network)


def start(found: dict[str, Any] | None, wanted: Container, image: Built, network: Network) -> None:
    """Start a container that is not running, made anew where it is not right."""
    if is_right(found, wanted, image, network):
        engine.run(["docker", "start", wanted.name], timeout=_TIMEOUT)
        return
    if found is not None:
        remove([found])
    if wanted.volume:
        engine.run(["docker", "volume", "create", *_labels(wanted.labels), wanted.volume])
    engine.run(wanted.run(image, network), timeout=_TIMEOUT)


def await_answer(place: Place, part: str, what: str, address: str, path: str, status: int) -> None:
    """Wait until a container that was started answers: the engine accepts connections for it before it listens itself.

    Parameters
    ----------
    part, what:
        Which part of the rehearsal it is, and what that is for people: `registry`.
    address:
        Where this machine reaches it: `127.0.0.1:5005`.
    path, status:
        What it is asked for, and the HTTP status of its answer when it is ready.

    Raises
    ------
    SoundbiteError
        It ended, or does not answer within 20 s; the message has the end of its log.
    """
    import httpx

    deadline = time.monotonic() + _READY_TIMEOUT
    while True:
        try:
            if web.get(f"http://{address}{path}", _ASK_TIMEOUT).status_code == status:
                return
        except httpx.HTTPError:
            pass
        found = next(iter(place.containers(part)), None)
        ended = found is None or not places.running(found)
        if ended or time.monotonic() > deadline:
            how = "ended as soon as it was started" if ended else f"does not answer after {_READY_TIMEOUT:.0f} s"
            raise SoundbiteError(f"The {what} on {address} {how}.\n{engine.words_of(found)[0]}".rstrip())
        time.sleep(_POLL)


def remove(found: Sequence[dict[str, Any]]) -> None:
    """Stop and remove containers, all at once; their volumes of a name stay."""
    ids = [each["Id"] for each in found]
    if ids:
        engine.run(["docker", "stop", f"--time={_STOP_GRACE}", *ids], timeout=_TIMEOUT, check=False)
        engine.run(["docker", "rm", "--force", "--volumes", *ids], timeout=_TIMEOUT)


def remove_volumes(names: Iterable[str]) -> None:
    """Remove volumes; one that is not there is fine."""
    if every := list(names):
        engine.run(["docker", "volume", "rm", "--force", *every], timeout=_TIMEOUT)


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [f"--label={name}={value}" for name, value in sorted(labels.items())]

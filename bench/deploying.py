"""What deployments cost and whom they disturb, in a rehearsed environment: real sshd, engines and nginx."""

from __future__ import annotations

import re
import time
import traceback
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from bench import alone, rehearsed, side_by_side, together
from bench.table import Row, at_most, failed
from soundbite import console, engine
from tests.containers.load import Load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.stand import Stand
    from tests.containers.rehearsals import Rehearsal

_RATE = 200
_LEAST = 0.9
"""Of the rate, what counts as having been under load."""

_NOTHING, _BEYOND, _HOSTS, _RATIO = 3.0, 3.0, 4, 3.0
_CONTENTS = ("amber", "basalt")


def measure(stand: Stand) -> Iterator[Row]:
    """Deploy, roll back and compare; each part gives a row or more, and one that fails spoils no other."""
    engine.require()
    with rehearsed.environment() as place:
        for content in _CONTENTS:  # images, assemblies and the proxy are there from here on
            rehearsed.deploy(place, content)
        parts: dict[str, Callable[[], list[Row]]] = {
            "Deploys under load": partial(_under_load, place, stand),
            "`inv rollback`": partial(_rollback, place, stand),
            "`inv deploy.*` of what serves": partial(_nothing, place, stand),
            "Our host steps beside other tools": partial(side_by_side.measure, place, stand),
            "Deploys started at once": partial(together.measure, place),
            "Hosts 1 → 4": partial(_hosts, place, stand),
        }
        for name, part in parts.items():
            try:
                console.say(f"  {name} …")
                yield from part()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a row of the table
                console.say("".join(traceback.format_exception(error)))
                yield failed(name, str(error) or type(error).__name__)


def _under_load(place: Rehearsal, stand: Stand) -> list[Row]:
    count = stand.times(20, quick=4)
    started = time.perf_counter()
    with Load(place.hosts, _RATE) as load:
        took = [rehearsed.deploy(place, _CONTENTS[number % 2]) for number in range(count)]
        rate = load.count / (time.perf_counter() - started)
    beside = alone.measure(place, stand, _RATE)
    told = "; ".join(sorted(set(load.failed))[:3])
    how = (
        f"of {load.count}, at {rate:.0f}/s to /who of a small service, by six connections of Python's http.client, "
        f"keep-alive, a fifth POST, no retries, timeout 5 s; a deploy took "
        f"{median(took):.1f} s; by `docker compose up -d` alone {beside}{f'; {told}' if told else ''}"
    )
    return [
        Row(
            f"{count} deploys in a row under {_RATE} requests/s",
            target="0 failed requests",
            measured=f"{len(load.failed)} failed",
            ok=not load.failed and rate >= _LEAST * _RATE,
            how=how,
            samples=(len(load.failed),),
        )
    ]


def _rollback(place: Rehearsal, stand: Stand) -> list[Row]:
    rehearsed.deploy(place, _CONTENTS[0])
    count = stand.times(3, quick=1)
    took, starts, said = [], [], ""
    for number in range(count):
        rehearsed.deploy(place, f"regretted-{number}")
        left = _serving(place)
        began = time.perf_counter()
        said = place.run("rollback", "--reason=measured").stderr
        took.append(time.perf_counter() - began)
        assert place.names() == {_CONTENTS[0]}, f"{place.names()} serve after the rollback"
        starts.append(float(rehearsed.agent(place, "stage", deployment=left)["seconds"]))
        rehearsed.agent(place, "abandon")
    beyond = [whole - start - rehearsed.DRAIN for whole, start in zip(took, starts, strict=True)]
    return [
        Row(
            "`inv rollback`, one host",
            target=f"≤ start + drain + {_BEYOND:g} s",
            measured=f"{median(took):.2f} s",
            ok=median(beyond) <= _BEYOND,
            how=(
                f"{median(beyond):.2f} s beyond start to ready {median(starts):.2f} s (the agent's own figure, of the "
                f"same service) and drain {rehearsed.DRAIN:.0f} s; one batch, {count} times, {min(took):.2f} to "
                f"{max(took):.2f} s; the last one by step: {_steps(said)}"
            ),
            samples=took,
            unit="s",
        )
    ]


def _steps(said: str) -> str:
    """Return the steps that a command told of, each with its seconds."""
    found = re.findall(r"^\s*✓ (\S+(?: \S+)*?)\s{2,}.*?(\d+\.\d)s\s*$", said, re.MULTILINE)
    return ", ".join(f"{name} {seconds}" for name, seconds in found)


def _serving(place: Rehearsal) -> str:
    """Return the deployment that serves on the first host."""
    return str(rehearsed.agent(place, "status")["serving"]["deployment"])


def _nothing(place: Rehearsal, stand: Stand) -> list[Row]:
    rehearsed.deploy(place, _CONTENTS[0])
    count = stand.times(5, quick=3)
    took = [rehearsed.deploy(place, _CONTENTS[0]) for _ in range(count)]
    how = f"the whole command, one host, {count} times"
    return [at_most("`inv deploy.*` of what serves already", _NOTHING, took, "s", how)]


def _hosts(place: Rehearsal, stand: Stand) -> list[Row]:
    count = stand.times(3, quick=1)
    one = _deploys(place, count)
    place.up(_HOSTS)
    many = _deploys(place, count)
    ratios = [more / less for more, less in zip(many, one, strict=True)]
    how = (
        f"{median(one):.2f} s and {median(many):.2f} s, images present, every host an engine on this machine: the "
        f"limit is its cores, for compose and the application's start on each; {count} times"
    )
    return [at_most(f"Deploy to {_HOSTS} hosts / to 1", _RATIO, ratios, "x", how)]


def _deploys(place: Rehearsal, count: int) -> list[float]:
    for content in _CONTENTS:
        rehearsed.deploy(place, content)
    return [rehearsed.deploy(place, _CONTENTS[number % 2]) for number in range(count)]

"""What a campaign does: operations and faults, by nothing but a seed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

RELEASE, CONFIGURATION, BAD, ROLLBACK, SAME = "release", "configuration", "bad release", "rollback", "same again"
OPERATIONS = {RELEASE: 3, CONFIGURATION: 4, BAD: 2, ROLLBACK: 3, SAME: 1}
"""What is done, and how often beside the others."""

AILMENTS = ("crash", "broken", "unready")

SIGNALS = ("SIGTERM", "SIGINT", "SIGKILL")
HOST_FAULTS = ("host paused", "host stopped", "host rebooted", "host's disk full", "host's engine restarted")
AWS_FAULTS = ("AWS stands still", "AWS slow", "AWS throttles", "AWS fails", "AWS cuts off", "AWS truncates")
FAULTS = (
    "none",
    *(f"tool gets {name}" for name in SIGNALS),
    "connections cut",
    *HOST_FAULTS,
    "registry gone",
    *AWS_FAULTS,
    "second operator",
)

_DEPLOY = ("preflight", "compare", "infrastructure", "artifacts", "stage", "switch", "checks", "drain")
STEPS = {
    RELEASE: _DEPLOY,
    CONFIGURATION: _DEPLOY,
    BAD: ("preflight", "compare", "infrastructure", "artifacts"),
    ROLLBACK: ("preflight", "examine", "stage", "switch", "checks", "drain"),
    SAME: ("preflight", "compare"),
}
"""Steps of an operation at whose end a fault may strike."""

HOSTS = 3


class Blow(NamedTuple):
    """One operation, and what strikes it.

    Attributes
    ----------
    step, delay:
        The fault strikes so many seconds after the end of that step.
    lasts:
        Seconds until it is over, where it does not end by itself.
    host:
        Which host it strikes, counted from 1.
    how:
        `--resume` or `--abort`, if the operation is left interrupted.
    elsewhere:
        Whether that is done from another checkout.
    """

    number: int
    operation: str
    ailment: str
    fault: str
    step: str
    delay: float
    lasts: float
    host: int
    how: str
    elsewhere: bool


def blows(seed: int) -> Iterator[Blow]:
    """Yield the blows of a campaign, without end; the same for the same seed."""
    chance = random.Random(seed)  # noqa: S311 - which one, by a seed
    number = 0
    waiting: list[str] = []
    while True:
        number += 1
        if not waiting:
            # Every fault once before any comes again: so short campaigns see all of them.
            waiting = list(FAULTS)
            chance.shuffle(waiting)
        operation = chance.choices(list(OPERATIONS), list(OPERATIONS.values()))[0]
        yield Blow(
            number,
            operation,
            chance.choice(AILMENTS),
            waiting.pop(),
            chance.choice(STEPS[operation]),
            round(chance.uniform(0, 0.6), 2),
            round(chance.uniform(1, 6), 1),
            chance.randint(1, HOSTS),
            chance.choice(["--resume", "--abort"]),
            chance.random() < 0.5,  # noqa: PLR2004 - one of two
        )

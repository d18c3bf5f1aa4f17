"""What a check is, what it gets, and how it may end."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment


class Outcome(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    SKIP = "skip"
    INCONCLUSIVE = "inconclusive"


class Failed(Exception):
    """What was checked is not as it should be; the message says how it is."""


class Skipped(Exception):
    """It does not apply here; the message says why."""


@dataclass(frozen=True)
class Scene:
    """What a check gets to look at.

    Attributes
    ----------
    url:
        Where the application answers from here.
    output:
        The value of a stack output, by `Stack.OutputName`.
    keep:
        A folder for files worth keeping, such as the audio of a clip.
    """

    environment: Environment
    cloud: Cloud
    url: str
    output: Callable[[str], str]
    keep: Path


@dataclass(frozen=True)
class Check:
    """A check: `function` returns a line of evidence, or raises Failed or Skipped.

    Attributes
    ----------
    id:
        `group.name`, for example `resources.table`.
    deadline:
        Seconds after which it is inconclusive.
    """

    id: str
    function: Callable[[Scene], str]
    deadline: float

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Verdict:
    """How one check ended, why, and how long it took in seconds."""

    check: str
    outcome: Outcome
    message: str
    seconds: float


@dataclass
class Registry:
    """All checks that have been defined, by id."""

    checks: dict[str, Check] = field(default_factory=dict)


REGISTRY = Registry()


def check(id: str, *, deadline: float = 20.0) -> Callable[[Callable[[Scene], str]], Callable[[Scene], str]]:
    """Define a check.

    Parameters
    ----------
    id:
        `group.name`; a group is what a task runs.
    deadline:
        Seconds it may take.
    """

    def register(function: Callable[[Scene], str]) -> Callable[[Scene], str]:
        REGISTRY.checks[id] = Check(id, function, deadline)
        return function

    return register

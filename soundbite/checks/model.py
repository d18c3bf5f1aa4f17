"""What a check is, what it gets, and how it may end."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment

T = TypeVar("T")


class Outcome(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    INCONCLUSIVE = "inconclusive"


class Severity(Enum):
    """What it means if a check fails: that the environment is not well, or that somebody should look at it."""

    ERROR = "error"
    WARNING = "warning"


class Failed(Exception):
    """What was checked is not as it should be; the message says how it is.

    Parameters
    ----------
    data:
        Measurements, for reports.
    """

    def __init__(self, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.data = data or {}


class NotYet(Failed):
    """It may become as it should be by itself: the check is run again, until its patience is over."""


class Warned(Exception):
    """Nothing is wrong yet, but somebody should look at it."""


class Skipped(Exception):
    """It does not apply here; the message says why."""


class Evidence(NamedTuple):
    """What a check found: a line to read, and measurements for reports."""

    text: str
    data: dict[str, Any]


class Load(NamedTuple):
    """How much a performance check asks: requests a second, for so many seconds."""

    rate: float
    seconds: float


SHORT_PROBE = Load(40, 1.0)


@dataclass(frozen=True)
class Wishes:
    """What whoever runs checks wants of them.

    Attributes
    ----------
    journey:
        Whether checks may leave marks in an environment whose changes are asked for (CONFIRM), such as a clip.
    load:
        What the performance checks ask.
    """

    journey: bool = False
    load: Load = SHORT_PROBE


class Scene:
    """What a check gets to look at.

    Attributes
    ----------
    url:
        Where the application answers from here.
    keep:
        A folder for files worth keeping, such as the audio of a clip.
    rehearsal:
        Whether the environment was loaded with the rehearsal layer.
    until:
        When all checks must be done, by `time.monotonic`: who waits may give up before that, and say for whom.
    """

    def __init__(
        self,
        environment: Environment,
        cloud: Cloud,
        keep: Path,
        *,
        url: str = "",
        wishes: Wishes | None = None,
        rehearsal: bool = False,
    ) -> None:
        self.environment = environment
        self.cloud = cloud
        self.url = url or environment.app_url
        self.keep = keep
        self.wishes = wishes or Wishes()
        self.rehearsal = rehearsal
        self.until = math.inf
        self._facts: dict[str, _Fact[Any]] = {}
        self._naming = threading.Lock()

    def once(self, name: str, find: Callable[[], T]) -> T:
        """Return a fact that several checks need: found by the first of them, and awaited by the others.

        Parameters
        ----------
        find:
            Finds it. What it raises, it raises for each of them.
        """
        with self._naming:
            fact = self._facts.setdefault(name, _Fact(find))
        found: T = fact.get()
        return found

    def forget(self, name: str) -> None:
        """Have a fact found anew, by whoever asks next."""
        with self._naming:
            self._facts.pop(name, None)

    def output(self, name: str) -> str:
        """Return the value of a stack output, by `Stack.OutputName`.

        Raises
        ------
        ConfigurationError
            No stack has it.
        """
        from soundbite.infrastructure import stacks

        return self.once("outputs", lambda: stacks.outputs_of(self.cloud.environment, self.stacks()))(name)

    def stacks(self) -> dict[str, dict[str, Any]]:
        """Return what CloudFormation says of the environment's stacks, by their full names."""
        from soundbite.infrastructure import stacks

        return self.once("stacks", lambda: stacks.describe(self.cloud))


class _Fact(Generic[T]):
    def __init__(self, find: Callable[[], T]) -> None:
        self._find = find
        self._finding = threading.Lock()
        self._found: list[T] = []
        self._failure: Exception | None = None

    def get(self) -> T:
        with self._finding:
            if self._failure is not None:
                raise self._failure
            if not self._found:
                try:
                    self._found.append(self._find())
                except Exception as error:
                    self._failure = error
                    raise
            return self._found[0]


LOCAL, DEPLOYED = "local", "deployed"
"""Kinds of environments, beside their names, that a check may be for."""


@dataclass(frozen=True)
class Check:
    """A check: `function` returns what it found, or raises Failed, NotYet, Warned or Skipped.

    Attributes
    ----------
    id:
        `group.name`, for example `resources.table`.
    deadline:
        Seconds after which it is inconclusive.
    environments:
        Names of environments, `local` or `deployed`; empty: all.
    patience:
        Seconds that it is run again for while it says NotYet.
    quick:
        Whether `inv health` runs it.
    alone:
        Whether it would disturb others: it runs after them, by itself.
    """

    id: str
    function: Callable[[Scene], str | Evidence]
    deadline: float
    severity: Severity = Severity.ERROR
    environments: Sequence[str] = ()
    patience: float = 0.0
    quick: bool = False
    alone: bool = False

    @property
    def group(self) -> str:
        """The part of the id before the dot."""
        return self.id.partition(".")[0]

    @property
    def title(self) -> str:
        """What it checks, in a line."""
        return (self.function.__doc__ or self.id).strip().splitlines()[0]

    def is_for(self, environment: Environment) -> bool:
        """Tell whether it applies to an environment."""
        kind = LOCAL if environment.local else DEPLOYED
        return not self.environments or bool({environment.name, kind} & set(self.environments))


@dataclass(frozen=True)
class Verdict:
    """How one check ended, why, and how long it took in seconds.

    Attributes
    ----------
    hint:
        What to do about it; empty where there is nothing to say.
    data:
        Measurements.
    """

    check: str
    outcome: Outcome
    message: str
    seconds: float
    title: str = ""
    hint: str = ""
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The group of its check."""
        return self.check.partition(".")[0]


@dataclass
class Registry:
    """All checks that have been defined, by id."""

    checks: dict[str, Check] = field(default_factory=dict)


REGISTRY = Registry()


def check(
    id: str,
    *,
    deadline: float = 20.0,
    severity: Severity = Severity.ERROR,
    environments: Sequence[str] = (),
    patience: float = 0.0,
    quick: bool = False,
    alone: bool = False,
) -> Callable[[Callable[[Scene], str | Evidence]], Callable[[Scene], str | Evidence]]:
    """Define a check; its docstring's first line is its title.

    Parameters
    ----------
    id:
        `group.name`; groups and ids are what `--only` and `--skip` name.
    deadline:
        Seconds it may take.
    severity:
        WARNING makes its failure a warning.
    environments:
        Names of environments, `local` or `deployed`; empty: all.
    patience:
        Seconds that it is run again for while it raises NotYet, with growing pauses.
    quick:
        Whether `inv health` runs it.
    alone:
        Whether it would disturb others: it runs after them, by itself.
    """

    def register(function: Callable[[Scene], str | Evidence]) -> Callable[[Scene], str | Evidence]:
        REGISTRY.checks[id] = Check(id, function, deadline, severity, tuple(environments), patience, quick, alone)
        return function

    return register

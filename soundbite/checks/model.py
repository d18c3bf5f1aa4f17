"""What a check is, what it gets, and how it may end."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from soundbite import waiting
from soundbite.errors import ConfigurationError

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


@dataclass(frozen=True, eq=False)
class Debt:
    """What a check has made and must take away again.

    Attributes
    ----------
    what:
        What it is, for whoever must take it away by hand.
    undo:
        Takes it away, and returns why that was not possible; empty: it is gone.
    """

    check: str
    what: str
    undo: Callable[[], str]


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
    over:
        Set when nothing waits for checks any more: what is begun then, nobody would take away.
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
        self.over = threading.Event()
        self._facts: dict[str, _Fact[Any]] = {}
        self._naming = threading.Lock()
        self._debts: list[Debt] = []

    def owe(self, debt: Debt) -> None:
        """Say what must be taken away, before it is made: a check that hangs or is interrupted cannot do it itself."""
        with self._naming:
            self._debts.append(debt)

    def settle(self, debt: Debt) -> None:
        """Say that it is gone, or that the check has told what is left of it."""
        with self._naming:
            if debt in self._debts:
                self._debts.remove(debt)

    def debts(self) -> list[Debt]:
        """Return what has not been taken away yet."""
        with self._naming:
            return list(self._debts)

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
        self._finder: int | None = None
        self._found: list[T] = []
        self._failure: Exception | None = None

    def get(self) -> T:
        # Whoever waits here waits for what the finder waits for.
        with waiting.on(lambda: waiting.told(self._finder)):
            self._finding.acquire()
        try:
            if self._failure is not None:
                raise self._failure
            if not self._found:
                self._finder = threading.get_ident()
                try:
                    self._found.append(self._find())
                except Exception as error:
                    self._failure = error
                    raise
            return self._found[0]
        finally:
            self._finding.release()


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
    last:
        Whether it uses up what others need: it runs by itself, after all of them.
    """

    id: str
    function: Callable[[Scene], str | Evidence]
    deadline: float
    severity: Severity = Severity.ERROR
    environments: Sequence[str] = ()
    patience: float = 0.0
    quick: bool = False
    alone: bool = False
    last: bool = False

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

    def add(self, check: Check) -> None:
        """Take a check; again, where its module is imported again.

        Raises
        ------
        ConfigurationError
            Its id has no group, or is that of another check: one of them would never run.
        """
        group, _, name = check.id.partition(".")
        if not group or not name:
            raise ConfigurationError(
                f"The check {check.id!r} ({_where(check)}) has no group.", "Call it group.name, for example api.search."
            )
        known = self.checks.get(check.id)
        if known is not None and _where(known) != _where(check):
            raise ConfigurationError(
                f"There are two checks {check.id}: {_where(known)} and {_where(check)}.", "Give one another id."
            )
        self.checks[check.id] = check

    def require_environments(self, names: Sequence[str]) -> None:
        """Refuse checks for environments that there are not: they would be skipped everywhere.

        Parameters
        ----------
        names:
            Those that there are.

        Raises
        ------
        ConfigurationError
            A check is for another.
        """
        known = {*names, LOCAL, DEPLOYED}
        for each in self.checks.values():
            unknown = [name for name in each.environments if name not in known]
            if unknown:
                raise ConfigurationError(
                    f"The check {each.id} ({_where(each)}) is for {', '.join(unknown)}, which is no environment.",
                    f"There are {', '.join([*names, LOCAL, DEPLOYED])}.",
                )


def _where(check: Check) -> str:
    """Return where a check is defined: its module, its function, and its line."""
    code = getattr(check.function, "__code__", None)
    line = f", line {code.co_firstlineno}" if code is not None else ""
    return f"{check.function.__module__}.{getattr(check.function, '__qualname__', '')}{line}"


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
    last: bool = False,
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
    last:
        Whether it uses up what others need: it runs by itself, after all of them.

    Raises
    ------
    ConfigurationError
        The id has no group, or another check has it.
    """

    def register(function: Callable[[Scene], str | Evidence]) -> Callable[[Scene], str | Evidence]:
        REGISTRY.add(Check(id, function, deadline, severity, tuple(environments), patience, quick, alone or last, last))
        return function

    return register

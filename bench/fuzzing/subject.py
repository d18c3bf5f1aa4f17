"""A subject: what is fed, with what, and who judges; and the loop that feeds it."""

from __future__ import annotations

import re
import signal
import threading
import traceback
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Flaky

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from hypothesis.strategies import SearchStrategy

_BATCH = 1000
"""Inputs of one run of hypothesis, which remembers all of them."""

_SECONDS = 5.0
"""Of processor time, for one input: a busy machine makes no hang."""

_INTERNALS = re.compile(
    r"\b(Key|Type|Value|Attribute|Index|Recursion|Unicode\w*|Overflow|Assertion)Error\b|Traceback \(most"
    r"|__\w+__\(\)"
    r"|<class '|<\w+ object at 0x|object has no attribute|'NoneType'|This is a bug in the workflow"
)


class Fault(Exception):
    """What must not be; the same words are the same fault."""


@dataclass(frozen=True)
class Subject:
    """What is fed.

    Attributes
    ----------
    judge:
        Feeds one input; returns whether it was accepted, raises `Fault`.
    share:
        Its part of all inputs.
    ground:
        What must be there meanwhile, such as a folder.
    """

    name: str
    inputs: SearchStrategy[Any]
    judge: Callable[[Any], bool]
    share: float
    ground: Callable[[], AbstractContextManager[None]] = nullcontext


@dataclass
class Tally:
    """What became of a subject's inputs; `faults` has, by what is wrong, the smallest input that shows it."""

    subject: str
    accepted: int = 0
    refused: int = 0
    faulty: int = 0
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        """How many there were."""
        return self.accepted + self.refused + self.faulty


def fuzz(subject: Subject, inputs: int, first_seed: int) -> Tally:
    """Feed a subject with so many inputs at least, and tell what became of them."""
    tally = Tally(subject.name)
    batch = 0
    with subject.ground():
        while tally.inputs < inputs:
            _feed(subject, min(_BATCH, inputs - tally.inputs), first_seed + batch, tally)
            batch += 1
    return tally


def teaches(message: str) -> None:
    """See that what was said to a person is of use to one."""
    if not message.strip():
        raise Fault("it is refused without a word")
    internals = _INTERNALS.search(message)
    if internals:
        raise Fault(f"its message shows internals: {internals[0]}")


def _feed(subject: Subject, count: int, number: int, tally: Tally) -> None:
    smallest: list[tuple[str, Any]] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
    )
    @given(subject.inputs)
    def once(value: Any) -> None:
        try:
            accepted = _judged(subject, value)
        except Fault as fault:
            tally.faulty += 1
            if str(fault) in tally.faults or (smallest and smallest[-1][0] != str(fault)):
                return  # it is known already, or another than the one that is being made smaller
            smallest.append((str(fault), value))
            raise
        tally.accepted += accepted
        tally.refused += not accepted

    try:
        once()
    except (Fault, Flaky):
        what, value = smallest[-1]
        tally.faults[what] = repr(value)


def _judged(subject: Subject, value: Any) -> bool:
    try:
        with _deadline():
            return subject.judge(value)
    except Fault:
        raise
    except _Hang:
        raise Fault(f"it takes more than {_SECONDS:.0f} s") from None
    except Exception as error:  # noqa: BLE001 - whatever it is, nobody foresaw it
        where = traceback.extract_tb(error.__traceback__)
        ours = next((each for each in reversed(where) if "/soundbite/" in each.filename), where[-1])
        name = "" if isinstance(error, RecursionError) else f", {ours.name}"
        raise Fault(f"{type(error).__name__} in {ours.filename.rpartition('/')[2]}{name}") from None


class _Hang(BaseException):
    """No `Exception`, so that no handler of failures swallows it."""


@contextmanager
def _deadline() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # signal handlers run in the main thread alone
        return

    def late(_signum: int, _frame: object) -> NoReturn:
        raise _Hang

    former = signal.signal(signal.SIGVTALRM, late)
    signal.setitimer(signal.ITIMER_VIRTUAL, _SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)

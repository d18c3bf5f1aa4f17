"""Signals where a test wants them: as a function is called, or as a host is asked for a step."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from soundbite.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.stages import Stages


def interrupted_in(owner: object, name: str, work: Callable[[], object]) -> None:
    """Do something that a signal ends where a function is called."""

    def cut(*_: object, **__: object) -> None:
        raise Interrupted(signal.SIGINT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, cut)
        with pytest.raises(Interrupted):
            work()


def cut_at(stages: Stages, verb: str, work: Callable[[], object]) -> None:
    """Do something that SIGTERM ends as the first host is asked for a step."""

    def cut(asked: str) -> None:
        if asked == verb:
            signal.raise_signal(signal.SIGTERM)

    def interrupted(signum: int, _: object) -> None:
        raise Interrupted(signum)

    old = signal.signal(signal.SIGTERM, interrupted)
    stages.of()[0].before = cut
    try:
        work()
        pytest.fail("it was not interrupted")
    finally:
        signal.signal(signal.SIGTERM, old)

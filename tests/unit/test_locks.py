"""Locks of this machine: the second one waits, knows for whom, and never for a dead one."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from soundbite import locks
from soundbite.errors import Locked
from tests.conftest import ROOT, clean_environ
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOLDER = """
import sys
from pathlib import Path
from soundbite import locks
with locks.held(Path(sys.argv[1]), "bringing dev up", 30):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that holds a lock until it is told, or killed."""

    def __init__(self, path: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(path)],
            cwd=ROOT,
            env=clean_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def release(self) -> None:
        """Have it give the lock back in order."""
        self.process.communicate("", timeout=20)

    def kill(self) -> None:
        """SIGKILL it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    """Return the file of a lock, in a folder that is not there yet."""
    return tmp_path / "state" / "lock"


@pytest.fixture
def holder(lock: Path) -> Iterator[Holder]:
    """Return another process that holds the lock."""
    made = Holder(lock)
    yield made
    made.kill()


def test_a_free_lock_is_taken_without_a_word(lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locks.held(lock, "testing", 1):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_second_one_is_refused_after_the_wait_with_exit_code_4(holder: Holder, lock: Path) -> None:
    started = time.monotonic()
    with pytest.raises(Locked) as refused, locks.held(lock, "testing", 0.5):
        pass
    assert time.monotonic() - started >= 0.5
    assert refused.value.exit_code == 4
    assert f"bringing dev up, pid {holder.process.pid}, since " in refused.value.message
    assert refused.value.hint


def test_the_second_one_says_for_whom_and_how_long_it_waits(
    holder: Holder, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Locked), locks.held(lock, "testing", 0.2):
        pass
    said = capsys.readouterr().err
    assert f"waiting for another inv (bringing dev up, pid {holder.process.pid}, since " in said
    assert said.endswith("), at most 0 s …\n")


def test_the_second_one_goes_on_when_the_first_is_done(
    holder: Holder, lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    def second() -> None:
        with locks.held(lock, "testing", 30):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    said = ""

    def waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return "waiting for another inv" in said

    until(waiting, "the second one to wait", 20)
    order.append("first")
    holder.release()
    thread.join(20)
    assert order == ["first", "second"]


def test_a_killed_holder_leaves_the_lock_free(holder: Holder, lock: Path, capsys: pytest.CaptureFixture[str]) -> None:
    holder.kill()
    with locks.held(lock, "testing", 0):
        pass
    assert capsys.readouterr().err == ""


def test_a_block_that_fails_leaves_the_lock_free(lock: Path) -> None:
    with pytest.raises(ValueError, match="boom"), locks.held(lock, "testing", 0):
        raise ValueError("boom")
    with locks.held(lock, "testing", 0):
        pass


def test_two_threads_are_never_in_it_at_once(lock: Path) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        for _ in range(5):
            with locks.held(lock, "testing", 30):
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.005)
                inside.remove(number)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(most) == 20
    assert set(most) == {1}


def test_other_locks_are_not_waited_for(holder: Holder, lock: Path) -> None:
    with locks.held(lock.with_name("other"), "testing", 0):
        pass

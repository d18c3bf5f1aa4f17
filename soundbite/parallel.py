"""Independent work at once, which ends with the task: an interruption ends the commands of every thread."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from . import shell
from .errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@contextmanager
def workers(count: int) -> Iterator[Callable[[Callable[[], T]], Future[T]]]:
    """Give a function that starts a job in a thread; at the end of the block all jobs have ended.

    If the block is left by an exception, the commands that jobs are running are ended first, so that
    nobody waits for them.
    """
    pool = ThreadPoolExecutor(count)
    try:
        yield pool.submit
        pool.shutdown()
    except BaseException:
        with shell.all_ended():
            pool.shutdown(cancel_futures=True)
        raise


class Late(SoundbiteError):
    """A job was not done in time."""


class Asked(Generic[T]):
    """A job in a thread that nobody has to wait for: what hangs in it ends with the process.

    (The threads of concurrent.futures are joined at the end, daemons or not.)

    Parameters
    ----------
    what:
        What is asked, for the message of Late.
    thread:
        The thread's name.
    """

    def __init__(self, job: Callable[[], T], what: str, *, thread: str | None = None) -> None:
        self._job = job
        self._what = what
        self._begun = time.monotonic()
        self._done = threading.Event()
        self._found: list[T] = []
        self._failure: Exception | None = None
        threading.Thread(target=self._run, name=thread, daemon=True).start()

    def wait(self) -> None:
        """Wait until it ended, well or not; a signal's handler may raise meanwhile, and that ends the waiting."""
        self._done.wait()

    def result(self, until: float = 0.0) -> T:
        """Return what the job found, or raise what it raised.

        Parameters
        ----------
        until:
            How long to wait for it, by time.monotonic().

        Raises
        ------
        Late
            It is not done then.
        """
        if not self._done.wait(max(0.0, until - time.monotonic())):
            raise Late(f"no answer within {time.monotonic() - self._begun:.1f} s ({self._what})")
        if self._failure is not None:
            raise self._failure
        return self._found[0]

    def _run(self) -> None:
        try:
            self._found.append(self._job())
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever asks for the result gets it
            self._failure = error
        finally:
            self._done.set()

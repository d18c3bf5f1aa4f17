"""Independent work at once, which ends with the task: an interruption ends the commands of every thread."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from . import shell

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

"""Steps one after another, for as long as a connection lasts.

To start Python and load the agent is most of what a step takes, and is done once here. Each line of stdin is an order:
`verb`, `order`, and `timeout` in seconds; each line of stdout tells how it went: `code`, `out`, `err`. Each step is a
process of its own: it is ended at its deadline, it goes on where the connection is cut, and it leaves nothing behind in
the next one.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .failure import FAILED, TIMED_OUT

if TYPE_CHECKING:
    from collections.abc import Callable

    Do = Callable[[str, dict[str, Any]], int]

_IDLE = 1800.0
"""Seconds without an order until it ends by itself: a network that went says nothing."""
_GRACE = 5.0
"""Seconds after SIGTERM until SIGKILL."""


def serve(do: Do) -> int:
    """Do what each line of stdin asks for, until there are no more; return the exit code."""
    while select.select([sys.stdin], [], [], _IDLE)[0]:
        line = sys.stdin.readline()
        if not line:
            break
        asked = json.loads(line)
        told = _step(do, asked["verb"], asked["order"], float(asked["timeout"]))
        try:
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            os._exit(0)  # who asked is gone; what was done is done
    return 0


def _step(do: Do, verb: str, order: dict[str, Any], timeout: float) -> dict[str, Any]:
    out, err = os.memfd_create("out"), os.memfd_create("err")
    pid = os.fork()
    if pid == 0:
        _become(do, verb, order, out, err)
    with suppress(OSError):  # whoever is first of the two: the step's own processes are ended with it
        os.setpgid(pid, pid)
    code = _ended(pid, timeout)
    return {"code": code, "out": _content(out), "err": _content(err)}


def _become(do: Do, verb: str, order: dict[str, Any], out: int, err: int) -> None:
    code = FAILED
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(err, 2)
        code = do(verb, order)
    except BaseException:  # noqa: BLE001 - as an interpreter ends, whatever it is
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(pid: int, timeout: float) -> int:
    """Return the exit code of a step; one that is not done in time is ended, with all that it has started."""
    process = os.pidfd_open(pid)
    try:
        in_time = bool(select.select([process], [], [], timeout)[0])
        if not in_time:
            os.killpg(pid, signal.SIGTERM)
            if not select.select([process], [], [], _GRACE)[0]:
                os.killpg(pid, signal.SIGKILL)
    finally:
        os.close(process)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if in_time else TIMED_OUT


def _content(file: int) -> str:
    with open(file, encoding="utf-8", errors="replace") as stream:
        stream.seek(0)
        return stream.read()

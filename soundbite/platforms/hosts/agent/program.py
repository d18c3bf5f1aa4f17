"""The agent's command line: one verb, its order on stdin, its answer as the last line of stdout."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import joining, serving, steps
from .failure import FAILED, StepFailed
from .home import locked, token

if TYPE_CHECKING:
    from collections.abc import Callable

    Verb = Callable[[dict[str, Any]], dict[str, Any]]

_LOOKS: dict[str, Verb] = {"status": steps.status, "logs": steps.logs}
_STEPS: dict[str, Verb] = {
    "prepare": steps.prepare,
    "stage": steps.stage,
    "switch": steps.switch,
    "prove": steps.prove,
    "back": steps.back,
    "drain": steps.drain,
    "abandon": steps.abandon,
    "converge": steps.converge,
}


def main(arguments: list[str]) -> int:
    """Do one verb, or `serve`; return the exit code."""
    os.umask(0o077)
    verb = arguments[0] if arguments else ""
    if verb == "serve":
        return serving.serve(_answered)
    return _answered(verb, {} if verb == "boot" else json.loads(sys.stdin.read() or "{}"))


def _answered(verb: str, order: dict[str, Any]) -> int:
    """Do one verb and say how it went; return the exit code."""
    try:
        answer = _boot() if verb == "boot" else _done(verb, order)
    except StepFailed as failed:
        return _say({"error": str(failed)}, failed.code)
    except OSError as error:
        return _say({"error": f"{error.strerror}: {error.filename}" if error.filename else str(error)}, FAILED)
    return _say(answer, 0)


def _done(verb: str, order: dict[str, Any]) -> dict[str, Any]:
    if verb in _LOOKS:
        return _LOOKS[verb](order)
    if verb not in _STEPS:
        raise StepFailed(f"there is no verb {verb!r}")
    with locked(order):
        return _STEPS[verb](order)


def _boot() -> dict[str, Any]:
    """Bring back what served, which needs nobody; then what the ledger says, which needs AWS."""
    answer = _done("converge", {"token": token()})
    return joining.join(_done) or answer


def _say(answer: dict[str, Any], code: int) -> int:
    with suppress(BrokenPipeError):  # who asked is gone; what was done is done
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    return code

"""How a step fails: with a reason in words, and the exit code that the workflow reads."""

from __future__ import annotations

FAILED, BUSY, FENCED, TIMED_OUT = 1, 4, 9, 124
"""Exit codes beside 0; 9 is an order of somebody who no longer has the environment's lock, 124 is that of `timeout`."""


class StepFailed(Exception):
    """Why a step could not be done; `code` is what the program ends with."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code

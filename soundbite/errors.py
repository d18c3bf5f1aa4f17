"""The ways a task can end, each with its exit code.

Every message has three parts: what happened, to what, and what to do next.
"""

from __future__ import annotations


class SoundbiteError(Exception):
    """A failure that is explained in one message; the base of all of them.

    Parameters
    ----------
    message:
        What happened, and to what. May have several lines.
    hint:
        What to do next.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n→ {self.hint}" if self.hint else self.message


class ConfigurationError(SoundbiteError):
    """A wrong setting or a wrong argument of ours."""

    exit_code = 2


class Refused(SoundbiteError):
    """A gate said no; nothing was changed."""

    exit_code = 3


class Locked(SoundbiteError):
    """Somebody else is working on the same thing."""

    exit_code = 4


class WentBack(SoundbiteError):
    """It failed, and what served before serves again."""

    exit_code = 5


class Inconclusive(SoundbiteError):
    """It could not be measured, so it does not count as passed."""

    exit_code = 6


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived. No `Exception`, so that no handler of failures swallows it.

    Parameters
    ----------
    signum:
        The signal's number; the exit code is 128 + that number, as shells have it.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"interrupted by signal {signum}")
        self.exit_code = 128 + signum

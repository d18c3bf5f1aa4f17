"""Where this process runs, as records name it."""

from __future__ import annotations

import getpass
import os
import socket

_CI = (("GITHUB_RUN_ID", "GitHub run"), ("CI_JOB_URL", "CI job"), ("BUILD_URL", "build"))
"""Variables by which CI systems name what is running."""


def place() -> str:
    """Return where this process runs: a run of CI, or user and machine."""
    for variable, what in _CI:
        if os.environ.get(variable):
            return f"{what} {os.environ[variable]}"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}, pid {os.getpid()}"

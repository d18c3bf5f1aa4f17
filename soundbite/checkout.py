"""The checkout's commit, and whether its files are those of the commit."""

from __future__ import annotations

import subprocess

from . import paths

DIRTY = "-dirty"
"""What ends a revision whose files differ from the commit's."""

UNKNOWN = "unknown"


def revision() -> str:
    """Return the commit of the checkout, with `-dirty` behind it where it has changes; `unknown` without git."""
    described = _git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*")
    if described and not described.endswith(DIRTY) and _git("ls-files", "--others", "--exclude-standard"):
        return described + DIRTY  # describe does not look at files that git does not know yet
    return described or UNKNOWN


def branch() -> str:
    """Return the branch that is checked out; empty where there is none, as in most runs of CI."""
    return _git("symbolic-ref", "--short", "--quiet", "HEAD")


def is_clean(revision: str) -> bool:
    """Tell whether a revision names a commit and nothing more."""
    return revision != UNKNOWN and not revision.endswith(DIRTY)


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(paths.ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

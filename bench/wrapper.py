"""What ./scripts/inv adds to the Invoke that it hands over to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import pairs
from bench.table import Row, at_most
from soundbite import paths
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from bench.stand import Stand

_LIMIT = 50


def measure(stand: Stand) -> list[Row]:
    """Compare the wrapper with a direct call of what it calls.

    Raises
    ------
    SoundbiteError
        The wrapper would install first, which is not what is measured here.
    """
    lock, installed = paths.ROOT / "requirements.lock", paths.ROOT / ".venv" / "installed.lock"
    if not installed.exists() or lock.read_bytes() != installed.read_bytes():
        raise SoundbiteError("The wrapper would install requirements.", "Run ./scripts/inv --version once before.")
    direct = [str(paths.ROOT / ".venv" / "bin" / "python"), "-m", "invoke", "--version"]
    count = stand.times(41, quick=7)
    timed = pairs.alternate(direct, [str(paths.ROOT / "scripts" / "inv"), "--version"], count)
    added = [1000 * (wrapped - plain) for plain, wrapped in timed]
    return [at_most("`./scripts/inv` adds", _LIMIT, added, "ms", f"`--version`, {count} pairs")]

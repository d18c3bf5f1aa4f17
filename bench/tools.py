"""Ansible, pyinfra and the AWS CLI in a virtual environment of their own, made once of bench/requirements.lock."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from soundbite import console, locks, paths
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from pathlib import Path

_VENV = paths.ROOT / ".soundbite" / "cache" / "bench-venv"
_LOCK = paths.ROOT / "bench" / "requirements.lock"
_TIMEOUT = 600


def installed() -> Path:
    """Return the folder of their programs, after installing them where they are missing or were others.

    Raises
    ------
    SoundbiteError
        They cannot be installed.
    """
    stamp, programs = _VENV / "installed.lock", _VENV / "bin"
    with locks.held(_VENV.with_suffix(".lock"), "installing the tools to compare with", _TIMEOUT):
        if stamp.exists() and stamp.read_bytes() == _LOCK.read_bytes():
            return programs
        with console.step("the tools to compare with, once"):
            shutil.rmtree(_VENV, ignore_errors=True)
            pip = [str(programs / "python"), "-m", "pip", "install", "--quiet", "--no-input", "--require-hashes"]
            for argv in ([sys.executable, "-m", "venv", str(_VENV)], [*pip, "-r", str(_LOCK)]):
                _run(argv)
            stamp.write_bytes(_LOCK.read_bytes())
    return programs


def _run(argv: list[str]) -> None:
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise SoundbiteError(f"the tools to compare with were not installed within {_TIMEOUT} s.") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise SoundbiteError(f"the tools to compare with cannot be installed: {said}")

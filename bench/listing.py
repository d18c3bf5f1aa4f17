"""What our tasks cost before they do anything: `inv --list` and `inv envs.list` beside bare Invoke."""

from __future__ import annotations

import sys
from statistics import median
from typing import TYPE_CHECKING

from bench import bare, pairs
from bench.table import Row, at_most
from soundbite import paths
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from pathlib import Path

    from bench.stand import Stand

_LIMIT = 1.15


def measure(stand: Stand) -> list[Row]:
    """Compare listing the tasks, and running one that only reads, with the same tree of empty tasks.

    Raises
    ------
    SoundbiteError
        The generated tree is not the same as ours: then there is nothing to compare.
    """
    with bare.tree() as root:
        if pairs.output(_inv(root, "--list")) != pairs.output(_inv(paths.ROOT, "--list")):
            raise SoundbiteError("The bare tree lists other tasks than ours.", "bench/bare.py makes it.")
        return [_compare(argument, root, stand.times(41, quick=7)) for argument in ("--list", "envs.list")]


def _compare(argument: str, bare_root: Path, count: int) -> Row:
    timed = pairs.alternate(_inv(bare_root, argument), _inv(paths.ROOT, argument), count)
    theirs, ours = (1000 * median(times) for times in zip(*timed, strict=True))
    how = f"{ours:.0f} ms, {bare.count()} empty tasks {theirs:.0f} ms; {count} pairs"
    return at_most(f"`inv {argument}` / bare Invoke", _LIMIT, [own / empty for empty, own in timed], "x", how)


def _inv(root: Path, argument: str) -> list[str]:
    return [sys.executable, "-m", "invoke", "--search-root", str(root), argument]

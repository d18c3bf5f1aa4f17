"""docs/validation.md against the faults that tests seed."""

from __future__ import annotations

import re

from soundbite import paths
from soundbite.checks import load_modules
from soundbite.checks.model import REGISTRY
from tests.containers import breaking
from tests.integration import faults

TEXT = (paths.ROOT / "docs" / "validation.md").read_text(encoding="utf-8")

Row = tuple[str, frozenset[str], str]
"""A fault, the checks that catch it, and how they end."""


def told(heading: str) -> set[Row]:
    """Return the rows of the table with a heading."""
    lines = TEXT.partition(f"| {heading} | caught by |\n|---|---|\n")[2].splitlines()
    found: set[Row] = set()
    for line in lines:
        if not line.startswith("|"):
            break
        name, caught = (each.strip() for each in line.strip("|").split("|"))
        ends = re.search(r"\((warn|inconclusive)", caught)
        found.add((name, frozenset(re.findall(r"`([^`]+)`", caught)), ends[1] if ends else "fail"))
    assert len(found) > 0
    return found


def test_the_local_faults_are_told_as_they_are_seeded() -> None:
    seeded = {(name, frozenset({each.check}), each.outcome) for name, each in faults.FAULTS.items()}
    assert told("fault") == seeded
    assert len(seeded) >= 30


def test_the_faults_on_hosts_are_told_as_they_are_seeded() -> None:
    seeded = {(name, frozenset(each.caught), each.outcome) for name, each in breaking.FAULTS.items()}
    assert told("fault on hosts") == seeded


def test_what_catches_a_fault_is_a_check() -> None:
    load_modules(["app.checks"])
    for heading in ("fault", "fault on hosts"):
        assert set[str]().union(*(checks for _, checks, _ in told(heading))) <= REGISTRY.checks.keys()


def test_every_group_is_told() -> None:
    load_modules(["app.checks"])
    groups = {each.group for each in REGISTRY.checks.values()}
    assert not [group for group in groups if f"| `{group}` |" not in TEXT]

"""docs/validation.md against the faults that tests seed."""

from __future__ import annotations

from soundbite import paths
from soundbite.checks import load_modules
from soundbite.checks.model import REGISTRY
from tests.containers import breaking
from tests.integration import faults

TEXT = (paths.ROOT / "docs" / "validation.md").read_text(encoding="utf-8")


def test_every_seeded_fault_is_told_with_what_catches_it() -> None:
    local = [f"| {name} | `{fault.check}`" for name, fault in faults.FAULTS.items()]
    on_hosts = [f"| {name} | `{fault.caught[0]}`" for name, fault in breaking.FAULTS.items()]
    missing = [row for row in local + on_hosts if row not in TEXT]
    assert not missing
    assert len(local) + len(on_hosts) >= 30


def test_every_group_is_told() -> None:
    load_modules(["app.checks"])
    groups = {each.group for each in REGISTRY.checks.values()}
    assert not [group for group in groups if f"| `{group}` |" not in TEXT]

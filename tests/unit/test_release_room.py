"""Checks of what runs on hosts, where no test can make it real: nobody fills a whole disk of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import environment
from soundbite.checks import Outcome, Scene, load_modules, release
from soundbite.checks.model import REGISTRY
from soundbite.checks.running import judge
from soundbite.cloud import Cloud

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

GIB = 2**30


def room(monkeypatch: pytest.MonkeyPatch, folder: Path, **free: float) -> tuple[Outcome, str]:
    """Return what is said of hosts with so many GiB free."""
    load_modules([])
    statuses = {name: {"free": int(size * GIB)} for name, size in free.items()}
    monkeypatch.setattr(release, "_statuses", lambda _: statuses)
    loaded = environment.load("staging")
    verdict = judge(REGISTRY.checks["release.room"], Scene(loaded, Cloud(loaded), folder))
    return verdict.outcome, verdict.message


def test_hosts_without_room_for_the_next_image_are_named_and_no_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert room(monkeypatch, tmp_path, a=1.5, b=9, c=0) == (Outcome.WARN, "a 1.5 GiB free, c 0.0 GiB free")
    assert room(monkeypatch, tmp_path, a=2.5, b=9) == (Outcome.PASS, "a 2.5 GiB free, b 9.0 GiB free")

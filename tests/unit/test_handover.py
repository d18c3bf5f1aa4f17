"""What tells compose that a secret's file is another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from soundbite.platforms import credentials, handover

if TYPE_CHECKING:
    from pathlib import Path


def test_a_container_is_another_when_a_secrets_file_is_and_only_then(tmp_path: Path) -> None:
    path = credentials.keep(tmp_path / "secrets" / "TOKEN", "before")
    os.utime(path, ns=(1, 1))
    before = handover.label({"TOKEN": path})
    credentials.keep(path, "before")
    assert handover.label({"TOKEN": path}) == before
    credentials.keep(path, "after")
    after = handover.label({"TOKEN": path})
    assert after != before
    assert "after" not in str(after)


def test_without_secrets_there_is_no_label() -> None:
    assert handover.label({}) == {}

"""The documentation names only what is there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Inv

if TYPE_CHECKING:
    from pathlib import Path


def test_the_documentation_names_only_what_is_there(inv: Inv) -> None:
    done = inv("docs.check")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("Run `inv dev.locallstack`.", "there is no task dev.locallstack"),
        ("    ./scripts/inv depoly", "there is no task depoly"),
        ("`inv dev.status|lgos`", "there is no task dev.lgos"),
        ("`inv dev.smoke --loud`", "dev.smoke has no flag --loud"),
        ("Set `APP_PROT` first.", "there is no key APP_PROT"),
    ],
)
def test_what_is_not_there_is_found_with_its_line(project: Path, line: str, says: str) -> None:
    (project / "docs").unlink()
    shutil.copytree(ROOT / "docs", project / "docs")
    (project / "docs" / "extra.md").write_text(f"# Extra\n\n{line}\n", encoding="utf-8")
    done = Inv(project)("docs.check")
    assert done.returncode == 1
    assert f"docs/extra.md:3: {says}" in done.stdout


def test_a_stale_page_is_found_and_written_anew(project: Path) -> None:
    (project / "docs").unlink()
    shutil.copytree(ROOT / "docs", project / "docs")
    page = project / "docs" / "commands.md"
    right = page.read_text(encoding="utf-8")
    page.write_text("old", encoding="utf-8")
    assert Inv(project)("docs.check").returncode == 1
    assert Inv(project)("docs.check", "--fix").returncode == 0
    assert page.read_text(encoding="utf-8") == right

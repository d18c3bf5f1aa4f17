"""The cdk program, started with what V8 compiled of it: it is the same, and its cache may be anything."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from soundbite import node, paths

if TYPE_CHECKING:
    from pathlib import Path


def started(folder: Path, *arguments: str, by: str = "start.cjs") -> tuple[int, str, str]:
    """Start the program; return its exit code and what it said."""
    done = subprocess.run(
        [node.choose().program, str(paths.CDK / by), *arguments],
        env={"PATH": node.path_variable(), "CDK_CODE": str(folder), "HOME": str(folder), "NO_COLOR": "1", "CI": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_it_is_the_program_first_and_again_and_with_a_broken_cache(tmp_path: Path) -> None:
    wanted = started(tmp_path / "none", "--version", by="node_modules/aws-cdk/bin/cdk")
    assert wanted[0] == 0
    code = tmp_path / "code"
    code.mkdir()
    (code / "of-another-version").write_text("old")
    assert started(code, "--version") == wanted
    (kept,) = code.iterdir()
    before = kept.stat()
    assert before.st_size > 5 * 2**20  # with what was compiled as it ran, not only what was before
    assert started(code, "--version") == wanted
    assert kept.stat().st_mtime_ns == before.st_mtime_ns
    refused = started(code, "nonsense")
    assert refused[0] == 1
    assert "Unknown command: nonsense" in refused[2]
    kept.write_bytes(b"nonsense, too")
    assert started(code, "--version") == wanted
    assert kept.stat().st_size > 5 * 2**20


def test_one_that_cannot_be_written_costs_time_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    code, said, _ = started(tmp_path / "file", "--version")
    assert (code, said.startswith("2.")) == (0, True)
    assert (tmp_path / "file").read_text() == "no folder"

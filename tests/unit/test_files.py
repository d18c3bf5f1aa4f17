"""Files are written whole or not at all, and a digest changes with what is in them and nothing else."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundbite import files
from tests.conftest import ROOT, clean_environ
from tests.integration.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = 20
SIZE = 400_000

_WRITER = f"""
import sys
from pathlib import Path
from soundbite import files
while True:
    for letter in "ab":
        files.write(Path(sys.argv[1]), letter * {SIZE})
"""


def test_a_writer_killed_at_any_moment_leaves_one_of_both_texts_whole(tmp_path: Path) -> None:
    chance = random.Random(4711)  # noqa: S311 - moments of a test
    path = tmp_path / "text"
    whole = {"a" * SIZE, "b" * SIZE}
    for number in range(ROUNDS):
        path.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(path)], cwd=ROOT, env=clean_environ())
        try:
            until(path.exists, "the first text", 20)
            end = time.monotonic() + chance.uniform(0, 0.08)
            while time.monotonic() < end:
                assert path.read_text(encoding="utf-8") in whole, f"while writing, round {number}"
        finally:
            writer.kill()
            writer.wait()
        assert path.read_text(encoding="utf-8") in whole, f"after round {number}"
        files.write(path, "the next one writes")
        assert path.read_text(encoding="utf-8") == "the next one writes"


def test_the_folder_is_made(tmp_path: Path) -> None:
    files.write(tmp_path / "a" / "b" / "text", "here")
    assert (tmp_path / "a" / "b" / "text").read_text(encoding="utf-8") == "here"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    before = os.umask(0o077)
    try:
        files.write(tmp_path / "text", "here", mode)
    finally:
        os.umask(before)
    assert (tmp_path / "text").stat().st_mode & 0o777 == mode


def test_another_mode_alone_is_written_too(tmp_path: Path) -> None:
    files.write(tmp_path / "text", "here", 0o644)
    files.write(tmp_path / "text", "here", 0o600)
    assert (tmp_path / "text").stat().st_mode & 0o777 == 0o600


def test_the_same_text_leaves_the_file_alone(tmp_path: Path) -> None:
    files.write(tmp_path / "text", "here")
    before = (tmp_path / "text").stat()
    files.write(tmp_path / "text", "here")
    after = (tmp_path / "text").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_a_file_that_is_no_text_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"\xff\xfe\x00")
    files.write(tmp_path / "text", "here")
    assert (tmp_path / "text").read_text(encoding="utf-8") == "here"


_FULL = """
import resource, sys
from pathlib import Path
from soundbite import files
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write(Path(sys.argv[1]), "new" * 10_000)
except OSError as error:
    sys.exit(f"failed: {error.strerror}")
"""


def test_a_text_that_does_not_fit_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("old", encoding="utf-8")
    argv = [sys.executable, "-B", "-c", _FULL, str(tmp_path / "text")]
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env=clean_environ() | {"COVERAGE_PROCESS_CONFIG": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "failed: File too large\n"
    assert (tmp_path / "text").read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "text"]


def test_a_text_that_is_not_utf_8_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("old", encoding="utf-8")
    with pytest.raises(UnicodeEncodeError):
        files.write(tmp_path / "text", "\ud800")
    assert (tmp_path / "text").read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "text"]


@given(st.text(st.characters(codec="utf-8", blacklist_characters="\r")))
def test_any_text_is_read_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    files.write(path, text)
    assert path.read_text(encoding="utf-8") == text


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with a few files."""
    for name in ("src/main.ts", "src/deep/clip.ts", "package.json", "notes.md"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, encoding="utf-8")
    return tmp_path / "tree"


GLOBS = ["src", "*.json"]


def test_a_digest_changes_with_a_file_s_content(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "src" / "deep" / "clip.ts").write_text("changed", encoding="utf-8")
    assert files.digest(tree, GLOBS) != before


def test_a_digest_changes_with_a_file_s_name(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "src" / "main.ts").rename(tree / "src" / "other.ts")
    assert files.digest(tree, GLOBS) != before


def test_a_digest_changes_when_a_file_moves_to_another_folder(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "src" / "main.ts").rename(tree / "src" / "deep" / "main.ts")
    assert files.digest(tree, GLOBS) != before


def test_a_digest_changes_when_a_file_goes(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "package.json").unlink()
    assert files.digest(tree, GLOBS) != before


def test_a_digest_changes_when_a_file_comes(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "src" / "new.ts").touch()
    assert files.digest(tree, GLOBS) != before


def test_a_digest_changes_when_two_files_swap_their_contents(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "src" / "main.ts").write_text("src/deep/clip.ts", encoding="utf-8")
    (tree / "src" / "deep" / "clip.ts").write_text("src/main.ts", encoding="utf-8")
    assert files.digest(tree, GLOBS) != before


def test_a_digest_changes_with_more(tree: Path) -> None:
    assert len({files.digest(tree, GLOBS, *more) for more in ((), ("",), ("a",), ("a", "b"), ("ab",))}) == 5


def test_a_digest_does_not_change_with_the_time_of_a_file(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    os.utime(tree / "src" / "main.ts", (1, 1))
    assert files.digest(tree, GLOBS) == before


def test_a_digest_does_not_change_with_a_file_that_no_glob_names(tree: Path) -> None:
    before = files.digest(tree, GLOBS)
    (tree / "notes.md").write_text("changed", encoding="utf-8")
    assert files.digest(tree, GLOBS) == before


@pytest.mark.parametrize("ignored", ["node_modules", "__pycache__", ".git", "src/node_modules"])
def test_a_digest_does_not_change_with_what_others_made(tree: Path, ignored: str) -> None:
    before = files.digest(tree, ["*", "src"])
    (tree / ignored / "package").mkdir(parents=True)
    (tree / ignored / "package" / "index.js").touch()
    assert files.digest(tree, ["*", "src"]) == before


def test_a_digest_does_not_change_with_the_order_or_the_overlap_of_globs(tree: Path) -> None:
    assert files.digest(tree, ["*.json", "src", "src/*.ts"]) == files.digest(tree, GLOBS)


def test_a_digest_does_not_depend_on_where_the_folder_is(tree: Path, tmp_path: Path) -> None:
    before = files.digest(tree, GLOBS)
    tree.rename(tmp_path / "elsewhere")
    assert files.digest(tmp_path / "elsewhere", GLOBS) == before


def test_a_folder_that_is_named_means_everything_in_it(tree: Path) -> None:
    assert files.matching(tree, ["src"]) == [tree / "src" / "deep" / "clip.ts", tree / "src" / "main.ts"]

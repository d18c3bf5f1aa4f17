"""Work is done once for each content of its inputs, by one at a time, and again after a failure."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from soundbite import paths
from soundbite.application import Work
from soundbite.shell import CommandFailed
from tests.conftest import ROOT, clean_environ

if TYPE_CHECKING:
    from pathlib import Path

"""Until shell.run() closes its pipes, see test_shell.py."""

# Adds a line to `runs`, and makes `out/main` of `src/main`; fails, after writing, where there is a file `broken`.
BUILD = """
import pathlib, sys, time
with open("runs", "a") as runs:
    runs.write("ran\\n")
time.sleep(0.2)
text = pathlib.Path("src/main").read_text()
pathlib.Path("out").mkdir(exist_ok=True)
pathlib.Path("out/main").write_text(text.upper())
print("built", text)
if pathlib.Path("broken").exists():
    sys.exit("it is broken")
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    """Return a build in a folder of its own; the stamps are in another."""
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    folder = tmp_path / "app"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main").write_text("one", encoding="utf-8")
    return Work("build", folder, [sys.executable, "-c", BUILD], ["src"], ["out"], 60)


def runs(work: Work) -> int:
    """Return how often the command ran."""
    path = work.folder / "runs"
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def test_it_runs_the_first_time(work: Work) -> None:
    assert work.needed()
    assert work.ensure() is True
    assert (work.folder / "out" / "main").read_text(encoding="utf-8") == "ONE"


def test_it_does_not_run_again_for_the_same_content(work: Work) -> None:
    work.ensure()
    assert not work.needed()
    assert work.ensure() is False
    assert runs(work) == 1


def test_a_file_written_again_with_the_same_content_is_no_change(work: Work) -> None:
    work.ensure()
    (work.folder / "src" / "main").unlink()
    (work.folder / "src" / "main").write_text("one", encoding="utf-8")
    assert work.ensure() is False


def test_it_runs_again_when_an_input_changes(work: Work) -> None:
    work.ensure()
    (work.folder / "src" / "main").write_text("two", encoding="utf-8")
    assert work.ensure() is True
    assert (work.folder / "out" / "main").read_text(encoding="utf-8") == "TWO"


def test_it_runs_again_when_an_input_goes_back(work: Work) -> None:
    for text in ("one", "two", "one"):
        (work.folder / "src" / "main").write_text(text, encoding="utf-8")
        work.ensure()
    assert (work.folder / "out" / "main").read_text(encoding="utf-8") == "ONE"


def test_it_runs_again_when_an_input_comes(work: Work) -> None:
    work.ensure()
    (work.folder / "src" / "more").touch()
    assert work.ensure() is True


def test_it_runs_again_when_the_output_is_missing(work: Work) -> None:
    work.ensure()
    (work.folder / "out" / "main").unlink()
    (work.folder / "out").rmdir()
    assert work.ensure() is True
    assert (work.folder / "out" / "main").exists()


def test_it_runs_again_when_one_of_several_outputs_is_missing(work: Work) -> None:
    several = replace(work, outputs=["out/main", "runs"])
    several.ensure()
    (several.folder / "runs").unlink()
    assert several.needed()


def test_it_runs_again_when_the_command_changes(work: Work) -> None:
    work.ensure()
    other = replace(work, command=[*work.command, "--faster"])
    assert other.ensure() is True
    assert work.needed()


def test_what_is_no_input_does_not_make_it_run(work: Work) -> None:
    work.ensure()
    (work.folder / "notes").write_text("changed", encoding="utf-8")
    assert work.ensure() is False


def test_the_same_work_in_another_folder_is_other_work(work: Work, tmp_path: Path) -> None:
    work.ensure()
    work.folder.rename(tmp_path / "elsewhere")
    assert replace(work, folder=tmp_path / "elsewhere").needed()


def test_a_failure_shows_the_command_and_its_words(work: Work) -> None:
    (work.folder / "broken").touch()
    with pytest.raises(CommandFailed, match="it is broken"):
        work.ensure()


def test_a_failure_leaves_no_stamp_and_the_next_call_tries_again(work: Work) -> None:
    (work.folder / "broken").touch()
    with pytest.raises(CommandFailed):
        work.ensure()
    assert not work.stamp.exists()
    assert work.needed()
    (work.folder / "broken").unlink()
    assert work.ensure() is True


def test_a_failure_after_a_success_leaves_no_stamp_of_the_success(work: Work) -> None:
    work.ensure()
    (work.folder / "src" / "main").write_text("two", encoding="utf-8")
    (work.folder / "broken").touch()
    with pytest.raises(CommandFailed):
        work.ensure()
    (work.folder / "src" / "main").write_text("one", encoding="utf-8")
    assert work.needed()


def test_an_input_that_changes_during_the_work_makes_it_run_again(work: Work) -> None:
    changes = replace(work, command=["sh", "-c", "echo two > src/main; mkdir -p out"])
    assert changes.ensure() is True
    assert changes.needed()


def test_its_output_is_told_line_by_line(work: Work) -> None:
    lines: list[str] = []
    work.ensure(lines.append)
    assert lines == ["built one"]


def test_two_threads_at_once_do_it_once(work: Work) -> None:
    together = threading.Barrier(2)

    def ensure() -> bool:
        together.wait(20)
        return work.ensure()

    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(ensure) for _ in range(2)]
        assert sorted(each.result(60) for each in done) == [False, True]
    assert runs(work) == 1


_PROCESS = """
import sys
from pathlib import Path
from soundbite import paths
from soundbite.application import Work
cache, folder, command = sys.argv[1:]
paths.CACHE = Path(cache)
work = Work("build", Path(folder), [sys.executable, "-c", command], ["src"], ["out"], 60)
print("needed", work.needed(), flush=True)
sys.stdin.readline()
print("done", work.ensure())
"""


def test_three_processes_at_once_do_it_once(work: Work) -> None:
    argv = [sys.executable, "-c", _PROCESS, str(paths.CACHE), str(work.folder), BUILD]
    started = [
        subprocess.Popen(argv, cwd=ROOT, env=clean_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    try:
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "needed True\n"
        for each in started:
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        said = sorted(each.communicate(timeout=60)[0] for each in started)
    finally:
        for each in started:
            each.kill()
            each.communicate()
    assert said == ["done False\n", "done False\n", "done True\n"]
    assert runs(work) == 1

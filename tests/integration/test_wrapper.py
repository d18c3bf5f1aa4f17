"""scripts/inv: from a fresh clone to a task, with nothing but Python; interrupted, killed, offline, twice at once."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.conftest import ROOT, free_ports
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

TASKS = """
from invoke import Exit, task

@task
def hello(context):
    print("hello from", __file__)

@task
def fail(context):
    raise Exit(code=7)
"""

FIRST = "inv: first run, or new requirements: installing 1 packages into .venv (about a minute) …"


@dataclass
class Checkout:
    """A checkout with the wrapper, a task, and a lock file that has Invoke alone in it."""

    root: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def lock(self) -> Path:
        """The lock file."""
        return self.root / "requirements.lock"

    @property
    def venv(self) -> Path:
        """Where it installs to."""
        return self.root / ".venv"

    @property
    def stamp(self) -> Path:
        """What says that everything was installed."""
        return self.venv / "installed.lock"

    def start(
        self,
        *arguments: str,
        program: Path | None = None,
        cwd: str = "/",
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the wrapper as a shell does: in a process group of its own."""
        # pip needs what this machine sets for it, so the process's own variables stay.
        process = subprocess.Popen(
            [str(program or self.root / "scripts" / "inv"), *arguments],
            env={**os.environ, **(variables or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(
        self,
        *arguments: str,
        program: Path | None = None,
        cwd: str = "/",
        variables: Mapping[str, str] | None = None,
    ) -> tuple[int, str, str]:
        """Run the wrapper to its end; return exit code, output and errors."""
        return finish(self.start(*arguments, program=program, cwd=cwd, variables=variables))

    def living(self) -> list[psutil.Process]:
        """Return the processes that have this checkout on their command line."""
        found = []
        for process in psutil.process_iter():
            try:
                here = any(str(self.root) in each for each in process.cmdline())
                if here and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def bootstrapping(self) -> list[psutil.Process]:
        """Return the processes of scripts/bootstrap.py that run, without children that are not yet what they become."""
        found = {}
        for process in self.living():
            with suppress(psutil.NoSuchProcess):
                if str(self.root / "scripts" / "bootstrap.py") in process.cmdline():
                    found[process] = process.ppid()
        return [process for process, parent in found.items() if parent not in {each.pid for each in found}]

    def installing(self) -> bool:
        """Tell whether a pip of its own is at work, which takes seconds."""
        for process in self.living():
            with suppress(psutil.NoSuchProcess):
                if "--require-hashes" in process.cmdline():
                    return True
        return False

    def close(self) -> None:
        """End what was started here."""
        while living := self.living():
            for each in living:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
        for process in self.started:
            process.kill()
            process.communicate()


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the wrapper's end; return exit code, output and errors."""
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def until_said(process: subprocess.Popen[str], text: str) -> str:
    """Read what the wrapper says until a line with a text in it, and return that line."""
    assert process.stderr is not None
    return next((line for line in process.stderr if text in line), "")


def fill(root: Path) -> Checkout:
    """Copy what is needed of the project to a folder."""
    root.mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "tasks.py").write_text(TASKS, encoding="utf-8")
    real = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    wanted = re.search(r"^invoke==.*\n(?:    --hash=.*\n)+", real, re.MULTILINE)
    assert wanted is not None
    (root / "requirements.lock").write_text(wanted[0], encoding="utf-8")
    return Checkout(root)


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Checkout]:
    """Return a fresh checkout."""
    made = fill(tmp_path / "checkout")
    yield made
    made.close()


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Checkout, tuple[int, str, str]]]:
    """Return a checkout after its first run, and how that went."""
    made = fill(tmp_path_factory.mktemp("first") / "check out")
    try:
        yield made, made.run("hello")
    finally:
        made.close()


@pytest.fixture
def installed(first: tuple[Checkout, tuple[int, str, str]]) -> Checkout:
    """Return a checkout in which everything is installed, for tests that leave it as it is."""
    checkout, (code, _, errors) = first
    assert code == 0, errors
    return checkout


@pytest.fixture
def copy(installed: Checkout, tmp_path: Path) -> Iterator[Checkout]:
    """Return a copy of the installed checkout to change."""
    shutil.copytree(installed.root, tmp_path / "copy", symlinks=True)
    made = Checkout(tmp_path / "copy")
    yield made
    made.close()


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """Return variables with which pip reaches nothing."""
    (port,) = free_ports(1)
    away = f"http://127.0.0.1:{port}"
    variables = dict.fromkeys(("PIP_INDEX_URL", "HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), away)
    none = dict.fromkeys(("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "NO_PROXY", "no_proxy"), "")
    return variables | none | {"PIP_CONFIG_FILE": os.devnull, "PIP_RETRIES": "0", "PIP_CACHE_DIR": str(tmp_path / "c")}


def test_the_first_run_says_that_it_installs_and_runs_the_task(first: tuple[Checkout, tuple[int, str, str]]) -> None:
    checkout, (code, output, errors) = first
    assert code == 0, errors
    assert output == f"hello from {checkout.root / 'tasks.py'}\n"
    assert errors.splitlines()[0] == FIRST
    assert re.fullmatch(r"inv: installed in \d+ s", errors.splitlines()[-1])


def test_the_stamp_is_the_lock(installed: Checkout) -> None:
    assert installed.stamp.read_bytes() == installed.lock.read_bytes()


def test_the_second_run_installs_nothing_and_says_nothing(installed: Checkout) -> None:
    before = installed.stamp.stat().st_mtime_ns
    code, output, errors = installed.run("hello")
    assert (code, output.partition(" ")[0], errors) == (0, "hello", "")
    assert installed.stamp.stat().st_mtime_ns == before


def test_the_exit_code_of_the_task_is_passed_through(installed: Checkout) -> None:
    assert installed.run("fail") == (7, "", "")


def test_arguments_are_passed_through(installed: Checkout) -> None:
    code, output, _ = installed.run("--list")
    assert code == 0
    assert "fail" in output


@pytest.mark.parametrize("cwd", ["/", "scripts"])
def test_it_works_from_any_folder(installed: Checkout, cwd: str) -> None:
    code, output, errors = installed.run("hello", cwd=str(installed.root / cwd))
    assert (code, errors) == (0, "")
    assert str(installed.root) in output


def test_it_works_by_a_relative_path(installed: Checkout) -> None:
    assert installed.run("hello", program=Path("scripts/inv"), cwd=str(installed.root))[0] == 0


def test_it_works_through_a_symlink_to_a_symlink(installed: Checkout, tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(installed.root / "scripts" / "inv")
    (tmp_path / "inv").symlink_to("one")
    code, output, errors = installed.run("hello", program=tmp_path / "inv", cwd=str(tmp_path))
    assert (code, errors) == (0, "")
    assert str(installed.root) in output


def test_it_works_with_a_cdpath(installed: Checkout) -> None:
    variables = {"CDPATH": str(installed.root)}
    assert installed.run("hello", program=Path("scripts/inv"), cwd=str(installed.root), variables=variables)[0] == 0


def test_it_works_offline_when_everything_is_there(installed: Checkout, offline: dict[str, str]) -> None:
    code, _, errors = installed.run("hello", variables=offline)
    assert (code, errors) == (0, "")


def test_a_first_run_offline_is_refused_with_what_to_do(fresh: Checkout, offline: dict[str, str]) -> None:
    code, _, errors = fresh.run("hello", variables=offline)
    assert code == 1
    assert "'pip install' ended with exit code 1; its output is in " in errors
    assert "→ Is the network there, and 1 GB free? Run the same command again: it starts afresh." in errors
    assert not fresh.stamp.exists()


def test_a_changed_lock_installs_anew(copy: Checkout) -> None:
    with copy.lock.open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    (copy.venv / "left-over").touch()
    code, _, errors = copy.run("hello")
    assert code == 0, errors
    assert FIRST in errors
    assert copy.stamp.read_bytes() == copy.lock.read_bytes()
    assert not (copy.venv / "left-over").exists()


def test_a_venv_whose_python_is_gone_is_installed_anew(copy: Checkout) -> None:
    (copy.venv / "bin" / "python").unlink()
    assert until_said(copy.start("hello"), "inv: ") == f"{FIRST}\n"


@pytest.mark.parametrize("bundled", [True, False])
def test_the_first_pip_is_the_one_in_a_wheel_beside_python_or_else_from_venv(
    fresh: Checkout, tmp_path: Path, bundled: bool
) -> None:
    # Where wheels lie is for whoever builds a Python to choose.
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    if bundled:
        with zipfile.ZipFile(wheels / "pip-23.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("pip/__main__.py", "import sys; sys.exit('I am the one of the wheel')")
    chosen = f"import sysconfig; sysconfig.get_config_vars()['WHEEL_PKG_DIR'] = {str(wheels)!r}"
    (tmp_path / "sitecustomize.py").write_text(chosen, encoding="utf-8")
    code, _, errors = fresh.run("hello", variables={"PYTHONPATH": str(tmp_path)})
    assert code == int(bundled), errors
    assert ("I am the one of the wheel" in errors) == bundled
    assert (fresh.venv / "bin" / "pip").exists() != bundled


def test_two_first_runs_at_once_install_once(fresh: Checkout) -> None:
    both = [fresh.start("hello") for _ in range(2)]
    ends = [finish(each) for each in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    said = "".join(errors for _, _, errors in ends)
    assert said.count(FIRST) == 1
    assert said.count("inv: another inv is installing; waiting for it …") == 1


def _in_the_middle(checkout: Checkout) -> subprocess.Popen[str]:
    """Return a first run whose pip is at work."""
    process = checkout.start("hello")
    until(checkout.installing, "pip to be at work", 20)
    assert not checkout.stamp.exists()
    return process


def test_after_a_sigkill_of_everything_the_next_run_repairs(fresh: Checkout) -> None:
    process = _in_the_middle(fresh)
    fresh.close()
    assert process.returncode != 0
    code, _, errors = fresh.run("hello")
    assert code == 0, errors
    assert FIRST in errors


def test_after_a_sigkill_of_the_bootstrap_alone_nothing_of_it_works_beside_the_next_run(fresh: Checkout) -> None:
    process = _in_the_middle(fresh)
    for each in fresh.bootstrapping():
        each.kill()
    process.wait(20)
    orphans = [each.pid for each in fresh.living()]
    assert orphans
    # As soon as the next run begins to make its own .venv, nothing else may write there.
    assert until_said(fresh.start("hello"), FIRST)
    left = [pid for pid in orphans if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]
    assert left == []


def test_sigterm_to_the_bootstrap_ends_the_run_with_143(fresh: Checkout) -> None:
    process = _in_the_middle(fresh)
    (bootstrap,) = fresh.bootstrapping()
    bootstrap.terminate()
    code, output, errors = finish(process)
    assert (code, output) == (143, "")
    assert "inv: interrupted; the next run starts afresh" in errors
    assert fresh.living() == []
    assert not fresh.stamp.exists()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_to_the_wrapper_ends_the_installation(fresh: Checkout, signum: signal.Signals, code: int) -> None:
    process = _in_the_middle(fresh)
    process.send_signal(signum)
    # In a shell, an end by the signal itself is the same code.
    assert process.wait(20) in {code, -signum}
    assert fresh.living() == []
    assert not fresh.stamp.exists()


def test_after_ctrl_c_at_a_terminal_nothing_is_left_and_the_next_run_works(fresh: Checkout) -> None:
    process = _in_the_middle(fresh)
    os.killpg(process.pid, signal.SIGINT)
    code, output, _ = finish(process)
    assert code in {130, -signal.SIGINT}
    assert output == ""
    assert fresh.living() == []
    code, _, errors = fresh.run("hello")
    assert code == 0, errors


def test_a_wrong_hash_is_refused_and_a_mended_lock_works(fresh: Checkout) -> None:
    good = fresh.lock.read_text(encoding="utf-8")
    fresh.lock.write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", good), encoding="utf-8")
    code, output, errors = fresh.run("hello")
    assert (code, output) == (1, "")
    assert "THESE PACKAGES DO NOT MATCH THE HASHES" in errors
    assert f"'pip install' ended with exit code 1; its output is in {fresh.root}/.soundbite/logs/install.log" in errors
    assert "Traceback" not in errors
    assert not fresh.stamp.exists()
    fresh.lock.write_text(good, encoding="utf-8")
    code, _, errors = fresh.run("hello")
    assert code == 0, errors


def _path_without_python(folder: Path, *more: Callable[[Path], None]) -> str:
    folder.mkdir()
    for tool in ("sh", "dirname", "readlink", "cmp"):
        found = shutil.which(tool)
        assert found is not None
        (folder / tool).symlink_to(found)
    for each in more:
        each(folder)
    return str(folder)


def _old_python(folder: Path) -> None:
    # What an older Python answers to the question of its version.
    for name in ("python3", "python3.12"):
        (folder / name).write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        (folder / name).chmod(0o755)


@pytest.mark.parametrize("old", [False, True])
def test_without_a_python_that_is_new_enough_it_says_what_to_do(fresh: Checkout, tmp_path: Path, old: bool) -> None:
    path = _path_without_python(tmp_path / "bin", *([_old_python] if old else []))
    code, output, errors = fresh.run("hello", variables={"PATH": path, "PYTHON": ""})
    assert (code, output) == (1, "")
    assert errors == (
        "inv: Python 3.11 or newer is needed, and there is none on PATH.\n"
        "→ Install one, or name it: PYTHON=/path/to/python3.12 scripts/inv …\n"
    )


def test_the_python_that_is_named_is_taken(fresh: Checkout, tmp_path: Path) -> None:
    path = _path_without_python(tmp_path / "bin", _old_python)
    process = fresh.start("hello", variables={"PATH": path, "PYTHON": sys.executable})
    until(lambda: fresh.bootstrapping() or process.poll() is not None, "the bootstrap to run", 20)
    (bootstrap,) = fresh.bootstrapping()
    assert bootstrap.cmdline()[0] == sys.executable


def _python(folder: Path, name: str, *, optimized: bool) -> None:
    """Put a Python where PATH is looked through, that says how it was built, and is then known by a name."""
    (folder / name).symlink_to(sys.executable)
    answer = f'case "$2" in *CONFIG_ARGS*) exit {int(not optimized)} ;; esac'
    (folder / "python3").write_text(f'#!/bin/sh\n{answer}\nexec {folder / name} "$@"\n', encoding="utf-8")
    (folder / "python3").chmod(0o755)


@pytest.mark.parametrize(("optimized", "taken"), [((False, True), 1), ((True, True), 0), ((False, False), 0)])
def test_of_the_pythons_on_path_an_optimized_one_is_taken_and_else_the_first(
    fresh: Checkout, tmp_path: Path, optimized: tuple[bool, bool], taken: int
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    tools = _path_without_python(tmp_path / "bin", _old_python)
    for folder, fast in zip(folders, optimized, strict=True):
        folder.mkdir()
        _python(folder, "known", optimized=fast)
    process = fresh.start("hello", variables={"PATH": ":".join([tools, *map(str, folders)]), "PYTHON": ""})
    until(lambda: fresh.bootstrapping() or process.poll() is not None, "the bootstrap to run", 20)
    (bootstrap,) = fresh.bootstrapping()
    assert bootstrap.cmdline()[0] == str(folders[taken] / "known")


def test_a_checkout_that_cannot_be_written_is_told(fresh: Checkout) -> None:
    (fresh.root / ".soundbite").write_text("a file in the place of the folder", encoding="utf-8")
    code, _, errors = fresh.run("hello")
    assert code == 1
    assert "Traceback" not in errors
    assert "→ The checkout must be writable, with 1 GB free." in errors

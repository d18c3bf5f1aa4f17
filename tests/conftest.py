"""What all tests share: a copy of the project to break, and `inv` run as a person runs it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from soundbite import ports
from tests import forking

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

# How long one input takes depends on what else the machine does.
settings.register_profile("patient", deadline=None, derandomize=bool(os.environ.get("CI")), print_blob=True)
settings.load_profile("patient")

ROOT = Path(__file__).parent.parent
_CACHE = ROOT / ".soundbite" / "cache"
_SHARED = ("assemblies", "cdk-program")
"""What all copies and this checkout have in common: cloud assemblies, of which each keeps a core busy for up to ten
seconds, and what V8 compiled of the cdk program."""
_KEPT = {
    "NODE_COMPILE_CACHE": str(_CACHE / "node-of-tests"),
    "JSII_RUNTIME_PACKAGE_CACHE_ROOT": str(Path.home() / ".cache" / "aws" / "jsii" / "package-cache"),
    "CDK_DISABLE_CLI_TELEMETRY": "true",
}
"""What node compiled is kept for all tests. What CDK unpacked lies where it looks by itself, whatever home a test has:
each unpacking keeps a core busy for ten seconds."""
_INHERITED = (
    *("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "COVERAGE_PROCESS_CONFIG"),
    *("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT"),
)
_FOR_PYTHON = ("PYTHON", "LANG", "LC_")
"""How variables begin that an interpreter reads when it starts."""


_WAITING = ("test_shell.py", "test_validations_end.py", "test_api_checks.py")
"""Files whose tests mostly wait: one at a time, that costs nothing beside those that keep cores busy."""
_APART = 6
"""Files that begin between two such."""


class _AtOnce:
    """Names what failed when it fails: a run that is cut off, or still has long to go, has said it."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = str(crash.message if crash else report.longrepr).strip()
            self._terminal.ensure_newline()
            self._terminal.write_line(f"FAILED {report.nodeid} ({report.when}): {why[:_WHY]}", red=True)


_WHY = 600
"""Characters: all of it comes at the end."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Name failures at once, in the process that shows results."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_AtOnce(terminal))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread what mostly waits from the beginning on: at the end there would be nothing else to do."""
    files = list(dict.fromkeys(item.path for item in items))
    order = [each for each in files if each.name not in _WAITING]
    for place, each in enumerate(each for each in files if each.name in _WAITING):
        order.insert(place * (_APART + 1), each)
    begins = {path: place for place, path in enumerate(order)}
    items.sort(key=lambda item: begins[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """End what pytest-cov began before it knew that this is a worker: no pause would reach it."""
    measuring = getattr(session.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if hasattr(session.config, "workerinput") and measuring is not None:
        measuring.pause()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Measure coverage of unit tests alone, and not where it would tell nothing: hundreds of inputs, or CDK's own code.

    It takes as long again: each call of a function is looked at, whosever it is.
    """
    unit = ROOT / "tests" / "unit"
    counts = item.path.is_relative_to(unit) and not item.path.is_relative_to(unit / "cdk")
    measuring = getattr(item.config.pluginmanager.getplugin("_cov"), "cov_controller", None)
    if measuring is None or (counts and item.get_closest_marker("hypothesis") is None):
        return (yield)
    measuring.pause()
    try:
        return (yield)
    finally:
        measuring.resume()


def clean_environ(**more: str) -> dict[str, str]:
    """Return a process environment with nothing in it that chooses settings or credentials."""
    kept = {name: value for name, value in os.environ.items() if name in _INHERITED}
    return kept | _KEPT | {"AWS_EC2_METADATA_DISABLED": "true", "PYTHONUNBUFFERED": "1", **more}


free_ports = ports.free


@dataclass
class Inv:
    """`inv` in a checkout, with variables of its own.

    Parameters
    ----------
    forked:
        Whether what is run to its end is forked from a process that has imported what it needs (`tests/forking.py`; on
        Linux), nothing that has variables for the interpreter itself. A fork has the command line and the variables of
        what it was forked from, where somebody looks from outside; what is started, to be signalled or watched, is none
        unless it is asked for (`fork`).
    front:
        A program that starts it, with its arguments, such as `setpriv`: then nothing is forked.
    """

    root: Path = ROOT
    variables: dict[str, str] = field(default_factory=dict)
    forked: bool = hasattr(os, "pidfd_open")
    front: tuple[str, ...] = ()

    def argv(self, *arguments: str) -> list[str]:
        """Return the command line."""
        return [*self.front, sys.executable, "-m", "invoke", "--search-root", str(self.root), *arguments]

    def __call__(
        self, *arguments: str, timeout: float = 120, stdin: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run it to its end."""
        own = self.variables | more
        environ = clean_environ(**own)
        if self.forked and not self.front and not any(name.startswith(_FOR_PYTHON) for name in own):
            words = ["--search-root", str(self.root), *arguments]
            return forking.forker().run(words, environ, "/", stdin, timeout)
        return subprocess.run(
            self.argv(*arguments),
            env=environ,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=timeout,
            input=stdin,
            check=False,
        )

    def fork(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start it as a fork, where it may be one; signals reach it in the same way."""
        if not self.forked or self.front:
            return self.start(*arguments, **more)
        environ = clean_environ(**(self.variables | {"PYTHONFAULTHANDLER": "1"} | more))
        return forking.Started(forking.forker(), ["--search-root", str(self.root), *arguments], environ, "/")

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        """Start it; signals reach it as from a terminal or a CI runner (a shell's & would ignore SIGINT)."""
        return subprocess.Popen(
            self.argv(*arguments),
            # With SIGABRT it tells what it was at.
            env=clean_environ(**(self.variables | {"PYTHONFAULTHANDLER": "1"} | more)),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )


@pytest.fixture
def inv() -> Inv:
    """Return `inv` in this checkout."""
    return Inv()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a copy of the workflow to break: its env and compose files, with the rest linked."""
    return copied(tmp_path / "project")


def copied(root: Path) -> Path:
    """Copy the workflow to a new folder, to be broken; what was synthesized for one copy is there for all.

    Its code is linked: who breaks that copies it first (`own_code`).
    """
    root.mkdir()
    cache = root / ".soundbite" / "cache"
    cache.mkdir(parents=True)
    for name in _SHARED:
        (_CACHE / name).mkdir(parents=True, exist_ok=True)
        (cache / name).symlink_to(_CACHE / name)
    for name in ("tasks.py", "envs", "compose", "requirements.lock", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("*.local.env"))
        else:
            shutil.copy(source, root / name)
    for name in ("tasks", "soundbite", "cdk", "app", "scripts", "docs", "tests"):
        (root / name).symlink_to(ROOT / name)
    return root


def own_code(root: Path) -> Path:
    """Give a copy the workflow's code as files of its own, and return the folder of the library."""
    for name in ("tasks", "soundbite"):
        (root / name).unlink()
        shutil.copytree(ROOT / name, root / name)
    return root / "soundbite"


@pytest.fixture
def write_env(project: Path) -> Callable[..., Path]:
    """Return a function that appends lines to an env file of the copy."""

    def write(name: str, *lines: str) -> Path:
        path = project / "envs" / f"{name}.env"
        with path.open("a", encoding="utf-8") as stream:
            stream.write("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def browser() -> str:
    """Return a browser; without one the test ends."""
    from tests import browsing

    found = browsing.installed()
    if found is None:
        reason = "no Chromium or Chrome is installed; scripts/browser provides it on Debian"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found

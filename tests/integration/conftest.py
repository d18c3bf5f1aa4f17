"""A local environment of a test's own: ports, state and application folder that nobody shares."""

from __future__ import annotations

import json
import os
import queue
import shutil
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
import psutil
import pytest
from filelock import FileLock

from soundbite import application, environment, waiting, web
from soundbite.releases import Lock
from tests.conftest import ROOT, Inv, free_ports

if TYPE_CHECKING:
    import signal
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.integration.stages import Stages
    from tests.integration.test_ledger import Emulated

DEADLINE = 90.0


def until(condition: Callable[[], Any], what: str, deadline: float = DEADLINE) -> Any:
    """Wait until a condition holds, and return what it gave; fail with `what` after the deadline."""
    end = time.monotonic() + deadline
    while (began := time.monotonic()) < end:
        found = condition()
        if found:
            return found
        waiting.pause(began, 0.05)  # some conditions ask docker, or all processes
    pytest.fail(f"not within {deadline:.0f} s: {what}")


class Running:
    """An `inv` in the foreground, its output read as it comes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.output = ""
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, text: str, deadline: float = DEADLINE) -> str:
        """Wait until a text was printed; return everything printed so far."""
        until(
            lambda: text in self._so_far() or self.process.poll() is not None, f"{text!r} in:\n{self.output}", deadline
        )
        assert text in self._so_far(), f"ended with {self.process.returncode} before {text!r}:\n{self.output}"
        return self.output

    def end(self, signum: signal.Signals, deadline: float = 20) -> int:
        """Send a signal to `inv` alone, and return its exit code."""
        self.process.send_signal(signum)
        code = self.process.wait(deadline)
        self._reader.join(deadline)
        self._so_far()
        return code

    def _so_far(self) -> str:
        while True:
            try:
                self.output += self._lines.get_nowait()
            except queue.Empty:
                return self.output

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)


@dataclass
class Dev:
    """A local environment with everything of its own; `env` is its name."""

    state: Path
    app: Path
    ports: list[int]
    root: Path = ROOT
    env: str = "dev-localstack"
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def inv(self) -> Inv:
        """`inv` with this environment's settings."""
        own = {
            "STATE_DIR": str(self.state),
            "APP_DIR": str(self.app),
            "APP_INSTALL": "",
            "APP_PORT": str(self.ports[0]),
            "APP_INSPECT_PORT": str(self.ports[2]),
        }
        if self.env == "dev-localstack":
            own["EMULATOR_PORT"] = str(self.ports[1])
        return Inv(self.root, own | self.variables)

    @property
    def url(self) -> str:
        """Where its application answers."""
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def folder(self) -> Path:
        """Where its state is."""
        return self.state / self.env

    def up(self) -> subprocess.CompletedProcess[str]:
        """Bring it up, detached, and see that this worked."""
        done = self.inv("dev.localstack", "--detach")
        assert done.returncode == 0, done.stderr
        return done

    def status(self) -> dict[str, Any]:
        """What `inv dev.status --json` says."""
        return dict(json.loads(self.inv("dev.status", f"--env={self.env}", "--json").stdout))

    def pid(self, process: str) -> int:
        """The process id of one of its processes."""
        record = json.loads((self.folder / "run" / f"{process}.json").read_text())
        return int(record["pid"])

    def health(self) -> dict[str, Any]:
        """What the application says of itself; empty if it does not answer."""
        try:
            return dict(web.get(f"{self.url}/health", 2).json())
        except httpx.HTTPError:
            return {}

    def foreground(self, *arguments: str, **more: str) -> Running:
        """Start `inv dev.localstack` in the foreground."""
        return Running(self.inv.start("dev.localstack", *arguments, **more))

    def left(self) -> list[str]:
        """The command lines of what still runs of it."""
        mine = (str(self.state), str(self.app))
        found = []
        for process in psutil.process_iter():
            try:
                line = process.cmdline()
                where = f"{' '.join(line)} {process.cwd()} {process.environ().get('STATE_DIR', '')}"
                gone = process.status() == psutil.STATUS_ZOMBIE
            except psutil.Error:
                continue
            if process.pid != os.getpid() and not gone and any(part in where for part in mine):
                found.append(f"{process.pid} {' '.join(line)[:150]}")
        return found

    def destroy(self) -> None:
        """Kill what runs of it, whatever happened, and leave nothing behind."""
        end = time.monotonic() + DEADLINE
        while (left := self.left()) and time.monotonic() < end:
            for line in left:
                with suppress(psutil.Error):
                    psutil.Process(int(line.split()[0])).kill()
        shutil.rmtree(self.state, ignore_errors=True)


def copy_app(folder: Path) -> Path:
    """Copy the application with its build, its dependencies linked."""
    app = folder / "app"
    shutil.copytree(ROOT / "app", app, ignore=shutil.ignore_patterns("node_modules", "coverage"))
    (app / "node_modules").symlink_to(ROOT / "app" / "node_modules")
    return app


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    """Return a local environment that is not up yet."""
    made = Dev(tmp_path / "state", copy_app(tmp_path), free_ports(3))
    yield made
    made.destroy()


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what an environment left that was set up and stopped, `state` and `dist`; made once for all workers."""
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "saved"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            place = tmp_path_factory.mktemp("saving")
            made = Dev(place / "state", copy_app(place), free_ports(3))
            try:
                for arguments in (["setup-localstack"], ["dev.down"]):
                    done = made.inv(*arguments)
                    assert done.returncode == 0, done.stderr
                folder.mkdir()
                shutil.copytree(made.state, folder / "state")
                shutil.copytree(made.app / "dist", folder / "dist")
            finally:
                made.destroy()
    return folder


def stock(dev: Dev, saved: Path) -> None:
    """Give an environment what another one left: built, and with everything in its emulated AWS."""
    shutil.copytree(saved / "state", dev.state)
    shutil.rmtree(dev.app / "dist")
    shutil.copytree(saved / "dist", dev.app / "dist")  # with its times, by which its parts are known to be current
    build = application.build(environment.load("dev-localstack", {"APP_DIR": str(dev.app)}))
    assert build is not None
    build.stamp.parent.mkdir(exist_ok=True)
    build.stamp.write_text(build._digest(), encoding="utf-8")


@pytest.fixture
def stocked(dev: Dev, saved: Path) -> Dev:
    """Return a local environment that is not up, and lacks nothing for it."""
    stock(dev, saved)
    return dev


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, saved: Path) -> Iterator[Dev]:
    """Return a local environment that is up, for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("running")
    made = Dev(folder / "state", copy_app(folder), free_ports(3))
    stock(made, saved)
    try:
        made.up()
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def bare_aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    """Return emulated AWS with nothing in it."""
    from tests.integration.test_ledger import emulated

    with emulated(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture
def stages(bare_aws: Emulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """Return stages that nothing was deployed to."""
    from tests.integration.stages import Stages

    return Stages(bare_aws, tmp_path, monkeypatch)


@pytest.fixture
def two(stages: Stages) -> Stages:
    """Return stages with a verified deployment of A; the next one is B."""
    from tests.integration.stages import A, B

    stages.deploy(A)
    stages.tree = B
    return stages


@pytest.fixture(autouse=True)
def _no_lock_beats_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """End the beat of every lock that a test leaves held: it would go on in this process, with its ledger gone."""
    made: list[Lock] = []
    begin = Lock.__init__

    def noted(lock: Lock, *arguments: Any, **more: Any) -> None:
        begin(lock, *arguments, **more)
        made.append(lock)

    monkeypatch.setattr(Lock, "__init__", noted)
    yield
    for each in made:
        each._stop()

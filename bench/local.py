"""A local environment of the benchmark's own: ports, state and a copy of the application that nobody shares."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from soundbite import application, console, environment, paths, shell
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError

NAME = "dev-localstack"

_UP_TIMEOUT = 180
_DOWN_TIMEOUT = 60
_KILLED_WITHIN = 5


@dataclass(frozen=True)
class Local:
    """An environment below a folder of its own.

    Attributes
    ----------
    folder:
        Holds its state and its copy of the application; deleted with it.
    ports:
        The application's, the emulator's and the debugger's.
    """

    folder: Path
    ports: tuple[int, int, int]

    @property
    def settings(self) -> dict[str, str]:
        """The variables that make it what it is."""
        app, emulator, inspect = map(str, self.ports)
        return {
            "STATE_DIR": str(self.folder / "state"),
            "APP_DIR": str(self.app),
            "APP_INSTALL": "",
            "APP_PORT": app,
            "APP_INSPECT_PORT": inspect,
            "EMULATOR_PORT": emulator,
        }

    @property
    def app(self) -> Path:
        """Its copy of the application."""
        return self.folder / "app"

    @property
    def url(self) -> str:
        """Where the application answers."""
        return f"http://127.0.0.1:{self.ports[0]}"

    def copy_app(self) -> None:
        """Copy the application with its build; its dependencies are linked.

        Raises
        ------
        SoundbiteError
            They are not installed.
        """
        source = paths.ROOT / "app"
        if not (source / "node_modules").is_dir():
            raise SoundbiteError("app/node_modules is not there.", "Run ./scripts/inv dev.localstack once before.")
        shutil.copytree(source, self.app, ignore=shutil.ignore_patterns("node_modules", "coverage"))
        (self.app / "node_modules").symlink_to(source / "node_modules")

    def up(self, **more: str) -> float:
        """Run `inv dev.localstack --detach`, with more settings, and return the seconds it took."""
        return self._inv("dev.localstack", "--detach", timeout=_UP_TIMEOUT, more=more)

    def down(self) -> float:
        """Run `inv dev.down` and return the seconds it took."""
        return self._inv("dev.down", timeout=_DOWN_TIMEOUT, more={})

    def environment(self, **more: str) -> environment.Environment:
        """Return the environment as the workflow loads it."""
        return environment.load(NAME, self.settings | more)

    def cloud(self) -> Cloud:
        """Return its emulated AWS."""
        return Cloud(self.environment())

    def destroy(self) -> None:
        """Stop it whatever happened, and leave nothing behind."""
        try:
            self.down()
        except (SoundbiteError, OSError) as error:
            console.warn(f"inv dev.down failed: {error}")
        for process in self._left():
            console.warn(f"left running, killed: {process.pid} {process.name()}")
            with suppress(psutil.Error):
                process.kill()
                process.wait(_KILLED_WITHIN)
        self._forget_build()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _inv(self, *arguments: str, timeout: float, more: dict[str, str]) -> float:
        argv = [sys.executable, "-m", "invoke", "--search-root", str(paths.ROOT), *arguments]
        started = time.perf_counter()
        shell.run(argv, timeout=timeout, cwd=Path("/"), env=os.environ | self.settings | more)
        return time.perf_counter() - started

    def _left(self) -> list[psutil.Process]:
        """Return the processes that have our folder in their command, working folder or variables."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                where = [*process.cmdline(), process.cwd(), *process.environ().values()]
                if any(str(self.folder) in each for each in where) and process.pid != os.getpid():
                    found.append(process)
        return found

    def _forget_build(self) -> None:
        """Delete the note, in the checkout's cache, that our copy of the application was built."""
        with suppress(SoundbiteError):
            work = application.build(self.environment())
            if work is not None:
                for note in work.stamp.parent.glob(f"{work.stamp.name}*"):  # with its lock
                    note.unlink(missing_ok=True)


def free_ports() -> tuple[int, int, int]:
    """Return three ports that nobody listens on."""
    with socket.socket() as first, socket.socket() as second, socket.socket() as third:
        for each in (first, second, third):
            each.bind(("127.0.0.1", 0))
        app, emulator, inspect = (int(each.getsockname()[1]) for each in (first, second, third))
    return app, emulator, inspect

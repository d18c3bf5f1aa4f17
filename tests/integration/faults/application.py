"""Faults of the application, and of the way to it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tests.between import Exchange, between
from tests.conftest import ROOT, clean_environ, free_ports
from tests.integration.conftest import until

from .fault import outputs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Dev

    from .fault import Seed


SERVE = """
import json, sys
from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.platforms.machine import STOP_GRACE, Machine
loaded = environment.load("dev-localstack")
room = Machine(loaded)
if sys.argv[1] == "stop":
    room.app.stop(STOP_GRACE)
else:
    room.start_app(Cloud(loaded), json.loads(sys.argv[2]).__getitem__, inspect=False)
if sys.argv[1] == "ready":
    room.await_ready()
"""


def _serve(dev: Dev, how: str, **settings: str) -> None:
    """Have the application run with some settings: `ready` waits for it, `start` does not, `stop` ends it."""
    subprocess.run(
        [sys.executable, "-c", SERVE, how, json.dumps(outputs(dev))],
        env=clean_environ(**(dev.inv.variables | settings)), cwd=ROOT, timeout=120, check=True,
    )  # fmt: skip


def started_with(**settings: str) -> Seed:
    """Have the application run with other settings than its environment's; `{emulator}` in them is a port."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        _serve(dev, "start", **{name: value.format(emulator=dev.ports[1]) for name, value in settings.items()})
        try:
            until(dev.health, "the application does not answer")
            yield {}
        finally:
            _serve(dev, "ready")

    return seed


@contextmanager
def another_application(dev: Dev) -> Iterator[dict[str, str]]:
    """Have somebody else's server listen where the application should."""
    _serve(dev, "stop")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "health").write_text("<html>Welcome to somebody else!</html>", encoding="utf-8")
        argv = [sys.executable, "-m", "http.server", str(dev.ports[0]), "--bind=127.0.0.1", f"--directory={folder}"]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                until(lambda: _listens(dev.ports[0]), "the other application does not listen")
                yield {}
            finally:
                process.kill()
                process.wait()
                _serve(dev, "ready")


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@contextmanager
def slow(dev: Dev) -> Iterator[dict[str, str]]:
    """Stop the application's processes, let them go on for a moment, and stop them again."""
    application = psutil.Process(dev.pid("app"))
    processes = [application, *application.children(recursive=True)]
    ended = threading.Event()

    def hinder() -> None:
        while not ended.wait(0.1):
            for each in processes:
                each.suspend()
            ended.wait(1.4)
            for each in processes:
                each.resume()

    hindering = threading.Thread(target=hinder)
    hindering.start()
    try:
        yield {}
    finally:
        ended.set()
        hindering.join()


# The application, seen through something that alters it


def altered(alter: Callable[[Exchange], None]) -> Seed:
    """Make a fault of what is between us and the application."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        with between(dev.ports[0], alter) as port:
            yield {"APP_PORT": str(port)}

    return seed


def wrong_body(exchange: Exchange) -> None:
    """Answer 200 with something else."""
    exchange.body = b'{"status":"ok"}' if exchange.path == "/health" else exchange.body


def other_errors(exchange: Exchange) -> None:
    """Give errors another shape."""
    if exchange.status in {400, 404}:
        exchange.body = b"Error: no\n    at handler (/app/dist/main.js:3:7)"


def broken_description(exchange: Exchange) -> None:
    """Break the OpenAPI document."""
    if exchange.path == "/api-json":
        exchange.body = exchange.body.replace(b'"responses"', b'"answers"')


def half(exchange: Exchange) -> None:
    """Send half an answer."""
    exchange.raw = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"


def redirect_loop(exchange: Exchange) -> None:
    """Send everybody round in a circle."""
    exchange.answer(302, b"")
    exchange.headers["Location"] = exchange.path


@contextmanager
def refused(_: Dev) -> Iterator[dict[str, str]]:
    """Ask where nobody listens."""
    yield {"APP_PORT": str(free_ports(1)[0])}


@contextmanager
def unresolved(_: Dev) -> Iterator[dict[str, str]]:
    """Ask for a name that nobody has (RFC 2606)."""
    yield {"APP_HOST": "soundbite.invalid"}


@contextmanager
def hangs(_: Dev) -> Iterator[dict[str, str]]:
    """Ask somebody who listens and never answers."""
    with socket.socket() as listener, ExitStack() as held:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def accept() -> None:
            while True:
                try:
                    held.enter_context(listener.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield {"APP_PORT": str(listener.getsockname()[1])}

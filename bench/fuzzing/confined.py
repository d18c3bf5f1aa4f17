"""The task tree in this process, on a copy of the checkout's files: nothing is contacted, started or asked."""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, NoReturn
from unittest.mock import patch

from bench.fuzzing.env_files import folder
from soundbite import paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ended(NamedTuple):
    """How a task ended, and what it said."""

    code: int
    stdout: str
    stderr: str


def _nobody(*_: object, **__: object) -> NoReturn:
    raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))


def _leave(code: int) -> NoReturn:
    """End the task alone: the process is the fuzzer's, and what hangs in it may be another's."""
    raise SystemExit(code)


def _nothing(*_: object, **__: object) -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "a tool")


@contextmanager
def ground() -> Iterator[None]:
    """Have a checkout of its own, without credentials, where nobody answers and no tool is installed."""
    where = {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
    with ExitStack() as stack:
        root = Path(stack.enter_context(TemporaryDirectory()))
        stack.enter_context(folder())
        for name in ("CACHE", "LOGS", "TESTS"):
            stack.enter_context(patch.object(paths, name, root / name))
        stack.enter_context(patch.object(paths, "ROOT", root))
        stack.enter_context(patch.dict(os.environ, {"PATH": os.defpath, "HOME": str(root), **where}))
        for name in ("connect", "connect_ex"):
            stack.enter_context(patch.object(socket.socket, name, _nobody))
        stack.enter_context(patch.object(subprocess, "Popen", _nothing))
        stack.enter_context(patch.object(os, "_exit", _leave))
        stack.enter_context(patch("sys.stdin", io.StringIO()))
        former = {each: signal.getsignal(each) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in former.items():
                signal.signal(each, handler)


def run(arguments: Sequence[str]) -> Ended:
    """Run `inv` with arguments, as its console script does."""
    from invoke import Program

    import tasks

    stdout, stderr = _stream("strict"), _stream("backslashreplace")
    code = 0
    words = ["inv", *arguments]
    with redirect_stdout(stdout), redirect_stderr(stderr), patch.object(sys, "argv", words):
        try:
            Program(namespace=tasks.namespace).run(words)
        except SystemExit as end:
            code = int(end.code or 0)
    return Ended(code, _text(stdout), _text(stderr))


def _stream(errors: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=errors, write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode("utf-8")

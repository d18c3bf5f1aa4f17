"""Runs `inv` without its start: forks a process that has imported the libraries and this project already.

A start takes a second of a core where machines are slow, most of it for imports that are the same each time; tests run
`inv` over a thousand times. What a fork runs is `python -m invoke`, from the first line of a checkout's
tasks.py to the interpreter's end. Where the checkout's modules are other files than this project's, it imports them
itself. `tests/forking.py` asks for it, over a socket that is this program's one argument.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

SERVICES = ("cloudformation", "dynamodb", "ecr", "lambda", "logs", "s3", "secretsmanager", "sqs", "ssm", "sts")
"""What botocore knows of them is read once, too."""

ROOT = Path(__file__).absolute().parent.parent
PACKAGES = ("soundbite", "tasks")

LIBRARIES = (
    *("invoke.main", "fabric", "boto3.session", "botocore.client", "botocore.httpsession", "botocore.paginate"),
    *("botocore.waiter", "botocore.endpoint", "botocore.retryhandler", "botocore.parsers", "botocore.signers"),
    *("httpx", "httpcore", "dotenv", "filelock", "psutil", "yaml", "rich.table", "jinja2", "concurrent.futures"),
    *("encodings.idna", "encodings.utf_8_sig", "tarfile", "uuid"),
)


def imported() -> dict[str, ModuleType]:
    """Import all of this project, and return its modules; nobody finds them until they are put back.

    Not the map of all tasks: it shares its name with their folder, and each fork runs its checkout's own.
    """
    sys.path.insert(0, str(ROOT))
    folder = sys.modules["tasks"] = ModuleType("tasks")
    folder.__path__ = [str(ROOT / "tasks")]
    for package in PACKAGES:
        path = importlib.import_module(package).__path__
        # What hosts run by themselves is imported by nobody here.
        names = [each.name for each in pkgutil.walk_packages(path, f"{package}.") if ".agent" not in each.name]
        for name in names:
            importlib.import_module(name)
    sys.modules["soundbite.cloud"].warm(SERVICES)
    del sys.path[0], sys.modules["tasks"]
    ours = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    return {name: sys.modules.pop(name) for name in ours}


def places(modules: dict[str, ModuleType]) -> list[tuple[ModuleType, str, Path]]:
    """Return what in these modules says where the checkout is: the module, its variable, the path within."""
    found = [(each, name, value) for each in modules.values() for name, value in vars(each).items()]
    return [
        (each, name, Path(value).relative_to(ROOT))
        for each, name, value in found
        if isinstance(value, Path if name != "__file__" else str) and Path(value).is_relative_to(ROOT)
    ]


def given(modules: dict[str, ModuleType], where: list[tuple[ModuleType, str, Path]], root: Path) -> None:
    """Make a checkout's modules those that were imported, if its files are the same; they say where it is."""
    if any((root / package).resolve() != ROOT / package for package in PACKAGES):
        return
    for module, name, path in where:
        setattr(module, name, str(root / path) if name == "__file__" else root / path)
    sys.modules.update(modules)


def serve(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request, and return in the fork: what is asked of it, and its three standard streams.

    What is asked is either `argv` (words behind `inv`), `env`, `cwd` and `session` (whether it gets one of its own),
    answered with a process id; or `wait`, a process id, answered with its status as `os.waitpid` tells it.
    """
    while True:
        text, streams, _, _ = socket.recv_fds(asked, 2**20, 3)
        if not text:
            os._exit(0)
        wanted = json.loads(text)
        if "wait" in wanted:
            asked.send(str(os.waitpid(wanted["wait"], 0)[1]).encode())
            continue
        pid = os.fork()
        if pid == 0:
            asked.close()
            return wanted, streams
        for each in streams:
            os.close(each)
        asked.send(str(pid).encode())


def become(wanted: dict[str, Any], streams: list[int]) -> None:
    """Make this process what a new interpreter would be."""
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update(wanted["env"])
    os.chdir(wanted["cwd"])
    if wanted["session"]:
        os.setsid()
    if "PYTHONFAULTHANDLER" in os.environ:
        faulthandler.enable()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["", *wanted["argv"]]
    sys.path[0] = wanted["cwd"]


def run() -> int:
    """Run `inv` in this process, and what waits for its end; return its exit code.

    An interpreter that ends takes each object apart, and so copies all memory that it shares with what it was forked
    from: half of all the time of a short command. multiprocessing leaves that out for its forks in the same way.
    """
    code = 0
    try:
        runpy.run_module("invoke", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int):
            raise
        code = ended.code
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    # What ends the tests is theirs to tell; this ends with their socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for each in LIBRARIES:
        importlib.import_module(each)
    project = imported()
    where = places(project)
    gc.freeze()
    words, inherited = serve(socket.socket(fileno=int(sys.argv[1])))
    become(words, inherited)
    given(project, where, Path(words["argv"][1]))
    os._exit(run())

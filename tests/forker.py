"""Runs `inv` without its start: forks a process that has imported the libraries already, and none of this project.

A start takes a second of a core where machines are slow, half of it for imports that are the same each time; tests run
`inv` over a thousand times. What a fork runs is `python -m invoke`, from the first line of a checkout's
tasks.py to the interpreter's end. `tests/forking.py` asks for it, over a socket that is this program's one argument.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
from typing import Any

LIBRARIES = (
    *("invoke.main", "fabric", "boto3.session", "botocore.client", "botocore.httpsession", "botocore.paginate"),
    *("botocore.waiter", "botocore.endpoint", "botocore.retryhandler", "botocore.parsers", "botocore.signers"),
    *("httpx", "httpcore", "dotenv", "filelock", "psutil", "yaml", "rich.table", "jinja2", "concurrent.futures"),
    *("encodings.idna", "encodings.utf_8_sig", "tarfile", "uuid"),
)


def serve(asked: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Fork for each request, and return in the fork: what is asked of it, and its three standard streams.

    What is asked is either `argv` (words behind `inv`), `env` and `cwd`, answered with a process id; or `wait`, a
    process id, answered with its status as `os.waitpid` tells it.
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
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = ["", *wanted["argv"]]
    sys.path[0] = wanted["cwd"]


if __name__ == "__main__":
    # What ends the tests is theirs to tell; this ends with their socket.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()
    become(*serve(socket.socket(fileno=int(sys.argv[1]))))
    runpy.run_module("invoke", run_name="__main__", alter_sys=True)

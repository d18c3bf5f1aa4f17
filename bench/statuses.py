"""How long `inv status` takes for five environments that can be reached."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.local import free_ports
from bench.table import Row, at_most
from soundbite import console, emulator, paths, provisioning
from soundbite import environment as environments
from soundbite.cloud import Cloud
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.stand import Stand

_LIMIT = 2.5
_TIMEOUT = 60


def measure(stand: Stand) -> list[Row]:
    """Deploy the stacks of all five into an emulator of our own, an account each, and ask for them side by side."""
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as folder, _five(folder) as names:
        took = [_status(len(names)) for _ in range(stand.times(9, quick=3))]
    how = f"the whole command, {len(names)} environments with their stacks and ledgers, {len(took)} times"
    return [at_most("`inv status`, five that can be reached", _LIMIT, took, "s", how)]


@contextmanager
def _five(folder: str) -> Iterator[list[str]]:
    port, proxy, _ = free_ports()
    settings = {"STATE_DIR": folder, "EMULATOR_HOST": "127.0.0.1", "EMULATOR_PORT": str(port), "PROXY_PORT": str(proxy)}
    os.environ.update(settings)
    names = environments.order()
    loaded = [environments.load(name, rehearsal=True) for name in names]
    process = emulator.process(loaded[0])
    try:
        for number, environment in enumerate(loaded):
            if number == 0:
                emulator.start(environment, Cloud(environment), process)
            provisioning.deploy(environment, _unasked)
        yield names
    finally:
        try:
            emulator.stop(loaded[0], process)
        except SoundbiteError as error:
            console.warn(error.message)
        for name in settings:
            os.environ.pop(name, None)


def _status(count: int) -> float:
    argv = [sys.executable, "-m", "invoke", "--search-root", str(paths.ROOT), "status", "--rehearse", "--json"]
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd="/")
    took = time.perf_counter() - began
    if done.returncode:
        raise SoundbiteError(f"inv status ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(done.stdout)["environments"]
    unknown = [each["environment"] for each in told if each.get("problem")]
    if len(told) != count or unknown:
        raise SoundbiteError(f"inv status could not reach {', '.join(unknown)}")
    return took


def _unasked(_difference: str) -> None:
    raise SoundbiteError("Only emulated AWS is measured.")

"""How long `inv status` takes for five environments: all within reach, and with one or all that never answer."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
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

_LIMIT, _MORE = 2.5, 2.0
_TIMEOUT = 60
_REPLACED = ("EMULATOR=", "AWS_ENDPOINT_URL=", "AWS_ACCESS_KEY_ID=", "APP_URL=", "AWS_PROFILE=")


def measure(stand: Stand) -> list[Row]:
    """Deploy the stacks of all five into an emulator of our own, an account each, and ask for them side by side."""
    times = stand.times(9, quick=3)
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as folder, _five(folder) as names, _silent() as port:
        took = [_status(paths.ROOT, ["--rehearse"], [], len(names)) for _ in range(times)]
        checkout = _copied(Path(folder) / "checkout", names)
        without = {}
        for silent in (["staging"], names):
            _point(checkout, names, silent, port)
            without[len(silent)] = [_status(checkout, [], silent, len(names)) for _ in range(times)]
    how = f"the whole command, {len(names)} environments with their stacks and ledgers, {times} times"
    alone = median(took)
    rows = [at_most("`inv status`, five that can be reached", _LIMIT, took, "s", how)]
    for count, found in without.items():
        what = "one of five that takes connections and never answers" if count == 1 else f"all {count} of that kind"
        told = f"of {median(found):.2f} s, beside the {alone:.2f} s above, {times} times"
        rows.append(at_most(f"What it adds: {what}", _MORE, [each - alone for each in found], "s", told))
    return rows


@contextmanager
def _silent() -> Iterator[int]:
    """Give a port that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=256)) as server:
        yield int(server.getsockname()[1])


def _copied(root: Path, names: list[str]) -> Path:
    """Copy what `inv` is, so that env files can be changed; without the rehearsal layer, each says where its AWS is."""
    root.mkdir()
    for name in ("tasks", "soundbite", "envs"):
        shutil.copytree(paths.ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.local.env"))
    shutil.copy(paths.ROOT / "tasks.py", root)
    for name in names:
        rehearsed = environments.load(name, rehearsal=True)
        file = root / "envs" / f"{name}.env"
        lines = [line for line in file.read_text("utf-8").splitlines() if not line.startswith(_REPLACED)]
        lines += ["EMULATOR=external", f"AWS_ACCESS_KEY_ID={rehearsed.aws.account_id}", f"APP_URL={rehearsed.app_url}"]
        file.write_text("\n".join([*lines, f"AWS_ENDPOINT_URL={rehearsed.endpoint_url}", ""]), "utf-8")
    return root


def _point(root: Path, names: list[str], silent: list[str], port: int) -> None:
    """Have some environments' AWS be at a port, and the others' where it is."""
    for name in names:
        file = root / "envs" / f"{name}.env"
        where = f"http://127.0.0.1:{port}" if name in silent else environments.load(name, rehearsal=True).endpoint_url
        *kept, _ = file.read_text("utf-8").splitlines()
        file.write_text("\n".join([*kept, f"AWS_ENDPOINT_URL={where}", ""]), "utf-8")


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


def _status(root: Path, more: list[str], silent: list[str], count: int) -> float:
    argv = [sys.executable, "-m", "invoke", "--search-root", str(root), "status", *more, "--json"]
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd="/")
    took = time.perf_counter() - began
    # 6: none could be reached.
    if done.returncode != (6 if len(silent) == count else 0):
        raise SoundbiteError(f"inv status ended with {done.returncode}: {done.stderr[-300:]}")
    told = json.loads(done.stdout)["environments"]
    unreached = [each["environment"] for each in told if each.get("problem")]
    if len(told) != count or unreached != silent:
        raise SoundbiteError(f"inv status could not reach {', '.join(unreached)}")
    return took


def _unasked(_difference: str) -> None:
    raise SoundbiteError("Only emulated AWS is measured.")

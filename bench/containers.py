"""What containers cost: the image's size, builds that have nothing to do, starts, and all environments at once."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import psutil

from bench.local import Local, free_ports
from bench.table import Row, at_most
from soundbite import engine, environment, images, nginx, paths, shell

if TYPE_CHECKING:
    from bench.stand import Stand

_RATIO, _BUILD, _READY, _UP, _ALL, _MEMORY = 1.25, 1.0, 5.0, 15.0, 60.0, 1.5
_TIMEOUT = 300.0
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def measure(stand: Stand) -> list[Row]:
    """Measure the production image, then local environments in containers, then all five side by side."""
    engine.require()
    _inv("build", "--env=production", "--rehearse", "--json", **_rehearsal("unused"))
    recipe = images.api(environment.load("production"))
    image = recipe.name(recipe.content())
    count = stand.times(5, quick=3)
    builds = [_inv("build", "--env=production", "--rehearse", **_rehearsal("unused"))[0] for _ in range(count)]
    starts = [_start(image) for _ in range(count)]
    return [
        _size(image),
        at_most("`inv build`, nothing changed", _BUILD, builds, "s", f"{count} times"),
        at_most("Production container: start → answers", _READY, starts, "s", f"{count} times"),
        _contained(stand),
        *_all_environments(),
    ]


def _size(image: str) -> Row:
    dockerfile = (paths.ROOT / "app" / "Dockerfile").read_text(encoding="utf-8")
    base = re.findall(r"^ARG NODE_IMAGE=(\S+)", dockerfile, re.MULTILINE)[0]
    sizes = [int(_docker("image", "inspect", "--format", "{{.Size}}", each)) for each in (image, base)]
    modules = int(_docker("run", "--rm", image, "du", "-sb", "/app/node_modules").split()[0])
    how = f"{sizes[0] / 1e6:.0f} MB; base {sizes[1] / 1e6:.0f} MB, node_modules {modules / 1e6:.0f} MB"
    ratio = sizes[0] / (sizes[1] + modules)
    return at_most("Production image / (base + production node_modules)", _RATIO, [ratio], "x", how)


def _start(image: str) -> float:
    """Start a container and return the seconds from its start, by docker's clock, to its first answer."""
    name = f"soundbite-bench-{uuid.uuid4().hex[:8]}"
    given = {
        "ENVIRONMENT": "bench",
        "AWS_REGION": "eu-central-1",
        "DYNAMODB_TABLE": "none",
        "S3_BUCKET": "none",
        "SQS_QUEUE_URL": "http://127.0.0.1:9/none",
    }
    variables = [word for each in given.items() for word in ("--env", "=".join(each))]
    _docker("run", "--detach", "--init", "--read-only", "--tmpfs=/tmp", "--name", name, *variables, image)
    try:
        state = json.loads(_docker("inspect", name))[0]
        url = f"http://{state['NetworkSettings']['IPAddress']}:3000/health"
        began = datetime.fromisoformat(state["State"]["StartedAt"][:26].rstrip("Z") + "Z").timestamp()
        while time.time() < began + _TIMEOUT:
            with suppress(httpx.HTTPError):
                if httpx.get(url, timeout=1, trust_env=False).status_code == httpx.codes.OK:
                    return time.time() - began
            time.sleep(0.01)
        raise TimeoutError(f"{name} does not answer")
    finally:
        _docker("rm", "--force", name)


def _contained(stand: Stand) -> Row:
    count = stand.times(3, quick=2)
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as folder:
        local = Local(Path(folder) / "local", free_ports())
        local.folder.mkdir()
        local.copy_app()
        own = local.settings | {"COMPOSE_PROJECT": f"soundbite-bench-{uuid.uuid4().hex[:8]}"}
        up = ("dev.localstack", "--containers", "--detach")
        try:
            _inv(*up, **own)
            took = []
            for _ in range(count):
                _inv("dev.down", **own)
                took.append(_inv(*up, **own)[0])
        finally:
            _inv("dev.down", **own)
            local.destroy()
    return at_most("`inv dev.localstack --containers`, stopped, nothing changed", _UP, took, "s", f"{count} times")


def _all_environments() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as folder:
        own = _rehearsal(folder)
        try:
            took, _ = _inv("dev.multienv", **own)
            _speak_everywhere(int(own["PROXY_PORT"]))
            memory = _memory(own["PROXY_PROJECT"], folder)
        finally:
            _inv("dev.multienv", "--down", **own)
    how = "from no state: emulated AWS, every stack of five environments, five containers, nginx; image present"
    return [
        at_most("`inv dev.multienv`", _ALL, [took], "s", how),
        at_most("… memory of all of it", _MEMORY, [memory], "GiB", "six containers, emulated AWS and its functions"),
    ]


def _speak_everywhere(port: int) -> None:
    """Have a clip spoken in each environment, so that each function is there, and takes its memory."""
    with httpx.Client(timeout=10, trust_env=False) as client:
        for name in environment.order():
            url = f"http://127.0.0.1:{port}/{nginx.path(name)}/soundbite"
            key = {"Idempotency-Key": str(uuid.uuid4())}
            clip = client.post(url, json={"text": "Here I am.", "userId": "bench"}, headers=key).json()
            deadline = time.monotonic() + 60
            while client.get(f"{url}/{clip['id']}").json()["status"] != "ready":
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{url} has not spoken within 60 s")
                time.sleep(0.1)


def _rehearsal(folder: str) -> dict[str, str]:
    first, second, _ = free_ports()
    return {
        "STATE_DIR": folder,
        "PROXY_PROJECT": f"soundbite-bench-{uuid.uuid4().hex[:8]}",
        "PROXY_PORT": str(first),
        "EMULATOR_PORT": str(second),
    }


def _memory(project: str, folder: str) -> float:
    """Return what runs of all environments, in GiB: containers as docker counts them, processes by their own pages."""
    total = 0.0
    for line in _docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}").splitlines():
        name, used, *_ = line.split()
        if name.startswith(project):
            number, unit = re.fullmatch(r"([\d.]+)(\w+)", used).groups()  # type: ignore[union-attr]
            total += float(number) * _UNITS[unit]
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("STATE_DIR", "").startswith(folder):
                total += process.memory_full_info().uss
    return total / 2**30


def _inv(*arguments: str, **more: str) -> tuple[float, str]:
    argv = [sys.executable, "-m", "invoke", "--search-root", str(paths.ROOT), *arguments]
    started = time.perf_counter()
    done = shell.run(argv, timeout=_TIMEOUT, cwd=Path("/"), env=dict(os.environ) | more)
    return time.perf_counter() - started, done.stdout


def _docker(*arguments: str) -> Any:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=_TIMEOUT, check=True)
    return done.stdout.strip()

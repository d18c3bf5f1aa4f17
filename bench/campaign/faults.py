"""Faults: each strikes something for real, and gives the way to mend it."""

from __future__ import annotations

import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.campaign.plan import AWS_FAULTS
from tests.containers.conftest import docker, pause
from tests.containers.rehearsals import answer

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from bench.campaign.plan import Blow
    from bench.campaign.stage import Stage

_BACK_WITHIN = 60.0
"""Seconds that a host gets to be back: the rehearsal's own start takes about ten."""


def strike(stage: Stage, blow: Blow, process: subprocess.Popen[str]) -> Callable[[], None]:
    """Strike; return what mends it, to be called when it has lasted long enough.

    Parameters
    ----------
    process:
        That of the operation.
    """
    if blow.fault.startswith("tool gets "):
        # Not os.kill: where it has ended, its number may be somebody else's.
        process.send_signal(signal.Signals[blow.fault.removeprefix("tool gets ")])
        return _nothing
    if blow.fault in AWS_FAULTS and blow.fault != "AWS stands still":
        stage.wire.fault = blow.fault
        return lambda: setattr(stage.wire, "fault", "")
    return _STRIKES.get(blow.fault, _none)(stage, blow.host)


def host_of(blow: Blow) -> int:
    """Return the host whose clients cannot be served meanwhile; 0: there is none."""
    return blow.host if blow.fault.startswith("host") else 0


def _nothing() -> None:
    pass


def _none(stage: Stage, host: int) -> Callable[[], None]:
    del stage, host
    return _nothing


def _cut(stage: Stage, host: int) -> Callable[[], None]:
    stage.place.host(host, "sh", "-c", "pkill -f '^sshd-session: deploy' || true")
    return _nothing


def _paused(stage: Stage, host: int) -> Callable[[], None]:
    pause(stage.place.container(host))

    def mend() -> None:
        docker("unpause", stage.place.container(host))
        _await(stage, host)

    return mend


def _stopped(stage: Stage, host: int) -> Callable[[], None]:
    docker("kill", stage.place.container(host))

    def mend() -> None:
        docker("start", stage.place.container(host))
        _await(stage, host)

    return mend


def _rebooted(stage: Stage, host: int) -> Callable[[], None]:
    docker("restart", "--time=2", stage.place.container(host))
    return lambda: _await(stage, host)


def _full(stage: Stage, host: int) -> Callable[[], None]:
    kept = f"/var/lib/{stage.place.variables['PROXY_PROJECT']}-{stage.place.environment}/deployments"
    fill = f"rm -rf /kept; cp -a {kept} /kept && mount -t tmpfs -o size=1m,mode=700 tmpfs {kept} && "
    fill += f"cp -a /kept/. {kept}/ && (cat /dev/zero > {kept}/.full || true)"
    stage.place.host(host, "sh", "-c", fill)
    # What was written meanwhile is kept, as on a disk on which there is room again.
    empty = f"rm -f {kept}/.full; rm -rf /kept; cp -a {kept} /kept; umount {kept}; "
    empty += f"find {kept} -mindepth 1 -delete; cp -a /kept/. {kept}/; rm -r /kept"

    def mend() -> None:
        stage.place.host(host, "sh", "-c", empty)

    return mend


def _engine(stage: Stage, host: int) -> Callable[[], None]:
    # Whatever keeps dockerd running there starts it again; where nothing does, a reboot of the host has to.
    stage.place.host(host, "sh", "-c", "pkill -x dockerd || true")

    def mend() -> None:
        time.sleep(2)
        if not _engine_answers(stage, host):
            docker("restart", "--time=2", stage.place.container(host))
        _await(stage, host)

    return mend


def _registry(stage: Stage, host: int) -> Callable[[], None]:
    del host
    name = f"{stage.place.variables['PROXY_PROJECT']}-registry"
    docker("stop", "--time=1", name)

    def mend() -> None:
        docker("start", name)

    return mend


def _still(stage: Stage, host: int) -> Callable[[], None]:
    del host
    (record,) = Path(stage.place.variables["STATE_DIR"]).rglob("run/emulator.json")
    process = psutil.Process(int(json.loads(record.read_text(encoding="utf-8"))["pid"]))
    process.suspend()
    return process.resume


_STRIKES = {
    "connections cut": _cut,
    "host paused": _paused,
    "host stopped": _stopped,
    "host rebooted": _rebooted,
    "host's disk full": _full,
    "host's engine restarted": _engine,
    "registry gone": _registry,
    "AWS stands still": _still,
}


def _engine_answers(stage: Stage, host: int) -> bool:
    try:
        stage.place.host(host, "docker", "info", "--format", "{{.ServerVersion}}")
    except AssertionError:
        return False
    return True


def _await(stage: Stage, host: int) -> None:
    """Wait until a host is back: its engine answers, and it serves what it served. The judge sees one that is not."""
    until = time.monotonic() + _BACK_WITHIN
    while time.monotonic() < until:
        with suppress(AssertionError, OSError, ValueError):
            if _engine_answers(stage, host) and answer(stage.place.hosts[host - 1])["name"]:
                return
        time.sleep(0.2)

"""Emulated AWS: ministack, a process or a container of ours, with its state under the environment's folder.

It saves its state only when it is stopped with SIGTERM; S3 objects it writes at once. So after a kill
everything but the objects is as it was at the last clean stop, and whoever starts it next says so.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import engine, files, node, ports, waiting, web
from .cloud import Cloud, explained
from .errors import SoundbiteError
from .processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from .environment import Environment
    from .services import Service

NAME = "emulator"
STOP_GRACE = 10.0
"""Seconds it gets to save its state: about 3 s with requests open (measured), more with a function running."""

_READY_TIMEOUT = 30.0
_LEAST_FREE = 64 * 2**20
"""Bytes that must be free: with less, the emulator reports writes that it could not keep."""

_PROGRAM = (
    "import functools, sys, botocore.session as botocore; "
    "botocore.get_session = functools.cache(botocore.get_session); "
    "from ministack.app import main; main()"
)
"""By itself it asks botocore's folder of models anew for each service, which is a sixth of its start."""
_WITHOUT_ENGINE = f"import sys; sys.modules['docker'] = None; {_PROGRAM}"
"""With the library it does not need, its first call of Lambda would take a third of a second longer."""

_CUT_OFF = re.compile(r'"StackStatus": "(?!REVIEW)\w+_IN_PROGRESS"')
_SETTLED = '"StackStatus": "UPDATE_ROLLBACK_COMPLETE"'
"""A state that cdk deploys over, which makes what is missing."""

_PROBES: dict[str, tuple[str, dict[str, str]]] = {
    "sts": ("get_caller_identity", {}),
    "cloudformation": ("list_stacks", {}),
    "dynamodb": ("list_tables", {}),
    "sqs": ("list_queues", {}),
    "s3": ("list_buckets", {}),
    "lambda": ("list_functions", {}),
    "logs": ("describe_log_groups", {}),
    "ssm": ("describe_parameters", {}),
    "secretsmanager": ("list_secrets", {}),
    "ecr": ("describe_repositories", {}),
}
"""A real call to each service that is used here."""


@dataclass(frozen=True)
class Started:
    """How a start went: whether it started now, and what is lost since the last time."""

    fresh: bool
    lost: str = ""


def process(environment: Environment) -> Process:
    """Return the emulator's process."""
    return Process(NAME, environment.emulator_state)


def start(environment: Environment, cloud: Cloud, emulator: Service, *, own_port: bool = True) -> Started:
    """Start the emulator unless it runs, and wait until every service used answers a real call.

    Parameters
    ----------
    emulator:
        What it runs as.
    own_port:
        Whether it listens on its port itself; a container's is published by another, before it starts.

    Raises
    ------
    SoundbiteError
        Its port is taken, it ended, or it is not ready within 30 s.
    """
    record = emulator.record()
    if emulator.pid() is not None:
        if record is not None and record.get("address") == _address(environment):
            _await_ready(environment, cloud, emulator, services=False)
            return Started(fresh=False)
        stop(environment, emulator)
    if own_port:
        _require_port(environment)
    emulator.stop(0)
    running = _running_file(environment)
    lost = _lost(environment) if running.exists() else ""
    if lost:
        _drop_unknown_buckets(environment)
    _follow_address(environment)
    _settle_stacks(environment)
    folders = {name: _kept(environment) / name for name in ("state", "s3", "tmp")}
    shutil.rmtree(folders["tmp"], ignore_errors=True)
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folders["state"]).free
    if free < _LEAST_FREE:
        raise SoundbiteError(
            f"Only {free // 2**20} MiB are free for {environment.state}: too few to keep what is written.",
            "Free some space, or set STATE_DIR to a folder on another disk.",
        )
    files.write(running, "")
    emulator.start(
        [sys.executable, "-c", _PROGRAM if environment.emulator.engine else _WITHOUT_ENGINE],
        env=_variables(environment, folders),
        cwd=environment.emulator_state,
        notes={"address": _address(environment), "port": environment.emulator.port},
    )
    _await_ready(environment, cloud, emulator, services=True)
    return Started(fresh=True, lost=lost)


def stop(environment: Environment, emulator: Service) -> str:
    """Stop the emulator so that it saves its state.

    Returns
    -------
    str
        What went wrong with the state; empty if it was saved.
    """
    ran = emulator.pid() is not None
    last = emulator.tail if ran else (lambda _lines: "")
    gentle = emulator.stop(STOP_GRACE)
    if not ran:
        return ""
    if not gentle:
        return f"killed, because it did not end within {STOP_GRACE:.0f} s: what was written since its start is lost"
    failed = [line for line in last(200).splitlines() if "ERROR [persistence]" in line]
    if failed:
        return f"it could not save its state: {failed[-1]}"
    _running_file(environment).unlink(missing_ok=True)
    return ""


def containers(environment: Environment) -> list[dict[str, Any]]:
    """Return what `docker inspect` says of the containers that it has made, one for each task of ECS."""
    if not environment.emulator.engine:
        return []
    return engine.containers(f"ministack.instance={_instance(environment)}")


def _instance(environment: Environment) -> str:
    """Return what the emulator labels its containers with; its port is nobody else's."""
    return f"{environment.emulator.host}:{environment.emulator.port}"


def _kept(environment: Environment) -> Path:
    return environment.emulator_state / "emulator"


def _running_file(environment: Environment) -> Path:
    """Return the file that is there from before the emulator starts until it has saved its state."""
    return _kept(environment) / "running"


def _address(environment: Environment) -> str:
    return f"{environment.endpoint_url}/"


def _await_ready(environment: Environment, cloud: Cloud, emulator: Service, *, services: bool) -> None:
    import httpx

    deadline = time.monotonic() + _READY_TIMEOUT
    address = f"{environment.endpoint_url}/_ministack/ready"
    while True:
        began = time.monotonic()
        try:
            if web.get(address, 2).status_code == httpx.codes.OK:
                break
        except httpx.HTTPError:
            pass
        if emulator.pid() is None:
            raise SoundbiteError(f"The emulator ended at once. The end of its log:\n{emulator.tail()}")
        if time.monotonic() > deadline:
            raise SoundbiteError(
                f"The emulator does not answer on {address} after {_READY_TIMEOUT:.0f} s.\n{emulator.tail(5)}",
                "inv dev.down stops it; inv dev.reset also deletes its state.",
            )
        waiting.pause(began, 0.02)
    if services:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda service: _probe(cloud, service), _PROBES))


def _probe(cloud: Cloud, service: str) -> None:
    method, arguments = _PROBES[service]
    with explained(f"{service}:{method}", cloud.environment):
        getattr(cloud.client(service), method)(**arguments)


def _require_port(environment: Environment) -> None:
    file = "rehearsal" if environment.emulator.shared else f"{environment.name}.local"
    ports.require_free(environment.emulator.port, "EMULATOR_PORT", f"envs/{file}.env")


def _lost(environment: Environment) -> str:
    saved = [path.stat().st_mtime for path in (_kept(environment) / "state").glob("*.json")]
    if saved:
        since = f"since {time.strftime('%F %T', time.localtime(max(saved)))}"
        kept = "Kept are what was saved then, and the audio files."
    else:
        since, kept = "since its first start", "Nothing had been saved yet."
    return (
        f"The emulator had ended without saving (was it killed?). Lost is what was written {since}: "
        f"clips, messages, stacks and logs. {kept} The infrastructure is brought up to date."
    )


def _follow_address(environment: Environment) -> None:
    """Rewrite the saved state for another address: the addresses of queues in it are those of their making."""
    kept = _kept(environment)
    address, note = _address(environment), kept / "address"
    before = note.read_text(encoding="utf-8") if note.exists() else address
    if before != address:
        for path in (kept / "state").glob("*.json"):
            files.write(path, path.read_text(encoding="utf-8").replace(before, address))
    files.write(note, address)


def _settle_stacks(environment: Environment) -> None:
    """Settle stacks that were being worked on when it was stopped: nothing goes on with them, and cdk would wait."""
    path = _kept(environment) / "state" / "cloudformation.json"
    if path.exists():
        files.write(path, _CUT_OFF.sub(_SETTLED, path.read_text(encoding="utf-8")))


def _drop_unknown_buckets(environment: Environment) -> None:
    """Delete the objects of buckets that the saved state does not know: nobody could reach or replace them."""
    kept = _kept(environment)
    try:
        known = (kept / "state" / "s3.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ""
    for bucket in (kept / "s3").glob("[0-9]*/*"):
        if bucket.name not in known:
            shutil.rmtree(bucket)


def _docker_host(environment: Environment) -> str:
    """Return the address of the engine that it may use; elsewhere one on the machine is none of its business."""
    if not environment.emulator.engine:
        return "unix:///nonexistent"
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def _variables(environment: Environment, folders: dict[str, Path]) -> dict[str, str]:
    # Functions inherit all of this, so only what is needed is given; node first on PATH runs them.
    kept = ("HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
    return {
        **{name: os.environ[name] for name in kept if name in os.environ},
        "PATH": node.path_variable(),
        "BIND_HOST": environment.emulator.host,
        "MINISTACK_HOST": environment.emulator.host,
        "MINISTACK_HOSTNAME": environment.emulator.host,
        "GATEWAY_PORT": str(environment.emulator.port),
        # What functions are told; by itself it would say 127.0.0.1.
        "AWS_ENDPOINT_URL": _address(environment).rstrip("/"),
        "MINISTACK_REGION": environment.aws.region,
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": _docker_host(environment),
        "PERSIST_STATE": "1",
        "STATE_DIR": str(folders["state"]),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(folders["s3"]),
        "TMPDIR": str(folders["tmp"]),
        "NODE_OPTIONS": "--no-deprecation",
        # Its own log at INFO repeats every function's log; the processor's is shown by itself.
        "LOG_LEVEL": "WARNING",
        "PYTHONUNBUFFERED": "1",
    }

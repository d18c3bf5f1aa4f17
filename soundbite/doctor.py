"""`inv doctor`: everything that a task needs of this machine, and the command that mends what is missing."""

from __future__ import annotations

import json
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import engine, node, paths, ports, processes, shell
from . import environment as environments
from .cloud import Cloud
from .errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable


FOUND, MISSING, TOO_OLD, REFUSED, TAKEN = "found", "missing", "too old", "refused", "taken"

_TIMEOUT = 15
_LEAST_FREE = 2 * 2**30
"""Bytes: the requirements take 0.8 GB installed, node_modules and assemblies 0.5 GB."""

_HERE = "dev.localstack, setup-localstack, test"
_CONTAINERS = "build, images.*, dev.multienv, dev.* --containers, envs.show --compose"


@dataclass(frozen=True)
class Finding:
    """What was found out about one thing.

    Attributes
    ----------
    state:
        found, missing, too old, refused or taken.
    tasks:
        The tasks that need it.
    mend:
        The command, or the step, that puts it right; empty where nothing is wrong.
    optional:
        Whether the two first commands of the README work without it.
    """

    name: str
    state: str
    detail: str
    tasks: str
    mend: str = ""
    optional: bool = False

    @property
    def well(self) -> bool:
        """Whether it is as it should be."""
        return self.state == FOUND


def examine() -> list[Finding]:
    """Look at everything, at once."""
    local = environments.load("dev-localstack")
    looks: list[Callable[[], Finding]] = [
        _python,
        _git,
        _node,
        _aws_cdk,
        lambda: _port("EMULATOR_PORT", local.emulator.port, processes.Process("emulator", local.state)),
        lambda: _port("APP_PORT", local.app.port, processes.Process("app", local.state)),
        _disk,
        _state,
        _engine,
        _compose,
        _ssh,
        *(lambda name=name: _credentials(name) for name in environments.order()),
    ]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda look: look(), looks))


def as_json(findings: list[Finding]) -> list[dict[str, Any]]:
    """Return the findings as plain values."""
    return [asdict(each) for each in findings]


def exit_code(findings: list[Finding]) -> int:
    """Return 1 if something is wrong that is not optional, else 0."""
    return int(any(not each.well and not each.optional for each in findings))


def judge_aws_cdk(version: str) -> tuple[str, str]:
    """Judge a version of the aws-cdk program.

    Returns
    -------
    tuple
        The state and why. 3.x is refused: the registry's 3.0.0 is older code that reads cloud assemblies
        up to schema 43 and rejects the 55 of aws-cdk-lib 2.27x; it has no drift, refactor and flags.
    """
    wanted = json.loads((paths.CDK / "package.json").read_text(encoding="utf-8"))
    pinned = str((wanted.get("dependencies", {}) | wanted.get("devDependencies", {}))["aws-cdk"])
    if version.startswith("3."):
        return REFUSED, f"{version} is older code than 2.x in spite of its number and cannot read our assemblies"
    if version != pinned:
        newer = _numbers(version) > _numbers(pinned)
        return REFUSED if newer else TOO_OLD, f"{version}, but cdk/package.json pins {pinned}"
    return FOUND, version


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version))


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    state = FOUND if sys.version_info >= (3, 11) else TOO_OLD
    return Finding("python", state, f"{version} ({sys.executable})", "all", "" if state == FOUND else "Install 3.11+.")


def _git() -> Finding:
    version = _version(["git", "--version"])
    if not version:
        return Finding("git", MISSING, "not on PATH", _HERE, "apt-get install git, or brew install git")
    return Finding("git", FOUND, version, _HERE)


def _node() -> Finding:
    try:
        chosen = node.choose()
    except SoundbiteError as error:
        return Finding("node", MISSING, error.message, _HERE, "./scripts/inv doctor")
    return Finding("node", FOUND, f"{chosen.version} ({'from pip' if chosen.bundled else chosen.program})", _HERE)


def _aws_cdk() -> Finding:
    tasks = f"{_HERE}, dev.aws, cdk.diff, cdk.deploy, cdk.destroy"
    mend = "rm -r cdk/node_modules; inv cdk.synth --env=dev-localstack"
    try:
        manifest = paths.CDK / "node_modules" / "aws-cdk" / "package.json"
        version = str(json.loads(manifest.read_text(encoding="utf-8"))["version"])
    except (NotADirectoryError, ValueError, KeyError, TypeError):
        return Finding("aws-cdk", MISSING, "only half installed", tasks, mend)
    except FileNotFoundError:
        return Finding(
            "aws-cdk", MISSING, "not installed yet; the first task that needs it does", tasks, mend, optional=True
        )
    state, why = judge_aws_cdk(version)
    return Finding("aws-cdk", state, why, tasks, "" if state == FOUND else mend)


def _port(key: str, port: int, ours: processes.Process) -> Finding:
    holder = ports.listener(port)
    if holder is None:
        return Finding(key, FOUND, f"{port} is free", _HERE)
    # Only a process of ours that lives can hold it: a record may be older than whoever came after.
    if ours.pid() is not None and (ours.record() or {}).get("port") == port:
        return Finding(key, FOUND, f"{port} is ours: {holder}", _HERE)
    return Finding(key, TAKEN, f"{port} is taken by {holder}", _HERE, f"Stop it, or {key}={port + 1} inv …")


def _disk() -> Finding:
    free = shutil.disk_usage(paths.ROOT).free
    detail = f"{free / 2**30:.1f} GiB free"
    if free < _LEAST_FREE:
        return Finding("disk", MISSING, detail, "all", f"Free {_LEAST_FREE / 2**30:.0f} GiB.")
    return Finding("disk", FOUND, detail, "all")


def _state() -> Finding:
    folder = paths.CACHE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        return Finding(".soundbite", REFUSED, f"{folder}: {error.strerror}", "all", f"chown -R $USER {folder.parent}")
    return Finding(".soundbite", FOUND, f"{folder.parent} can be written", "all")


def _engine() -> Finding:
    try:
        completed = engine.run(["docker", "version", "--format", "{{.Server.Version}}"], timeout=_TIMEOUT)
    except SoundbiteError as error:
        state = REFUSED if "permission" in error.message else MISSING
        return Finding("docker engine", state, error.message.splitlines()[0], _CONTAINERS, error.hint, optional=True)
    return Finding("docker engine", FOUND, completed.stdout.strip(), _CONTAINERS, optional=True)


def _compose() -> Finding:
    version = _version(["docker", "compose", "version", "--short"])
    if not version:
        mend = "scripts/engine up, or install the plugin docker-compose-plugin"
        return Finding("docker compose", MISSING, "no Compose v2", _CONTAINERS, mend, optional=True)
    return Finding("docker compose", FOUND, version, _CONTAINERS, optional=True)


def _ssh() -> Finding:
    program = shutil.which("ssh")
    if program is None:
        return Finding("ssh", MISSING, "not on PATH", "none yet", "apt-get install openssh-client", optional=True)
    return Finding("ssh", FOUND, program, "none yet", optional=True)


def _credentials(name: str) -> Finding:
    label = f"account of {name}"
    try:
        environment = environments.load(name)
    except SoundbiteError as error:
        return Finding(label, REFUSED, error.message.splitlines()[0], "all", "inv envs.check", optional=True)
    if environment.emulator.mode == "embedded":
        return Finding(label, FOUND, f"{environment.aws.account_id}, emulated", _HERE)
    tasks = f"cdk.* --env={name}" + (f", dev.{name.removeprefix('dev-')}" if environment.local else "")
    try:
        arn = Cloud(environment).require_account()
    except SoundbiteError as error:
        return Finding(label, REFUSED, error.message.splitlines()[0], tasks, error.hint, optional=True)
    return Finding(label, FOUND, f"{environment.aws.account_id} as {arn}", tasks, optional=True)


def _version(argv: list[str]) -> str:
    try:
        completed = shell.run(argv, timeout=_TIMEOUT, check=False)
    except SoundbiteError:
        return ""
    found = re.search(r"\d+(\.\d+)+\S*", completed.stdout)
    return found[0] if found and completed.code == 0 else ""

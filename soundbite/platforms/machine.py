"""The application as a process of this machine, following changes of its source."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING

from soundbite import node, paths, processes, secrets
from soundbite.errors import SoundbiteError
from soundbite.processes import Process

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment

NAME = "app"
STOP_GRACE = 4.0
"""Seconds the application gets to finish the requests it has."""

WORKING_TREE = "working-tree"
"""What stands for the release where the application runs from its source."""

_POLL = 0.05


def process(environment: Environment) -> Process:
    """Return the application's process."""
    return Process(NAME, environment.state)


def runs(environment: Environment) -> bool:
    """Tell whether the application runs."""
    return process(environment).pid() is not None


def require_ports(environment: Environment, *, inspect: bool) -> None:
    """Refuse when somebody else listens on a port that the application needs.

    Raises
    ------
    SoundbiteError
        A port is taken; the message says by whom.
    """
    own = f"envs/{environment.name}.local.env"
    processes.require_port(environment.app.port, "APP_PORT", own)
    if inspect:
        processes.require_port(environment.app.inspect_port, "APP_INSPECT_PORT", own)


def variables(environment: Environment, cloud: Cloud, output: Callable[[str], str]) -> dict[str, str]:
    """Return what the application reads: what every application gets, and its own APP_ENV_* bound to values.

    Raises
    ------
    ConfigurationError
        A reference leads nowhere.
    """
    return {
        "HOST": environment.app.host,
        "PORT": str(environment.app.port),
        "ENVIRONMENT": environment.name,
        "RELEASE": WORKING_TREE,
        "REVISION": revision(),
        **secrets.bind(environment.app_env, cloud, output),
    }


def start(environment: Environment, cloud: Cloud, output: Callable[[str], str], *, inspect: bool = False) -> bool:
    """Start the application with reload, unless it runs already with the same settings.

    Returns
    -------
    bool
        Whether it was started now.

    Raises
    ------
    SoundbiteError
        Its port is taken, or its program is not there.
    """
    app = process(environment)
    argv = list(environment.app.reload or environment.app.start)
    own = variables(environment, cloud, output)
    if inspect:
        own["INSPECT"] = f"127.0.0.1:{environment.app.inspect_port}"
    public = {name: value for name, value in own.items() if name != "REVISION" and not _secret(environment, name)}
    wanted = processes.fingerprint(argv, public, str(environment.endpoint_url))
    record = app.record()
    if app.pid() is not None and record is not None and record.get("fingerprint") == wanted:
        return False
    app.stop(STOP_GRACE)
    require_ports(environment, inspect=inspect)
    env = cloud.variables() | {"PATH": node.path_variable()} | own
    app.start(argv, env=env, cwd=environment.app_dir, notes={"fingerprint": wanted, "port": environment.app.port})
    return True


def await_ready(environment: Environment) -> None:
    """Wait until the application is up and what it depends on answers.

    Raises
    ------
    SoundbiteError
        It ended (its own last lines are in the message), or is not ready within APP_START_TIMEOUT.
    """
    deadline = time.monotonic() + environment.app.start_timeout
    app = process(environment)
    for path in (environment.app.health_path, environment.app.ready_path or environment.app.health_path):
        while (problem := answer(environment, path)) is not None:
            if app.pid() is None:
                raise SoundbiteError(
                    f"The application ended while starting. Its last lines:\n{_indented(app.tail())}",
                    f"Its whole log is {app.log}.",
                )
            if time.monotonic() > deadline:
                raise SoundbiteError(
                    f"The application is not ready after {environment.app.start_timeout:.0f} s: "
                    f"{environment.app_url}{path}: {problem}. Its last lines:\n{_indented(app.tail())}",
                    f"Its whole log is {app.log}; APP_START_TIMEOUT gives it more time.",
                )
            time.sleep(_POLL)


def answer(environment: Environment, path: str) -> str | None:
    """Ask the application for one of its paths: None if it answers 200, else what is wrong."""
    import httpx

    try:
        response = httpx.get(f"{environment.app_url}{path}", timeout=5, trust_env=False)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    return None if response.status_code == httpx.codes.OK else f"{response.status_code}: {response.text[:300]}"


def revision() -> str:
    """Return the commit of the checkout, with `-dirty` behind it where it has changes; `unknown` without git."""
    try:
        described = subprocess.run(
            ["git", "-C", str(paths.ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return described.stdout.strip() or "unknown"


def _secret(environment: Environment, name: str) -> bool:
    setting = environment.app_env.get(name)
    return setting is not None and setting.reference is not None and setting.reference.secret


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines()) or "  (it printed nothing)"

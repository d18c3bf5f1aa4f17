"""The application as a process of this machine, following changes of its source."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from soundbite import checkout, emulator, node, ports, processes, secrets
from soundbite.processes import Process
from soundbite.tails import Tail

from . import processor, serving
from .room import APP, WORKING_TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment
    from soundbite.services import Service

STOP_GRACE = 4.0
"""Seconds the application gets to finish the requests it has."""

_POLL = 0.1


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
        "REVISION": checkout.revision(),
        **secrets.bind(environment.app_env, cloud, output),
    }


class Machine:
    """A local environment's services as processes of this machine; a `Room`."""

    containers = False

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.app = Process(APP, environment.state)

    def services(self) -> list[tuple[Service, float]]:
        """Return every process with its grace in seconds, in the order of stopping."""
        found: list[tuple[Service, float]] = [
            (self.app, STOP_GRACE),
            (processor.process(self.environment), processor.STOP_GRACE),
        ]
        # One that was started stays ours, also when the settings name another by now.
        emulated = emulator.process(self.environment)
        if self.environment.emulator.mode == "embedded" or emulated.record() is not None:
            found.append((emulated, emulator.STOP_GRACE))
        return found

    def require_ports(self, *, inspect: bool) -> None:
        """Refuse when somebody else listens on a port that the application needs.

        Raises
        ------
        SoundbiteError
            A port is taken; the message says by whom.
        """
        own = f"envs/{self.environment.name}.local.env"
        ports.require_free(self.environment.app.port, "APP_PORT", own)
        if inspect:
            ports.require_free(self.environment.app.inspect_port, "APP_INSPECT_PORT", own)

    def prepare(self, tell: Callable[[str], None], *, inspect: bool) -> str:  # noqa: ARG002
        """Do nothing: processes run from the checkout."""
        return ""

    def follow_processor(self, cloud: Cloud, function: str, log_group: str) -> None:
        """Show the processor's log, and keep its code fresh."""
        processor.start(self.environment, cloud, function, log_group)

    def start_app(self, cloud: Cloud, output: Callable[[str], str], *, inspect: bool) -> bool:
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
        environment = self.environment
        argv = list(environment.app.reload or environment.app.start)
        own = variables(environment, cloud, output)
        if inspect:
            own["INSPECT"] = f"127.0.0.1:{environment.app.inspect_port}"
        public = {
            name: value
            for name, value in own.items()
            if name != "REVISION" and not serving.is_secret(environment, name)
        }
        wanted = processes.fingerprint(argv, public, str(environment.endpoint_url))
        record = self.app.record()
        if self.app.pid() is not None and record is not None and record.get("fingerprint") == wanted:
            return False
        self.app.stop(STOP_GRACE)
        self.require_ports(inspect=inspect)
        env = cloud.variables() | {"PATH": node.path_variable()} | own
        notes = {"fingerprint": wanted, "port": environment.app.port}
        self.app.start(argv, env=env, cwd=environment.app_dir, notes=notes)
        return True

    def await_ready(self) -> None:
        """Wait until the application is up and what it depends on answers.

        Raises
        ------
        SoundbiteError
            It ended, or is not ready within APP_START_TIMEOUT.
        """
        serving.await_ready(self.environment, self.app, self.environment.app_url, str(self.app.log))

    def ended(self) -> None:
        """Do nothing: a process that was stopped leaves only its log."""

    def follow(self, names: Sequence[str], show: Callable[[str, str], None], watch: Callable[[], None]) -> None:
        """Show what processes print, by name and line, until `watch` raises."""
        tails = {
            each.name: Tail(each.log) for each, _ in self.services() if each.name in names and isinstance(each, Process)
        }
        while True:
            for name, tail in tails.items():
                for line in tail.lines():
                    show(name, line)
            watch()
            time.sleep(_POLL)

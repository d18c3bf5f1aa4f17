"""The loaded environment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from soundbite import paths

from .keys import (
    App,
    Aws,
    Bucket,
    Budget,
    Ecs,
    Emulator,
    Hosts,
    Image,
    Logs,
    Processor,
    Proxy,
    Queue,
    Table,
    Workflow,
    all_keys,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .layers import Origin
    from .references import Reference


class Setting(NamedTuple):
    """One setting: its text after expansion, where it came from, and the reference it is, if it is one."""

    key: str
    text: str
    origin: Origin
    reference: Reference | None = None


class Environment(NamedTuple):
    """One of the environments, as its files describe it.

    References in `app_env` and `processor_env` are not bound yet: `soundbite.secrets` and the stacks'
    outputs do that at the last moment.
    """

    name: str
    settings: Mapping[str, Setting]
    workflow: Workflow
    aws: Aws
    emulator: Emulator
    app: App
    image: Image
    proxy: Proxy
    hosts: Hosts
    ecs: Ecs
    processor: Processor
    table: Table
    queue: Queue
    bucket: Bucket
    logs: Logs
    budget: Budget

    @property
    def local(self) -> bool:
        """Whether the application runs on this machine."""
        return self.workflow.platform == "local"

    @property
    def emulated(self) -> bool:
        """Whether its AWS is an emulator of ours."""
        return self.emulator.mode != "none"

    @property
    def endpoint_url(self) -> str | None:
        """Where its AWS answers; None for AWS itself."""
        if self.emulator.mode == "embedded":
            host = f"[{self.emulator.host}]" if ":" in self.emulator.host else self.emulator.host
            return f"http://{host}:{self.emulator.port}"
        return self.aws.endpoint_url

    @property
    def state(self) -> Path:
        """The folder of what a local environment keeps."""
        return paths.ROOT / self.workflow.state_dir / self.name

    @property
    def emulator_state(self) -> Path:
        """The folder of what its emulator keeps: the environment's own, or one for all that share the emulator."""
        return self.state.with_name("shared") if self.emulator.shared else self.state

    @property
    def app_dir(self) -> Path:
        """The application's folder."""
        return paths.ROOT / self.app.dir

    @property
    def app_url(self) -> str:
        """Where the application answers from here: on this machine its own port, else its public address."""
        return f"http://{self.app.host}:{self.app.port}" if self.local else self.app.url

    @property
    def app_env(self) -> dict[str, Setting]:
        """What is passed on to the application, by the name that it reads."""
        return self._passed_on("APP_ENV_")

    @property
    def processor_env(self) -> dict[str, Setting]:
        """What is passed on to the processor, by the name that it reads."""
        return self._passed_on("PROCESSOR_ENV_")

    def stack_name(self, stack: str) -> str:
        """Return the CloudFormation name of one of its stacks, for example SoundBite-staging-Database."""
        return f"{self.workflow.project}-{self.name}-{stack}"

    def synth_settings(self) -> str:
        """Return the settings that the infrastructure depends on, as JSON with sorted keys."""
        chosen = {name: self.settings[name].text for name, key in all_keys().items() if key.synth}
        chosen |= {name: setting.text for name, setting in self.settings.items() if name.startswith("PROCESSOR_ENV_")}
        chosen |= {
            setting.key: setting.text
            for setting in self.app_env.values()
            if setting.reference is not None and setting.reference.kind in {"secretsmanager", "ssm"}
        }
        return json.dumps({"ENVIRONMENT": self.name, **chosen}, sort_keys=True)

    def _passed_on(self, prefix: str) -> dict[str, Setting]:
        return {
            name.removeprefix(prefix): setting
            for name, setting in self.settings.items()
            if name.startswith(prefix) and setting.text
        }

"""The settings of one environment's infrastructure, typed.

They come as the JSON that `Environment.synth_settings()` writes, and every text is parsed by the kind that
`soundbite.environment.keys` gives its key, so that a setting means here what it means everywhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from soundbite.environment import kinds, references, tags
from soundbite.environment.keys import (
    REQUIRED,
    App,
    Bucket,
    Ecs,
    Hosts,
    Key,
    Logs,
    Processor,
    Queue,
    Table,
    Workflow,
    key_name,
)
from soundbite.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soundbite.environment.keys import Section
    from soundbite.environment.references import Reference

_PASSED_ON = "PROCESSOR_ENV_"
_SECRETS = "APP_ENV_"
_Section = TypeVar("_Section", Processor, Table, Queue, Bucket, Logs)


@dataclass(frozen=True)
class ApiHosts:
    """What the infrastructure depends on of the section Hosts; the rest of it is the way to them."""

    count: int
    instance_type: str
    http_port: int


@dataclass(frozen=True)
class ApiTasks:
    """What the infrastructure depends on of the sections App and Ecs; the workflow makes the tasks themselves."""

    health_path: str
    ready_path: str | None
    drain: float
    certificate: str | None


@dataclass(frozen=True)
class Settings:
    """What the infrastructure of one environment depends on.

    Attributes
    ----------
    secrets:
        The secrets in AWS that the application gets, each once: whoever starts its containers has to read them.
    processor_dir:
        The built processor; None where the application has none.
    processor_env:
        What the processor finds in its environment; a value may be a reference `output:Stack.Name`.
    assembly_dir:
        Where the cloud assembly goes.
    validate:
        Whether CDK validates the templates.
    """

    project: str
    environment: str
    platform: str
    owner: str
    cost_center: str
    account: str
    region: str
    retain_data: bool
    hosts: ApiHosts
    tasks: ApiTasks
    processor: Processor
    table: Table
    queue: Queue
    bucket: Bucket
    logs: Logs
    secrets: tuple[Reference, ...]
    processor_env: Mapping[str, str]
    processor_dir: Path | None
    assembly_dir: Path
    validate: bool

    @property
    def tags(self) -> dict[str, str]:
        """The tags of every stack and of every resource that can have tags."""
        return tags.of(
            project=self.project, environment=self.environment, owner=self.owner, cost_center=self.cost_center
        )

    @classmethod
    def read(cls, path: str) -> Settings:
        """Read the JSON file at `path`.

        Raises
        ------
        ConfigurationError
            There is no such file, it is no JSON object of texts, or a setting is missing or wrong: all of them at once.
        """
        if not path:
            raise ConfigurationError("SYNTH_SETTINGS is not set.", "It names the file that `inv cdk.synth` writes.")
        try:
            texts = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
            raise ConfigurationError(f"SYNTH_SETTINGS={path} cannot be read: {reason}.") from None
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            raise ConfigurationError(f"SYNTH_SETTINGS={path} is not an object of texts.")
        return cls.parse(texts)

    @classmethod
    def parse(cls, texts: Mapping[str, str]) -> Settings:
        """Make settings of texts by their keys.

        Raises
        ------
        ConfigurationError
            A setting is missing or wrong: all of them at once, in one line.
        """
        parser = _Parser(texts)
        settings = cls(
            project=parser.text("PROJECT", kinds.PROJECT_NAME),
            environment=parser.text("ENVIRONMENT", kinds.ENVIRONMENT_NAME),
            platform=parser.text("PLATFORM", Workflow.keys["platform"].kind),
            owner=parser.text("OWNER", kinds.TEXT),
            cost_center=parser.text("COST_CENTER", kinds.TEXT),
            account=parser.text("AWS_ACCOUNT_ID", kinds.ACCOUNT),
            region=parser.text("AWS_REGION", kinds.REGION),
            retain_data=parser.flag("RETAIN_DATA"),
            hosts=ApiHosts(**parser.inputs(Hosts)),
            tasks=ApiTasks(**parser.inputs(App), **parser.inputs(Ecs)),
            processor=parser.section(Processor),
            table=parser.section(Table),
            queue=parser.section(Queue),
            bucket=parser.section(Bucket),
            logs=parser.section(Logs),
            secrets=parser.secrets(),
            processor_env={
                name.removeprefix(_PASSED_ON): text
                for name, text in sorted(texts.items())
                if name.startswith(_PASSED_ON) and text
            },
            processor_dir=parser.folder("PROCESSOR_DIR"),
            assembly_dir=Path(parser.text("ASSEMBLY_DIR", kinds.TEXT)),
            validate=parser.flag("VALIDATE"),
        )
        parser.finish()
        return settings


class _Parser:
    """Parses texts by their keys and keeps what is wrong, to tell it all at once.

    A wrong setting gives an empty value, which nobody sees, because `finish` raises.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._missing: list[str] = []
        self._wrong: list[str] = []

    def text(self, name: str, kind: kinds.Kind) -> str:
        if name in self._texts and not self._texts[name]:
            self._wrong.append(f"{name} must not be empty")
            return ""
        return str(self._parse(name, kind) or "")

    def flag(self, name: str) -> bool:
        return bool(self._parse(name, kinds.FLAG))

    def folder(self, name: str) -> Path | None:
        text = self._parse(name, kinds.TEXT)
        if text and not Path(text).is_dir():
            self._wrong.append(f"{name} is not a folder: {text}")
        return Path(text) if text else None

    def section(self, section: type[_Section]) -> _Section:
        return section({name: self._field(key_name(section, name), key) for name, key in section.keys.items()})

    def inputs(self, section: type[Section]) -> dict[str, Any]:
        """Return those of a section's settings that the infrastructure depends on."""
        return {name: self._field(key_name(section, name), key) for name, key in section.keys.items() if key.synth}

    def secrets(self) -> tuple[Reference, ...]:
        """Return what the application's settings refer to, without the keys in it, in alphabetical order."""
        found: set[Reference] = set()
        for name, text in self._texts.items():
            if name.startswith(_SECRETS):
                try:
                    reference = references.parse(text)
                except ValueError as error:
                    self._wrong.append(f"{name} {error}, not {text!r}")
                    continue
                if reference is not None:
                    found.add(reference._replace(target=reference.target.partition("#")[0]))
        return tuple(sorted(found))

    def finish(self) -> None:
        """Raise what was found wrong."""
        if self._missing or self._wrong:
            missing = [f"{', '.join(self._missing)} missing"] if self._missing else []
            raise ConfigurationError(
                f"The settings of the infrastructure are wrong: {'; '.join([*missing, *self._wrong])}.",
                "They are Environment.synth_settings(), PROCESSOR_DIR, ASSEMBLY_DIR and VALIDATE; use inv cdk.synth.",
            )

    def _field(self, name: str, key: Key) -> Any:
        if key.default != REQUIRED and not key.default and not self._texts.get(name, "?"):
            return None
        value = self._parse(name, key.kind)
        if key.kind.name.startswith("duration") and isinstance(value, float) and not value.is_integer():
            self._wrong.append(f"{name} must be whole seconds here, not {self._texts[name]}")
        return value

    def _parse(self, name: str, kind: kinds.Kind) -> Any:
        if name not in self._texts:
            self._missing.append(name)
            return None
        try:
            return kind.parse(self._texts[name])
        except ValueError as error:
            self._wrong.append(f"{name} {error}, not {self._texts[name]!r}")
            return None

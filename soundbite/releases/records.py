"""What the ledger keeps: releases, deployments, and the journal of the operation that makes one.

A record is written whole, as JSON, under a schema version; who reads one of a newer schema stops.
"""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from hashlib import sha256
from types import UnionType
from typing import Any, ClassVar, Self, get_args, get_origin, get_type_hints

from soundbite.errors import ConfigurationError

SCHEMA = 1
"""The version of all records' form. A change that older tools would misread raises it."""

TOOL = "0.1.0"
"""The least version of this workflow that reads what it writes."""

DEPLOY, ROLLBACK = "deploy", "rollback"

PLANNED, STAGED, SWITCHED, RECORDED = "planned", "staged", "switched", "recorded"
"""The states of an operation, in their order."""


class Record:
    """A record of the ledger: a dataclass that is kept as JSON.

    `options`: what some of its fields may be.
    """

    kind: ClassVar[str]
    options: ClassVar[dict[str, tuple[str, ...]]] = {}

    def body(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)  # type: ignore[call-overload]

    def wrong(self) -> list[str]:
        """Return the fields that are not what the class says of them."""
        hints = {name: each for name, each in get_type_hints(type(self)).items() if get_origin(each) is not ClassVar}
        found = {name: getattr(self, name) for name in hints}
        return [
            name
            for name, value in found.items()
            if not is_a(value, hints[name]) or value not in self.options.get(name, (value,))
        ]

    @classmethod
    def read(cls, body: str) -> Self:
        """Read it from JSON; what this version does not know is passed over.

        Raises
        ------
        ConfigurationError
            It is no record of this kind.
        """
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            raise cls._garbage("no JSON") from None
        if not isinstance(said, dict):
            raise cls._garbage("no object")
        known = fields(cls)  # type: ignore[arg-type]
        lacking = [each.name for each in known if _required(each) and each.name not in said]
        if lacking:
            raise cls._garbage(f"without {', '.join(lacking)}")
        record = cls(**{each.name: said[each.name] for each in known if each.name in said})
        wrong = record.wrong()
        if wrong:
            raise cls._garbage(f"with another {', '.join(wrong)} than there can be")
        return record

    @classmethod
    def _garbage(cls, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"The ledger has something else where a {cls.kind} should be: {why}.",
            "Was it written by hand? Restore the table to a point before (point-in-time recovery).",
        )


def _required(known: Field[Any]) -> bool:
    return known.default is MISSING and known.default_factory is MISSING


def is_a(value: Any, wanted: Any) -> bool:
    """Tell whether a value is of a type, and all that is in it; a type is one of those that records have."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any:
        return True
    if origin is UnionType:
        return any(is_a(value, each) for each in inner)
    if origin is dict:
        return isinstance(value, dict) and all(is_a(k, inner[0]) and is_a(v, inner[1]) for k, v in value.items())
    if origin is list:
        return isinstance(value, list) and all(is_a(each, inner[0]) for each in value)
    if isinstance(value, bool):
        return wanted is bool
    return isinstance(value, int | float) and abs(value) < _LARGEST if wanted is float else isinstance(value, wanted)


_LARGEST = 1e300
"""Seconds of nobody's; larger ones cannot be printed."""


@dataclass(frozen=True)
class Release(Record):
    """What was built, and moves along the chain unchanged.

    Attributes
    ----------
    id:
        Made of the digests: the same content is the same release.
    image:
        The digest of the application's image, the same in every registry.
    processor:
        The digest of the image with the processor's code; None where there is no processor.
    commit:
        What it was built from; `-dirty` behind it only in a rehearsal.
    trees:
        Hashes of the folders cdk/ and envs/ at that time.
    built:
        When, RFC 3339.
    irreversible:
        Why it cannot be taken back, as whoever deployed it first said; empty: it can.
    """

    kind = "release"

    id: str
    image: str
    processor: str | None
    commit: str
    trees: dict[str, str]
    built: str
    irreversible: str = ""


def release_id(image: str, processor: str | None) -> str:
    """Return the id of a release, for example r-1f0c22aa91be."""
    return f"r-{sha256(f'{image} {processor}'.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Deployment(Record):
    """A release in an environment.

    Attributes
    ----------
    id:
        The environment and a number that counts up, for example staging-7.
    before:
        The deployment that served before; None for the first.
    source:
        Of a rollback, the deployment that it goes back to.
    image:
        The application's image, `repository@sha256:…`.
    commit:
        What the release was built from.
    configuration:
        What the application was given, without secrets.
    secrets:
        By variable, the reference and the version of the secret behind it.
    configured:
        The hash of everything that the hosts were given but image and secrets.
    processor_version:
        The version of the function behind the alias.
    assembly:
        The hash of the cloud assembly; its templates are kept in the ledger under it.
    outcome:
        "", then one of succeeded, failed, aborted.
    verified:
        Whether its checks passed after the switch.
    bad:
        Why it must not serve again; empty: it may.
    irreversible:
        Why nobody can go back from it, where it brought such a release.
    seconds:
        How long it took.
    platform:
        Where it ran, as PLATFORM says it.
    """

    kind = "deployment"
    options: ClassVar[dict[str, tuple[str, ...]]] = {
        "verb": (DEPLOY, ROLLBACK),
        "outcome": ("", "succeeded", "failed", "aborted"),
    }

    id: str
    number: int
    environment: str
    verb: str
    release: str
    image: str
    commit: str
    before: str | None
    source: str | None
    who: str
    where: str
    started: str
    configuration: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    configured: str = ""
    processor_version: str | None = None
    assembly: str = ""
    hosts: list[str] = field(default_factory=list)
    outcome: str = ""
    verified: bool = False
    bad: str = ""
    irreversible: str = ""
    seconds: float = 0.0
    platform: str = "hosts"


@dataclass(frozen=True)
class Operation(Record):
    """The journal of one deployment: its frozen plan, and how far it is.

    Attributes
    ----------
    plan:
        Everything that is needed to go on from another machine.
    state:
        One of planned, staged, switched, recorded.
    """

    kind = "operation"
    options: ClassVar[dict[str, tuple[str, ...]]] = {
        "verb": (DEPLOY, ROLLBACK),
        "state": (PLANNED, STAGED, SWITCHED, RECORDED),
    }

    deployment: str
    verb: str
    state: str
    plan: dict[str, Any]


def number_of(deployment: str, environment: str) -> int:
    """Return the number of a deployment's id.

    Raises
    ------
    ConfigurationError
        It is no id, or one of another environment.
    """
    found = re.fullmatch(r"([a-z][a-z0-9-]*)-([1-9][0-9]{0,7})", deployment)
    if found is None:
        raise ConfigurationError(
            f"{deployment!r} is not the id of a deployment, such as {environment}-7.",
            f"inv history --env={environment} lists them.",
        )
    if found[1] != environment:
        raise ConfigurationError(
            f"{deployment} is a deployment of {found[1]}, not of {environment}.",
            f"inv history --env={environment} lists those of {environment}.",
        )
    return int(found[2])

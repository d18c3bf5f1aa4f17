"""What the ledger keeps: releases, deployments, and the journal of the operation that makes one.

A record is written whole, as JSON, under a schema version; who reads one of a newer schema stops.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, fields
from hashlib import sha256
from typing import Any, ClassVar, Self

from soundbite.errors import ConfigurationError

SCHEMA = 1
"""The version of all records' form. A change that older tools would misread raises it."""

TOOL = "0.1.0"
"""The least version of this workflow that reads what it writes."""

DEPLOY, ROLLBACK = "deploy", "rollback"

PLANNED, STAGED, SWITCHED, RECORDED = "planned", "staged", "switched", "recorded"
"""The states of an operation, in their order."""


class Record:
    """A record of the ledger: a dataclass that is kept as JSON."""

    kind: ClassVar[str]

    def body(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self), sort_keys=True)  # type: ignore[call-overload]

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
            known = {each.name for each in fields(cls)}  # type: ignore[arg-type]
            return cls(**{name: value for name, value in said.items() if name in known})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigurationError(
                f"The ledger has something else where a {cls.kind} should be: {error}.",
                "Was it written by hand? Restore the table to a point before (point-in-time recovery).",
            ) from None


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
    seconds:
        How long it took.
    """

    kind = "deployment"

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

"""The ledger: a DynamoDB table an environment, in its Bootstrap stack, which nothing destroys."""

from __future__ import annotations

import base64
import json
import time
import zlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from soundbite.errors import ConfigurationError

from .items import Items, item
from .records import Deployment, Operation, Release, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soundbite.cloud import Cloud

_DIGITS, _MOST_CHUNKS = 4, 1000
_CHUNK = 300_000
"""Bytes of templates in one item; an item may have 400 KB (DynamoDB, "Quotas")."""


@dataclass(frozen=True)
class Ended:
    """How an operation ended.

    Attributes
    ----------
    entry:
        What the audit trail says of it.
    serving:
        The deployment that serves now; None: none does.
    left:
        A deployment that was gone back from, with what is said against it.
    bad:
        Why releases must not be deployed again.
    """

    deployment: Deployment
    operation: Operation
    entry: Mapping[str, Any]
    serving: str | None
    left: Deployment | None = None
    bad: Mapping[str, str] = field(default_factory=dict)


class Ledger:
    """One environment's ledger.

    Parameters
    ----------
    cloud:
        The environment's AWS.
    """

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.items = Items(cloud)

    # What is kept

    def release(self, id_: str) -> Release | None:
        """Return a release; None if this environment never had it."""
        body = self.items.get("release", id_)
        return Release.read(body) if body is not None else None

    def add_release(self, release: Release, token: int) -> None:
        """Keep a release, unless it is kept already: what was built does not change.

        Its digests do where a registry was emptied and got the same contents anew: then those count that are there.
        What was said of it stays said.
        """
        known = self.release(release.id)
        if known is not None:
            release = replace(release, irreversible=release.irreversible or known.irreversible)
        told = ("image", "processor", "irreversible")
        if known is None or any(getattr(known, each) != getattr(release, each) for each in told):
            self.items.put(token, item("release", release.id, release.body()))

    def deployment(self, id_: str) -> Deployment:
        """Return a deployment.

        Raises
        ------
        ConfigurationError
            There is none of that id, or it is of another environment.
        """
        name = self.cloud.environment.name
        body = self.items.get("deployment", _sortable(number_of(id_, name)))
        if body is None:
            raise ConfigurationError(f"{name} has no deployment {id_}.", f"inv history --env={name} lists them.")
        return Deployment.read(body)

    def deployments(self, limit: int | None = None) -> list[Deployment]:
        """Return the deployments, newest first; all of them, or the newest of them."""
        return [Deployment.read(body) for body in self.items.query("deployment", limit)]

    def put_deployment(self, deployment: Deployment, token: int) -> None:
        """Keep a deployment as it is now."""
        self.items.put(token, _of(deployment))

    def operation(self, deployment: str) -> Operation | None:
        """Return the journal of a deployment."""
        body = self.items.get("operation", deployment)
        return Operation.read(body) if body is not None else None

    def put_operation(self, operation: Operation, token: int) -> None:
        """Keep how far an operation is."""
        self.items.put(token, _of(operation))

    def put_begun(self, deployment: Deployment, operation: Operation, token: int) -> None:
        """Keep a new deployment and its journal: both, or neither."""
        self.items.put(token, _of(deployment), _of(operation))

    def put_ended(self, ended: Ended, token: int) -> None:
        """Keep how an operation ended: all of it, or nothing."""
        items = [_of(ended.deployment), _of(ended.operation), _serving(ended.serving)]
        items.append(_entry("audit", _moment(ended.entry), ended.entry))
        if ended.left is not None:
            items.append(_of(ended.left))
        items += [_bad(release, reason) for release, reason in ended.bad.items()]
        self.items.put(token, *items)

    def serving(self) -> str | None:
        """Return the deployment that serves, as it was recorded last."""
        body = self.items.get("environment", "serving")
        return self.items.field("what serves", body, "deployment", str | None) if body is not None else None

    def put_serving(self, deployment: str | None, token: int) -> None:
        """Record which deployment serves; None: none does."""
        self.items.put(token, _serving(deployment))

    def bad(self, release: str) -> str:
        """Return why a release must not be deployed again; empty: it may."""
        body = self.items.get("bad", release)
        return str(self.items.field(f"what is said of {release}", body, "reason", str)) if body is not None else ""

    def mark_bad(self, release: str, reason: str, token: int) -> None:
        """Have a release refused from now on."""
        self.items.put(token, _bad(release, reason))

    def next_number(self) -> int:
        """Return the number of the next deployment; who asks holds the lock."""
        return next((each.number for each in self.deployments(1)), 0) + 1

    def audit(self, entry: Mapping[str, Any]) -> None:
        """Append to the audit trail; nothing in it is ever changed.

        Parameters
        ----------
        entry:
            `at` (RFC 3339) and what else there is to say.
        """
        self.items.append(_entry("audit", _moment(entry), entry))

    def audited(self, since: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """Return the audit trail from a time on (RFC 3339, or the beginning of one), oldest first."""
        found = self.items.query("audit", limit, since)
        return [self.items.read("an entry of the audit trail", body) for body in reversed(found)]

    def add_verdict(self, report: Mapping[str, Any]) -> None:
        """Keep what a validation found; it takes no lock, and changes nothing else.

        Parameters
        ----------
        report:
            `started` (RFC 3339), `deployment`, `outcome`, and the evidence.
        """
        self.items.append(_entry("verdict", str(report["started"]), report))

    def verdicts(self, limit: int = 1) -> list[dict[str, Any]]:
        """Return what the newest validations found, newest first."""
        return [self.items.read("a verdict", body) for body in self.items.query("verdict", limit)]

    def templates(self, assembly: str) -> dict[str, Any] | None:
        """Return the templates of an assembly, by stack; None if they are not kept."""
        first = self.items.get("templates", f"{assembly}#0")
        if first is None:
            return None
        count, _, text = first.partition(" ")
        try:
            if not (count.isascii() and count.isdigit() and 0 < int(count[:_DIGITS]) <= _MOST_CHUNKS):
                raise ValueError(f"{count[:_DIGITS]!r} parts")  # noqa: TRY301 - told below
            parts = [text, *(self.items.get("templates", f"{assembly}#{each}") or "" for each in range(1, int(count)))]
            return self.items.read(
                f"the templates of assembly {assembly}", zlib.decompress(base64.b64decode("".join(parts))).decode()
            )
        except (ValueError, TypeError, zlib.error):
            raise self.items.garbage(f"the templates of assembly {assembly}", "they cannot be unpacked") from None

    def put_templates(self, assembly: str, templates: Mapping[str, Any], token: int) -> None:
        """Keep the templates of an assembly, so that a rollback has them."""
        if self.items.get("templates", f"{assembly}#0") is not None:
            return
        text = base64.b64encode(zlib.compress(json.dumps(dict(templates)).encode(), 9)).decode()
        parts = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]
        # The first comes last: with it, all are there.
        for number in reversed(range(len(parts))):
            body = f"{len(parts)} {parts[0]}" if number == 0 else parts[number]
            self.items.put(token, item("templates", f"{assembly}#{number}", body))


def _of(record: Deployment | Operation) -> dict[str, Any]:
    key = _sortable(record.number) if isinstance(record, Deployment) else record.deployment
    return item(record.kind, key, record.body())


def _entry(kind: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return item(kind, f"{key}#{time.time_ns():020d}#{uuid4().hex}", json.dumps(dict(entry)))


def _moment(entry: Mapping[str, Any]) -> str:
    return f"{entry['at']}#{entry.get('token', 0):08d}"


def _serving(deployment: str | None) -> dict[str, Any]:
    return item("environment", "serving", json.dumps({"deployment": deployment}))


def _bad(release: str, reason: str) -> dict[str, Any]:
    return item("bad", release, json.dumps({"reason": reason}))


def _sortable(number: int) -> str:
    return f"{number:08d}"

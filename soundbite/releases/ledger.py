"""The ledger: a DynamoDB table an environment, in its Bootstrap stack, which nothing destroys.

Items have a partition for each kind and a sort key in the order of time; the record itself is one attribute, JSON.
Every write of an operation is joined, in one transaction, to the condition that its lock is still held.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from soundbite.cloud import explained
from soundbite.environment import naming
from soundbite.errors import ConfigurationError, Locked, SoundbiteError

from .records import SCHEMA, TOOL, Deployment, Operation, Release, is_a, number_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.exceptions import ClientError

    from soundbite.cloud import Cloud

LOCK = {"pk": {"S": "lock"}, "sk": {"S": "lock"}}
_DIGITS, _MOST_CHUNKS = 4, 1000
_CHUNK = 300_000
"""Bytes of templates in one item; an item may have 400 KB (DynamoDB, "Quotas")."""

_MEETINGS = 6
"""How often a write is tried that meets another one of the same item, as a transaction does a beat of the lock."""


class LedgerUnreachable(SoundbiteError):
    """The ledger did not answer, or refused."""


class NoLedger(ConfigurationError):
    """The environment has no ledger yet: nothing was ever deployed there."""


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
        environment = cloud.environment
        self.table = naming.ledger(environment.workflow.project, environment.name)

    # What is kept

    def release(self, id_: str) -> Release | None:
        """Return a release; None if this environment never had it."""
        body = self._get("release", id_)
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
            self._put(token, _item("release", release.id, release.body()))

    def deployment(self, id_: str) -> Deployment:
        """Return a deployment.

        Raises
        ------
        ConfigurationError
            There is none of that id, or it is of another environment.
        """
        name = self.cloud.environment.name
        body = self._get("deployment", _sortable(number_of(id_, name)))
        if body is None:
            raise ConfigurationError(f"{name} has no deployment {id_}.", f"inv history --env={name} lists them.")
        return Deployment.read(body)

    def deployments(self, limit: int | None = None) -> list[Deployment]:
        """Return the deployments, newest first; all of them, or the newest of them."""
        return [Deployment.read(body) for _, body in self._query("deployment", limit)]

    def put_deployment(self, deployment: Deployment, token: int) -> None:
        """Keep a deployment as it is now."""
        self._put(token, _of(deployment))

    def operation(self, deployment: str) -> Operation | None:
        """Return the journal of a deployment."""
        body = self._get("operation", deployment)
        return Operation.read(body) if body is not None else None

    def put_operation(self, operation: Operation, token: int) -> None:
        """Keep how far an operation is."""
        self._put(token, _of(operation))

    def put_begun(self, deployment: Deployment, operation: Operation, token: int) -> None:
        """Keep a new deployment and its journal: both, or neither."""
        self._put(token, _of(deployment), _of(operation))

    def put_ended(self, ended: Ended, token: int) -> None:
        """Keep how an operation ended: all of it, or nothing."""
        items = [_of(ended.deployment), _of(ended.operation), _serving(ended.serving)]
        items.append(_entry("audit", _moment(ended.entry), ended.entry))
        if ended.left is not None:
            items.append(_of(ended.left))
        items += [_bad(release, reason) for release, reason in ended.bad.items()]
        self._put(token, *items)

    def serving(self) -> str | None:
        """Return the deployment that serves, as it was recorded last."""
        body = self._get("environment", "serving")
        return self._field("what serves", body, "deployment", str | None) if body is not None else None

    def put_serving(self, deployment: str | None, token: int) -> None:
        """Record which deployment serves; None: none does."""
        self._put(token, _serving(deployment))

    def bad(self, release: str) -> str:
        """Return why a release must not be deployed again; empty: it may."""
        body = self._get("bad", release)
        return str(self._field(f"what is said of {release}", body, "reason", str)) if body is not None else ""

    def mark_bad(self, release: str, reason: str, token: int) -> None:
        """Have a release refused from now on."""
        self._put(token, _bad(release, reason))

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
        self._append("audit", _moment(entry), entry)

    def audited(self, since: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """Return the audit trail from a time on (RFC 3339, or the beginning of one), oldest first."""
        found = [self._object("an entry of the audit trail", body) for _, body in self._query("audit", limit, since)]
        return list(reversed(found))

    def add_verdict(self, report: Mapping[str, Any]) -> None:
        """Keep what a validation found; it takes no lock, and changes nothing else.

        Parameters
        ----------
        report:
            `started` (RFC 3339), `deployment`, `outcome`, and the evidence.
        """
        self._append("verdict", str(report["started"]), report)

    def verdicts(self, limit: int = 1) -> list[dict[str, Any]]:
        """Return what the newest validations found, newest first."""
        return [self._object("a verdict", body) for _, body in self._query("verdict", limit)]

    def templates(self, assembly: str) -> dict[str, Any] | None:
        """Return the templates of an assembly, by stack; None if they are not kept."""
        first = self._get("templates", f"{assembly}#0")
        if first is None:
            return None
        count, _, text = first.partition(" ")
        try:
            if not (count.isascii() and count.isdigit() and 0 < int(count[:_DIGITS]) <= _MOST_CHUNKS):
                raise ValueError(f"{count[:_DIGITS]!r} parts")  # noqa: TRY301 - told below
            parts = [text, *(self._get("templates", f"{assembly}#{each}") or "" for each in range(1, int(count)))]
            return self._object(
                f"the templates of assembly {assembly}", zlib.decompress(base64.b64decode("".join(parts))).decode()
            )
        except (ValueError, TypeError, zlib.error):
            raise self._garbage(f"the templates of assembly {assembly}", "they cannot be unpacked") from None

    def put_templates(self, assembly: str, templates: Mapping[str, Any], token: int) -> None:
        """Keep the templates of an assembly, so that a rollback has them."""
        if self._get("templates", f"{assembly}#0") is not None:
            return
        text = base64.b64encode(zlib.compress(json.dumps(dict(templates)).encode(), 9)).decode()
        parts = [text[at : at + _CHUNK] for at in range(0, len(text), _CHUNK)]
        # The first comes last: with it, all are there.
        for number in reversed(range(len(parts))):
            body = f"{len(parts)} {parts[0]}" if number == 0 else parts[number]
            self._put(token, _item("templates", f"{assembly}#{number}", body))

    # The table

    def lock_item(self) -> dict[str, Any] | None:
        """Return the lock's item as it is at this moment."""
        found = self._call("get_item", "dynamodb:GetItem", Key=LOCK, ConsistentRead=True).get("Item")
        if found:
            self._require_known(found)
        return dict(found) if found else None

    def write_lock(self, method: str, **arguments: Any) -> bool:
        """Write the lock's item under a condition; return whether the condition held."""
        try:
            self._call(method, "dynamodb:UpdateItem", **arguments)
        except _ConditionFailed:
            return False
        return True

    def _get(self, kind: str, key: str) -> str | None:
        item = self._call("get_item", "dynamodb:GetItem", Key=_key(kind, key), ConsistentRead=True).get("Item")
        return self._body(item) if item else None

    def _append(self, kind: str, key: str, entry: Mapping[str, Any]) -> None:
        # No other entry has this key: what is there already is this one, and the answer to a first attempt got lost.
        with suppress(_ConditionFailed):
            self._call(
                "put_item",
                "dynamodb:PutItem",
                Item=_entry(kind, key, entry),
                ConditionExpression="attribute_not_exists(pk)",
            )

    def _query(self, kind: str, limit: int | None, since: str = "") -> list[tuple[str, str]]:
        condition = "pk = :pk AND sk >= :since" if since else "pk = :pk"
        values = {":pk": {"S": kind}} | ({":since": {"S": since}} if since else {})
        found: list[tuple[str, str]] = []
        more: dict[str, Any] = {}
        while limit is None or len(found) < limit:
            most = {} if limit is None else {"Limit": limit - len(found)}
            answer = self._call(
                "query",
                "dynamodb:Query",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                ConsistentRead=True,
                **most,
                **more,
            )
            found += [(item["sk"]["S"], self._body(item)) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                break
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found

    def _put(self, token: int, *items: dict[str, Any]) -> None:
        held = {
            "ConditionCheck": {
                "TableName": self.table,
                "Key": LOCK,
                "ConditionExpression": "#token = :token AND #state = :held",
                "ExpressionAttributeNames": {"#token": "token", "#state": "state"},
                "ExpressionAttributeValues": {":token": {"N": str(token)}, ":held": {"S": "held"}},
            }
        }
        puts = [{"Put": {"TableName": self.table, "Item": each}} for each in items]
        try:
            self._ask("transact_write_items", "dynamodb:TransactWriteItems", TransactItems=[held, *puts])
        except _ConditionFailed:
            raise Locked(
                f"The lock of {self.cloud.environment.name} is no longer ours: somebody took it over. "
                "Nothing was written.",
                f"inv lock.status --env={self.cloud.environment.name} says who has it.",
            ) from None

    def _call(self, method: str, action: str, **arguments: Any) -> dict[str, Any]:
        return self._ask(method, action, TableName=self.table, **arguments)

    def _ask(self, method: str, action: str, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        client = self.cloud.client("dynamodb")
        try:
            with explained(action, self.cloud.environment):
                attempt = 0
                while True:
                    attempt += 1
                    try:
                        return dict(getattr(client, method)(**arguments))
                    except ClientError as error:
                        reasons = _reasons(error)
                        if "ConditionalCheckFailed" in reasons:
                            raise _ConditionFailed from None
                        if "ResourceNotFound" in reasons:
                            raise self._missing() from None
                        if "TransactionConflict" not in reasons or attempt == _MEETINGS:
                            raise
                    time.sleep(0.05 * attempt)
        except (_ConditionFailed, ConfigurationError):
            raise
        except SoundbiteError as error:
            raise LedgerUnreachable(f"The ledger {self.table}: {error.message}", error.hint) from None

    def _missing(self) -> NoLedger:
        name = self.cloud.environment.name
        return NoLedger(
            f"{name} has no ledger: there is no table {self.table} in account {self.cloud.environment.aws.account_id}.",
            f"The first inv deploy.{name} makes it; inv cdk.deploy --env={name} too.",
        )

    def _garbage(self, what: str, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"The ledger {self.table} has something else where {what} should be: {why}.",
            "Was it written by hand? Restore the table to a point before (point-in-time recovery).",
        )

    def _object(self, what: str, body: str) -> dict[str, Any]:
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise self._garbage(what, "no JSON") from None
        if not isinstance(found, dict):
            raise self._garbage(what, "no object")
        return found

    def _field(self, what: str, body: str, name: str, wanted: Any) -> Any:
        found = self._object(what, body)
        if name not in found or not is_a(found[name], wanted):
            raise self._garbage(what, f"it says nothing of {name}")
        return found[name]

    def _body(self, item: Mapping[str, Any]) -> str:
        self._require_known(item)
        try:
            return str(item["body"]["S"])
        except (KeyError, TypeError):
            raise self._garbage(f"a record ({item['pk']['S']} {item['sk']['S']})", "it has no body") from None

    def _require_known(self, item: Mapping[str, Any]) -> None:
        try:
            schema = int(item.get("schema", {"N": "0"})["N"])
        except (KeyError, ValueError, TypeError):
            raise self._garbage("the schema of a record", "no whole number") from None
        if schema > SCHEMA:
            tool = item.get("tool", {}).get("S", "newer")
            raise ConfigurationError(
                f"The ledger {self.table} holds records of schema {schema}, and this workflow knows {SCHEMA}.",
                f"Use version {tool} of the workflow or newer: git pull.",
            )


class _ConditionFailed(Exception):
    pass


def _reasons(error: ClientError) -> set[str]:
    """Return why something was refused; of a transaction, why any of its parts was."""
    parts = {str(each.get("Code")) for each in error.response.get("CancellationReasons", [])}
    return parts | {error.response["Error"]["Code"].removesuffix("Exception")}


def _item(kind: str, key: str, body: str) -> dict[str, Any]:
    return {**_key(kind, key), "schema": {"N": str(SCHEMA)}, "tool": {"S": TOOL}, "body": {"S": body}}


def _of(record: Deployment | Operation) -> dict[str, Any]:
    key = _sortable(record.number) if isinstance(record, Deployment) else record.deployment
    return _item(record.kind, key, record.body())


def _entry(kind: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return _item(kind, f"{key}#{time.time_ns():020d}#{uuid4().hex}", json.dumps(dict(entry)))


def _moment(entry: Mapping[str, Any]) -> str:
    return f"{entry['at']}#{entry.get('token', 0):08d}"


def _serving(deployment: str | None) -> dict[str, Any]:
    return _item("environment", "serving", json.dumps({"deployment": deployment}))


def _bad(release: str, reason: str) -> dict[str, Any]:
    return _item("bad", release, json.dumps({"reason": reason}))


def _key(kind: str, key: str) -> dict[str, Any]:
    return {"pk": {"S": kind}, "sk": {"S": key}}


def _sortable(number: int) -> str:
    return f"{number:08d}"

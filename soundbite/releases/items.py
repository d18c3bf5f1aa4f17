"""The items of a ledger's table: read, written under the lock's condition, and each failure by its name.

Items have a partition for each kind and a sort key in the order of time; the record itself is one attribute, JSON.
Every write of an operation is joined, in one transaction, to the condition that its lock is still held.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from soundbite.cloud import explained, permission
from soundbite.environment import naming
from soundbite.errors import ConfigurationError, Locked, SoundbiteError

from .records import SCHEMA, TOOL, is_a

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.exceptions import ClientError

    from soundbite.cloud import Cloud

LOCK = {"pk": {"S": "lock"}, "sk": {"S": "lock"}}
_MEETINGS = 6
"""How often a write is tried that meets another one of the same item, as a transaction does a beat of the lock."""


class LedgerUnreachable(SoundbiteError):
    """The ledger did not answer, or refused."""


class NoLedger(ConfigurationError):
    """The environment has no ledger yet: nothing was ever deployed there."""


class Items:
    """The table's items.

    Parameters
    ----------
    cloud:
        The environment's AWS.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        environment = cloud.environment
        self.table = naming.ledger(environment.workflow.project, environment.name)

    def lock(self) -> dict[str, Any] | None:
        """Return the lock's item as it is at this moment."""
        found = self._call("get_item", Key=LOCK, ConsistentRead=True).get("Item")
        if found:
            self._require_known(found)
        return dict(found) if found else None

    def write_lock(self, method: str, **arguments: Any) -> bool:
        """Write the lock's item under a condition; return whether the condition held."""
        try:
            self._call(method, **arguments)
        except _ConditionFailed:
            return False
        return True

    def get(self, kind: str, key: str) -> str | None:
        """Return an item's record; None: there is none."""
        found = self._call("get_item", Key=_key(kind, key), ConsistentRead=True).get("Item")
        return self._body(found) if found else None

    def append(self, new: dict[str, Any]) -> None:
        """Keep an item that nothing ever changes, without the lock."""
        # No other entry has this key: what is there already is this one, and the answer to a first attempt got lost.
        with suppress(_ConditionFailed):
            self._call("put_item", Item=new, ConditionExpression="attribute_not_exists(pk)")

    def query(self, kind: str, limit: int | None, since: str = "") -> list[str]:
        """Return the records of a kind, newest first.

        Parameters
        ----------
        limit:
            How many at most; None: all.
        since:
            The least sort key; empty: any.
        """
        condition = "pk = :pk AND sk >= :since" if since else "pk = :pk"
        values = {":pk": {"S": kind}} | ({":since": {"S": since}} if since else {})
        found: list[str] = []
        more: dict[str, Any] = {}
        while limit is None or len(found) < limit:
            most = {} if limit is None else {"Limit": limit - len(found)}
            answer = self._call(
                "query",
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                ConsistentRead=True,
                **most,
                **more,
            )
            found += [self._body(each) for each in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                break
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
        return found

    def put(self, token: int, *items: dict[str, Any]) -> None:
        """Keep items: all of them, or none.

        Parameters
        ----------
        token:
            The lock's, by which it is still ours.

        Raises
        ------
        Locked
            It no longer is.
        """
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
            self._ask("transact_write_items", TransactItems=[held, *puts])
        except _ConditionFailed:
            raise Locked(
                f"The lock of {self._cloud.environment.name} is no longer ours: somebody took it over. "
                "Nothing was written.",
                f"inv lock.status --env={self._cloud.environment.name} says who has it.",
            ) from None

    def _call(self, method: str, **arguments: Any) -> dict[str, Any]:
        return self._ask(method, TableName=self.table, **arguments)

    def _ask(self, method: str, **arguments: Any) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        client = self._cloud.client("dynamodb")
        try:
            with explained(permission("dynamodb", method), self._cloud.environment):
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
        name, account = self._cloud.environment.name, self._cloud.environment.aws.account_id
        return NoLedger(
            f"{name} has no ledger: there is no table {self.table} in account {account}.",
            f"The first inv deploy.{name} makes it; inv cdk.deploy --env={name} too.",
        )

    def garbage(self, what: str, why: str) -> ConfigurationError:
        """Return the error that says that something in the table is not what this workflow wrote."""
        return ConfigurationError(
            f"The ledger {self.table} has something else where {what} should be: {why}.",
            "Was it written by hand? Restore the table to a point before (point-in-time recovery).",
        )

    def read(self, what: str, body: str) -> dict[str, Any]:
        """Return a record's object; `what` it is, for people."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise self.garbage(what, "no JSON") from None
        if not isinstance(found, dict):
            raise self.garbage(what, "no object")
        return found

    def field(self, what: str, body: str, name: str, wanted: Any) -> Any:
        """Return one field of a record, of a type."""
        found = self.read(what, body)
        if name not in found or not is_a(found[name], wanted):
            raise self.garbage(what, f"it says nothing of {name}")
        return found[name]

    def _body(self, item: Mapping[str, Any]) -> str:
        self._require_known(item)
        try:
            return str(item["body"]["S"])
        except (KeyError, TypeError):
            raise self.garbage(f"a record ({item['pk']['S']} {item['sk']['S']})", "it has no body") from None

    def _require_known(self, item: Mapping[str, Any]) -> None:
        try:
            schema = int(item.get("schema", {"N": "0"})["N"])
        except (KeyError, ValueError, TypeError):
            raise self.garbage("the schema of a record", "no whole number") from None
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


def item(kind: str, key: str, body: str) -> dict[str, Any]:
    """Return a new item with a record as its body."""
    return {**_key(kind, key), "schema": {"N": str(SCHEMA)}, "tool": {"S": TOOL}, "body": {"S": body}}


def _key(kind: str, key: str) -> dict[str, Any]:
    return {"pk": {"S": kind}, "sk": {"S": key}}

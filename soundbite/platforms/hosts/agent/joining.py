"""Joining: a host finds out by itself what should serve, from the ledger, which its role may read.

For one that is new, and for one that was away while the others got another deployment.

This needs boto3, which a host of ours has (`apt-get install python3-boto3`); one without it does what it was told last.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import colours, deployments
from .failure import StepFailed
from .home import HOME, write

if TYPE_CHECKING:
    from collections.abc import Callable

    Do = Callable[[str, dict[str, Any]], dict[str, Any]]

_LEDGER = HOME / "ledger.json"
"""Where the ledger is: `table`, `region`, and `endpoint` where AWS is emulated."""
_OFFLINE = HOME / "offline"
"""There while the host serves what somebody chose without the ledger, which then knows less than the host."""
_POLL = 5.0
_LONGEST = 3600.0
"""Seconds for which an operation that is under way is waited for."""


def note(where: dict[str, Any]) -> None:
    """Note where the ledger is."""
    write(_LEDGER, json.dumps(where))


def note_offline(*, offline: bool) -> None:
    """Note whether what serves was chosen without the ledger."""
    if offline:
        write(_OFFLINE, "")
    else:
        with suppress(FileNotFoundError):
            _OFFLINE.unlink()


def join(do: Do) -> dict[str, Any] | None:
    """Serve what the ledger says, and look again until nobody is at work on the environment.

    An operation that was cut off is not meddled with: only a host that serves nothing gets what served before it.

    Parameters
    ----------
    do:
        Does a verb with an order.

    Returns
    -------
    dict or None
        `serving`; None where the host knows no ledger, or more than the ledger.

    Raises
    ------
    StepFailed
        AWS refuses, or what serves elsewhere does not start here.
    """
    if not _LEDGER.exists() or _OFFLINE.exists():
        return None
    ledger = _Ledger(json.loads(_LEDGER.read_text(encoding="utf-8")))
    until = time.monotonic() + _LONGEST
    while True:
        token, state = ledger.lock()
        serving = ledger.serving()
        settled = state not in {"held", "interrupted"}
        if serving is not None and (settled or colours.live() is None) and not _serves(serving):
            _bring(ledger, serving, token, do)
        if state != "held" or time.monotonic() > until:
            return {"serving": colours.noted(colours.live())}
        time.sleep(_POLL)


def _serves(deployment: str) -> bool:
    live = colours.live()
    return live is not None and deployment in deployments.kept() and colours.runs(live, deployment)


def _bring(ledger: _Ledger, deployment: str, token: int, do: Do) -> None:
    """Do here what `inv hosts.converge` does from elsewhere."""
    plan = ledger.plan(deployment)
    order = {"token": token, "deployment": deployment, "registry": ledger.registry(plan["repository"])}
    given = {name: plan[name] for name in ("proxy", "unit")} | {"secrets": ledger.secrets(plan["secrets"])}
    do("stage", {**order, **plan["bundle"], **given})
    do("switch", order)
    do("abandon", order)


class _Ledger:
    """The ledger of one environment (soundbite/releases/ledger.py), as the role of a host may read it."""

    def __init__(self, where: dict[str, Any]) -> None:
        self._where = where

    def lock(self) -> tuple[int, str]:
        """Return the lock's newest token, and its state."""
        item = self._item("lock", "lock")
        return int(item.get("token", {"N": "0"})["N"]), str(item.get("state", {"S": "free"})["S"])

    def serving(self) -> str | None:
        """Return the deployment that should serve."""
        found = self._body("environment", "serving").get("deployment")
        return str(found) if found else None

    def plan(self, deployment: str) -> dict[str, Any]:
        """Return what hosts were given for a deployment."""
        plan = dict(self._body("operation", deployment).get("plan", {}))
        if "bundle" not in plan or "proxy" not in plan:
            raise StepFailed(f"the ledger does not have what {deployment} gave the hosts")
        return plan

    def secrets(self, wanted: dict[str, list[str]]) -> dict[str, str]:
        """Return secrets by name, each in the version that the deployment has."""
        return {name: self._secret(reference, version) for name, (reference, version) in wanted.items()}

    def registry(self, repository: str) -> dict[str, str] | None:
        """Return who may fetch images from a repository; None for one that asks nobody."""
        host = repository.partition("/")[0]
        if ".dkr.ecr" not in host:
            return None
        answer = self._ask("ecr", "get_authorization_token")
        return {"host": host, "auth": str(answer["authorizationData"][0]["authorizationToken"])}

    def _secret(self, reference: str, version: str) -> str:
        kind, _, target = reference.partition(":")
        if kind == "ssm":
            name = f"{target}:{version}" if version else target
            return str(self._ask("ssm", "get_parameter", Name=name, WithDecryption=True)["Parameter"]["Value"])
        if kind != "secretsmanager":
            raise StepFailed(f"{reference} is known to whoever deploys, and to no host: inv hosts.converge brings it")
        name, _, key = target.partition("#")
        chosen = {"VersionId": version} if version else {}
        text = str(self._ask("secretsmanager", "get_secret_value", SecretId=name, **chosen)["SecretString"])
        if not key:
            return text
        try:
            value = json.loads(text)[key]
        except (ValueError, KeyError, TypeError):
            raise StepFailed(f"{name} is not a JSON object with the key {key}") from None
        return value if isinstance(value, str) else json.dumps(value)

    def _body(self, kind: str, key: str) -> dict[str, Any]:
        item = self._item(kind, key)
        return dict(json.loads(item["body"]["S"])) if item else {}

    def _item(self, kind: str, key: str) -> dict[str, Any]:
        named = {"pk": {"S": kind}, "sk": {"S": key}}
        table = str(self._where["table"])
        return dict(self._ask("dynamodb", "get_item", TableName=table, Key=named, ConsistentRead=True).get("Item", {}))

    def _ask(self, service: str, method: str, **arguments: Any) -> dict[str, Any]:
        try:
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise StepFailed("boto3 is not there, so the ledger cannot be asked; install python3-boto3") from None
        session: Any = boto3
        try:
            where = {"region_name": self._where["region"], "endpoint_url": self._where.get("endpoint")}
            return dict(getattr(session.client(service, **where), method)(**arguments))
        except (BotoCoreError, ClientError) as error:
            raise StepFailed(f"{service} {method}: {error}") from None

"""What the ledger tells: deployments, releases, the audit trail, the lock."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from soundbite import environment as environments
from soundbite.errors import ConfigurationError, Locked
from soundbite.releases.lock import FREE

from .scene import Scene

if TYPE_CHECKING:
    from soundbite.releases.lock import Seen


def history(here: Scene, limit: int) -> list[dict[str, Any]]:
    """Return the deployments of an environment, newest first."""
    here.cloud.require_account()
    serving = here.ledger.serving()
    found = []
    for each in here.ledger.deployments(limit):
        state = each.outcome or "unfinished"
        told = {name: value for name, value in asdict(each).items() if name not in {"configuration", "secrets"}}
        state = "verified" if each.verified else state
        found.append({**told, "serving": each.id == serving, "state": state})
    return found


def audit(here: Scene, since: str) -> list[dict[str, Any]]:
    """Return the audit trail from a time on, oldest first.

    Raises
    ------
    ConfigurationError
        `since` is no time.
    """
    begins = _utc(since) if since else ""
    here.cloud.require_account()
    return here.ledger.audited(begins)


def release(id_: str, *, rehearsal: bool) -> dict[str, Any]:
    """Return a release, and which deployments of it each environment has.

    Raises
    ------
    ConfigurationError
        No environment knows it.
    """
    found: dict[str, Any] = {}
    where: dict[str, Any] = {}
    for name in environments.deployable():
        here = Scene(environments.load(name, rehearsal=rehearsal))
        try:
            here.cloud.require_account()
            known = here.ledger.release(id_)
        except ConfigurationError as error:
            where[name] = error.message.splitlines()[0]
            continue
        if known is not None:
            found = asdict(known)
            serving = here.ledger.serving()
            where[name] = [
                {
                    "deployment": each.id,
                    "state": "verified" if each.verified else each.outcome or "unfinished",
                    "serving": each.id == serving,
                    "bad": each.bad or here.ledger.bad(id_),
                }
                for each in here.ledger.deployments()
                if each.release == id_
            ]
    if not found:
        told = "".join(f"\n  {name}: {text}" for name, text in where.items())
        raise ConfigurationError(f"No environment knows a release {id_!r}.{told}", "inv history lists them.")
    return {**found, "environments": where}


def lock(here: Scene) -> dict[str, Any]:
    """Return who has the lock."""
    here.cloud.require_account()
    return _as_dict(here.lock().look())


def acquire(here: Scene, reason: str, wait: float) -> dict[str, Any]:
    """Take the lock for a person, until it is released.

    Raises
    ------
    ConfigurationError
        No reason was given.
    """
    if not reason:
        raise ConfigurationError("Say why: others see it.", '--reason="freeze until Monday"')
    here.who = here.cloud.require_account()
    held = here.lock()
    held.acquire(here.holder(reason), wait=wait, keep=True)
    here.audit("lock.acquire", reason=reason, token=held.token)
    return _as_dict(held.look())


def release_lock(here: Scene) -> dict[str, Any]:
    """Release a person's lock."""
    here.who = here.cloud.require_account()
    held = here.lock()
    seen = held.release_kept()
    if seen.state != FREE:
        here.audit("lock.release", of=seen.told(), token=seen.token)
    now = held.look()
    if now.state != FREE:
        raise Locked(f"{here.environment.name} is locked again: {now.told()}.")
    return _as_dict(now)


def _utc(since: str) -> str:
    """Return a time as entries of the audit trail begin, to the second; one without a zone is in UTC."""
    try:
        found = datetime.fromisoformat(since)
    except ValueError:
        raise ConfigurationError(f"--since={since} is no time.", "2026-11-23, or 2026-11-23T14:00:00Z (UTC).") from None
    found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S")


def _as_dict(seen: Seen) -> dict[str, Any]:
    return {"state": seen.state, "token": seen.token, "beat": seen.beat, "lease_seconds": seen.lease, **seen.holder}

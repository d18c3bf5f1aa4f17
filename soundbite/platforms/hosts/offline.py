"""Going to a deployment by the hosts' own records alone, for when AWS or the ledger is away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.errors import Refused, SoundbiteError
from soundbite.platforms.platform import served

from .remote import require
from .rollout import Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soundbite.environment import Environment

    from .remote import Remotes

Statuses = dict[str, dict[str, Any]]


def choose(remotes: Remotes, to: str = "") -> tuple[str, Statuses]:
    """Return the deployment that is gone to, and what the hosts tell; changes nothing.

    Parameters
    ----------
    to:
        A deployment's id; empty: the one before what serves, on every host the same.

    Raises
    ------
    Refused
        The hosts have no such deployment in common.
    """
    statuses, failures = remotes.each(lambda remote: remote.look())
    require(failures)
    if not to:
        before = {_before(each) for each in statuses.values()}
        if len(before) != 1 or before == {None}:
            raise Refused(
                "The hosts have no deployment before what serves in common: "
                + ", ".join(f"{id_}: {' '.join(each['deployments'])}" for id_, each in statuses.items()),
                "--to=DEPLOYMENT chooses one.",
            )
        to = str(before.pop())
    lacking = [id_ for id_, each in statuses.items() if to not in each["deployments"]]
    if lacking:
        raise Refused(f"{', '.join(lacking)} do not have {to} any more.", "inv hosts.list --offline shows what is.")
    return to, statuses


def switch(
    remotes: Remotes, environment: Environment, to: str, statuses: Statuses, tell: Callable[[str], None]
) -> None:
    """Go there: the first host, then the others in batches.

    Raises
    ------
    SoundbiteError
        A host failed; those after it serve what they served.
    """
    settings = environment.hosts
    plan = {"deployment": to, "bundle": {}, "batch": settings.batch, "drain": settings.drain, "offline": True}
    token = max(int(each["token"]) for each in statuses.values())
    rollout = Rollout(remotes, plan, token, tell)
    rollout.stage({}, None)
    rollout.switch()
    rollout.drain()
    after, failures = remotes.each(lambda remote: remote.look())
    require(failures)
    if served(after.values()) != {to}:
        raise SoundbiteError(f"The hosts serve {served(after.values())}, not {to}.", "inv hosts.list --offline")


def _before(status: Mapping[str, Any]) -> str | None:
    now = (status.get("serving") or {}).get("deployment")
    known = [each for each in status["served"] if each != now]
    return known[-1] if known else None

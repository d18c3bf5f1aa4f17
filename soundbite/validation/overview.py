"""`inv status`: every environment as it is now, each part of it found or said to be unknown.

Nothing here waits for what hangs: each part is asked for in a thread of its own, and what has not answered at the
deadline is unknown. A number that could not be had is never 0.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import checkout, cloud
from soundbite import environment as environments
from soundbite.ages import age, now
from soundbite.cloud import Cloud, Patience, explained
from soundbite.errors import ConfigurationError, SoundbiteError
from soundbite.parallel import Asked
from soundbite.releases import Ledger, Lock

from . import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import httpx

    from soundbite.environment import Environment

DEADLINE = 2.0
"""Seconds for an environment, all its parts at once."""

_PATIENCE = Patience(connect=1.0, read=1.5, attempts=1)
"""Less than the deadline, so that what is told is what did not answer."""

_SERVICES = ("sts", "dynamodb", "cloudformation", "sqs", "cloudwatch")
PARTS = ("deployment", "health", "alarms", "lock", "queue", "verdict")
"""What is known of an environment, or not: then it is `{"unknown": why}`."""


class Overview:
    """Some environments, looked at again and again; what reached AWS once keeps its connections.

    Parameters
    ----------
    names:
        The environments, in the order that they are told.
    rehearsal:
        Whether they are loaded with the rehearsal layer.
    """

    def __init__(self, names: Sequence[str], *, rehearsal: bool = False) -> None:
        self._loaded: dict[str, Environment | ConfigurationError] = {}
        for name in names:
            try:
                self._loaded[name] = environments.load(name, rehearsal=rehearsal)
            except ConfigurationError as error:
                self._loaded[name] = error
        self._clouds: dict[str, Cloud] = {}
        self._web: httpx.Client | None = None

    def look(self) -> dict[str, Any]:
        """Return how the environments are now.

        Returns
        -------
        dict
            `at`, `seconds`, and for each of `environments` its name, whether its account was `reached`, else the
            `problem` with a `hint`, and the PARTS.
        """
        began = time.monotonic()
        loaded = [each for each in self._loaded.values() if not isinstance(each, ConfigurationError)]
        revision = Asked(checkout.revision, "git describe") if any(each.local for each in loaded) else None
        self._web = self._web or answering.client(loaded)
        health = {each.name: Asked(partial(answering.ask, each, self._web), "the application") for each in loaded}
        if not self._clouds:
            cloud.warm(_SERVICES)
        views = {each.name: _View(each, self._cloud(each), health[each.name], revision) for each in loaded}
        found = [
            _wrong(name, each) if isinstance(each, ConfigurationError) else views[name].told()
            for name, each in self._loaded.items()
        ]
        for each in found:
            if not each["reached"]:
                # Credentials, a profile, the network: next time from the beginning.
                self._clouds.pop(each["environment"], None)
        return {"at": now(), "seconds": round(time.monotonic() - began, 3), "environments": found}

    def _cloud(self, environment: Environment) -> Cloud:
        return self._clouds.setdefault(environment.name, Cloud(environment, patience=_PATIENCE))


def find(names: Sequence[str], *, rehearsal: bool = False) -> dict[str, Any]:
    """Return how environments are now; see `Overview.look`."""
    return Overview(names, rehearsal=rehearsal).look()


class _View:
    """One environment that is being asked: its account first, the rest once that is known to be the right one."""

    def __init__(
        self,
        environment: Environment,
        cloud: Cloud,
        health: Asked[dict[str, Any]],
        revision: Asked[str] | None,
    ) -> None:
        self._environment = environment
        self._cloud = cloud
        self._ledger = Ledger(cloud)
        self._health = health
        self._revision = revision
        self._until = time.monotonic() + DEADLINE
        self._account = Asked(self._require_account, "credentials and account")
        asked: dict[str, Callable[[], Any]] = {
            "deployment": self._deployment,
            "alarms": self._alarms,
            "lock": self._lock,
            "queue": self._queue,
            "verdict": self._verdict,
        }
        self._parts = {name: Asked(partial(self._after_account, ask), _WHAT[name]) for name, ask in asked.items()}

    def told(self) -> dict[str, Any]:
        """Return what is known, at the deadline at the latest."""
        environment, until = self._environment, self._until
        parts: dict[str, Any] = {"health": _known(partial(self._health.result, until))}
        told: dict[str, Any] = {
            "environment": environment.name,
            "local": environment.local,
            "account": environment.aws.account_id,
            "url": environment.app_url,
            "reached": True,
            "problem": "",
            "hint": "",
        }
        try:
            self._account.result(until)
        except SoundbiteError as error:
            told |= {"reached": False, "problem": error.message, "hint": error.hint}
        except Exception as error:  # noqa: BLE001 - a part that breaks must not take the others along
            told |= {"reached": False, "problem": _unexpected(error)}
        for name, asked in self._parts.items():
            parts[name] = _known(partial(asked.result, until)) if told["reached"] else {"unknown": told["problem"]}
        if environment.local:
            parts["deployment"] = self._working_tree(parts["health"])
        return told | {name: parts[name] for name in PARTS}

    def _require_account(self) -> str:
        return self._cloud.require_account()

    def _after_account(self, ask: Callable[[], Any]) -> Any:
        self._account.result(self._until)
        return ask()

    def _working_tree(self, health: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a local environment runs: the working tree, if anything."""
        if "unknown" in health:
            return health
        if not health["ok"]:
            return None
        assert self._revision is not None, "there is a local environment"
        revision = _known(partial(self._revision.result, self._until))
        return revision if isinstance(revision, dict) else {"working_tree": revision}

    def _deployment(self) -> dict[str, Any] | None:
        if self._environment.local:
            return None  # it has none; what runs is the working tree
        serving = self._ledger.serving()
        if serving is None:
            return None
        found = self._ledger.deployment(serving)
        return {
            "id": found.id,
            "release": found.release,
            "digest": found.image.rpartition("@")[2],
            "commit": found.commit,
            "started": found.started,
            "age_seconds": age(found.started),
            "who": found.who,
            "where": found.where,
            "state": "verified" if found.verified else found.outcome or "unfinished",
            "bad": found.bad,
        }

    def _lock(self) -> dict[str, Any]:
        seen = Lock(self._ledger, self._environment.workflow.lock_lease).look()
        since = seen.holder.get("since", "")
        return {"state": seen.state, **seen.holder, "age_seconds": age(since)}

    def _verdict(self) -> dict[str, Any] | None:
        found = next(iter(self._ledger.verdicts(1)), None)
        if found is None:
            return None
        names = ("outcome", "deployment", "release", "commit", "started", "who", "complete", "scope", "counts")
        return {name: found.get(name) for name in names} | {"age_seconds": age(str(found.get("started")))}

    def _alarms(self) -> dict[str, Any]:
        from soundbite.infrastructure import alarms

        prefix = self._environment.stack_name("")
        states = {each["AlarmName"].removeprefix(prefix): each["StateValue"] for each in alarms.describe(self._cloud)}
        return {
            "defined": len(states),
            "in_alarm": sorted(name for name, state in states.items() if state == "ALARM"),
            "without_data": sorted(name for name, state in states.items() if state == "INSUFFICIENT_DATA"),
        }

    def _queue(self) -> dict[str, Any]:
        from soundbite.infrastructure import stacks

        output = stacks.outputs(self._cloud)
        return {
            name: _known(partial(self._depth, output, key))
            for name, key in (("queue", "Queue.QueueUrl"), ("dead_letters", "Queue.DeadLetterQueueUrl"))
        }

    def _depth(self, output: Callable[[str], str], key: str) -> dict[str, int]:
        names = {
            "waiting": "ApproximateNumberOfMessages",
            "in_work": "ApproximateNumberOfMessagesNotVisible",
            "delayed": "ApproximateNumberOfMessagesDelayed",
        }
        url = output(key)
        with explained("sqs:GetQueueAttributes", self._environment):
            answer = self._cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[*names.values()])
        return {name: int(answer["Attributes"][attribute]) for name, attribute in names.items()}


_WHAT = {
    "deployment": "the ledger",
    "alarms": "cloudwatch:DescribeAlarms",
    "lock": "the ledger's lock",
    "queue": "stacks and queues",
    "verdict": "the ledger's verdicts",
}


def _known(find: Callable[[], Any]) -> Any:
    """Return what there is to know, or `{"unknown": why}`."""
    try:
        return find()
    except SoundbiteError as error:
        return {"unknown": error.message}
    except Exception as error:  # noqa: BLE001 - a part that breaks must not take the others along
        return {"unknown": _unexpected(error)}


def _unexpected(error: Exception) -> str:
    return f"unexpected {type(error).__name__}: {error}"


def _wrong(name: str, error: ConfigurationError) -> dict[str, Any]:
    unknown = {"unknown": error.message}
    told = {"environment": name, "local": None, "account": None, "url": None, "reached": False}
    return told | {"problem": error.message, "hint": error.hint} | dict.fromkeys(PARTS, unknown)

"""`inv hosts.*`: the hosts themselves: made ready, asked, brought back to what serves."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from soundbite import console, publishing, secrets
from soundbite.errors import ConfigurationError, Locked, Refused, SoundbiteError
from soundbite.parallel import workers
from soundbite.platforms import hosts
from soundbite.platforms.hosts import bundle, offline

from . import planning

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from soundbite.platforms.hosts import Remote
    from soundbite.releases import Deployment

    from .scene import Scene

_COMMAND_TIMEOUT = 120.0
_PULL_TIMEOUT = 660.0


def listing(here: Scene, *, offline: bool = False) -> list[dict[str, Any]]:
    """Return each host and what serves there; one that is out of reach shows as that."""
    with _remotes(here, offline=offline) as remotes:
        answers, failures = remotes.each(lambda remote: remote.look())
        why = {getattr(each, "host", None): each.message for each in failures}
        found = []
        for each in (remote.host for remote in remotes.all):
            told = answers.get(each.id)
            serving = (told or {}).get("serving") or {}
            found.append(
                {
                    "id": each.id,
                    "name": each.name,
                    "address": f"{each.address}:{each.port}",
                    "reachable": told is not None,
                    "problem": why.get(each, ""),
                    "deployment": serving.get("deployment"),
                    "release": serving.get("release"),
                    "image": serving.get("image"),
                    "state": serving.get("state"),
                    "colour": (told or {}).get("live"),
                    "idle": sorted(each["deployment"] for each in (told or {}).get("idle", {}).values()),
                    "deployments": (told or {}).get("deployments", []),
                    "engine": (told or {}).get("engine"),
                    "free_bytes": (told or {}).get("free"),
                }
            )
        return found


def prepare(here: Scene, *, plan: bool = False) -> list[str]:
    """Make the hosts ready: the agent, its folders, the proxy, and the unit that brings back at boot what served.

    Returns
    -------
    list
        The hosts that are ready; with `plan`, those that would be made so.
    """
    with _remotes(here) as remotes:
        if plan:
            return sorted(each.host.id for each in remotes.all)
        with _alone(here, "prepare hosts") as token:
            order = {"token": token, **bundle.ground(here.environment)}

            def one(remote: Remote) -> dict[str, Any]:
                remote.ensure_agent()
                return remote.call("prepare", order, timeout=_PULL_TIMEOUT)

            answers, failures = remotes.each(one)
            hosts.require(failures)
        return sorted(answers)


def execute(here: Scene, command: str, *, only: str = "", plan: bool = False) -> list[dict[str, Any]]:
    """Run a command on hosts, as HOSTS_USER; return each one's exit code and output, or with `plan` the command."""
    if not command:
        raise ConfigurationError("Say what to run.", "--command='df -h'")
    with _remotes(here) as remotes:
        chosen = [each for each in remotes.all if only in {"", each.host.id, each.host.name, each.host.address}]
        if not chosen:
            names = ", ".join(each.host.name for each in remotes.all)
            raise ConfigurationError(f"{here.environment.name} has no host {only!r}.", f"It has {names}.")
        if plan:
            return [{"host": each.host.name, "command": command} for each in chosen]

        def one(remote: Remote) -> dict[str, Any]:
            code, out, err = remote.run(f"timeout -k 5 {_COMMAND_TIMEOUT:.0f} sh -s", command, timeout=_COMMAND_TIMEOUT)
            return {
                "host": remote.host.name,
                "code": code,
                "stdout": console.redact(out),
                "stderr": console.redact(err),
            }

        answers, failures = remotes.each(one, chosen)
        hosts.require(failures)
        return [answers[each.host.id] for each in chosen]


def logs(here: Scene, lines: int, *, proxy: bool = False) -> list[tuple[str, str]]:
    """Return the last lines of what serves on each host, by the host's name."""
    with _remotes(here) as remotes:
        answers, failures = remotes.each(lambda remote: remote.call("logs", {"lines": lines, "proxy": proxy}))
        for failure in failures:
            console.warn(failure.message)
        return [
            (each.host.name, console.redact(line))
            for each in remotes.all
            for line in answers.get(each.host.id, {}).get("lines", [])
        ]


def converge(here: Scene, *, plan: bool = False) -> list[dict[str, Any]]:
    """Bring hosts to what serves by the ledger: rebooted ones, new ones, and any that are astray.

    The first host gets it first; when that proves it, the others in batches.

    Returns
    -------
    list
        By `host`, what it `served` and what it `serves` now, or would with `plan`.

    Raises
    ------
    Refused
        Nothing was deployed yet.
    SwitchFailed
        A host does not serve it; those after it were left as they were.
    """
    with _found(here) as platform:
        if plan:
            return _going(platform.look(), platform.names, _serving(here).id)
        with _alone(here, "converge hosts") as token:
            # Only now nobody changes it any more.
            serving, statuses = _serving(here), platform.look()
            operation = here.ledger.operation(serving.id)
            if operation is None or "bundle" not in operation.plan:
                raise SoundbiteError(f"The ledger does not have what {serving.id} gave the hosts.", "Deploy it anew.")
            frozen = {**platform.ground(), **operation.plan, "deployment": serving.id}
            given = {name: each.value for name, each in secrets.of_versions(serving.secrets, here.cloud).items()}
            with console.step("converge") as step:
                rollout = platform.rollout(frozen, token, step.tell)
                rollout.stage(given, publishing.signed_in(here.cloud, frozen["repository"]))
                rollout.switch()
                step.detail = rollout.prove()
            for failure in rollout.drain():
                if isinstance(failure, Locked):
                    raise failure
                console.warn(f"Left running or lying there: {failure.message}")
            here.audit("hosts.converge", deployment=serving.id, hosts=sorted(statuses), token=token)
        return _going(statuses, platform.names, serving.id)


def switch_offline(here: Scene, to: str, *, plan: bool = False) -> list[dict[str, Any]]:
    """Go to a deployment that the hosts still have, by their own records alone: for when AWS or the ledger is away.

    Neither account nor lock can be asked. Afterwards the ledger knows nothing of it: `inv hosts.converge`, or the next
    deploy, brings hosts and ledger together.

    Parameters
    ----------
    to:
        A deployment's id; empty: the one before what serves, on every host the same.

    Returns
    -------
    list
        By `host`, what it `served` and what it `serves` now, or would with `plan`.

    Raises
    ------
    Refused
        The hosts have no such deployment in common.
    """
    with _remotes(here, offline=True) as remotes:
        to, statuses = offline.choose(remotes, to)
        if not plan:
            with console.step("switch") as step:
                offline.switch(remotes, here.environment, to, statuses, step.tell)
                step.detail = f"{len(remotes.all)} hosts serve {to}"
        return _going(statuses, remotes.names, to)


def _going(statuses: Mapping[str, Mapping[str, Any]], names: Mapping[str, str], to: str) -> list[dict[str, Any]]:
    return [
        {"host": name, "served": (statuses[id_].get("serving") or {}).get("deployment"), "serves": to}
        for id_, name in names.items()
    ]


def _serving(here: Scene) -> Deployment:
    found = planning.serving(here)
    if found is None:
        raise Refused(f"{here.environment.name} has no deployment that hosts could converge to.")
    return found


@contextmanager
def _alone(here: Scene, reason: str) -> Iterator[int]:
    """Work under the lock; gives its token."""
    lock = here.lock()
    lock.acquire(here.holder(reason))
    try:
        yield lock.token
    finally:
        lock.release()


@contextmanager
def _found(here: Scene) -> Iterator[hosts.Hosts]:
    """Give the hosts as a platform, once the account was checked."""
    _require_hosts(here)
    platform = hosts.Hosts(here.cloud, here.without)
    with workers(2) as submit:
        who, finding = submit(here.cloud.require_account), submit(platform.find)
        here.who = who.result()
        finding.result()
    with platform:
        yield platform


def _require_hosts(here: Scene) -> None:
    platform = here.environment.workflow.platform
    if platform != "hosts":
        raise ConfigurationError(
            f"{here.environment.name} has no hosts: PLATFORM={platform} "
            f"({here.environment.settings['PLATFORM'].origin}).",
            f"inv validate --env={here.environment.name} says how it is; docs/deploying.md, where its logs are.",
        )


def _remotes(here: Scene, *, offline: bool = False) -> hosts.Remotes:
    _require_hosts(here)
    if offline:
        return hosts.Remotes(hosts.remembered(here.environment), here.environment)
    with workers(2) as submit:
        who = submit(here.cloud.require_account)
        found = submit(lambda: hosts.find(here.cloud))
        here.who = who.result()
    return hosts.Remotes(found.result(), here.environment)

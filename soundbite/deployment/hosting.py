"""`inv hosts.*`: the hosts themselves: made ready, asked, brought back to what serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite import console
from soundbite.errors import ConfigurationError, Refused, SoundbiteError
from soundbite.parallel import workers
from soundbite.platforms import hosts
from soundbite.platforms.hosts import bundle
from soundbite.platforms.platform import served

from . import planning

if TYPE_CHECKING:
    from soundbite.platforms.hosts import Remote

    from .scene import Scene

_COMMAND_TIMEOUT = 120.0
_PULL_TIMEOUT = 660.0


def listing(here: Scene, *, offline: bool = False) -> list[dict[str, Any]]:
    """Return each host and what serves there; one that is out of reach shows as that."""
    with _remotes(here, offline=offline) as remotes:
        answers, failures = remotes.each(lambda remote: remote.status())
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


def prepare(here: Scene) -> list[str]:
    """Make the hosts ready: the agent, its folders, the proxy, and the unit that brings back at boot what served."""
    with _remotes(here) as remotes:
        order = {"token": here.lock().look().token, **bundle.ground(here.environment)}

        def one(remote: Remote) -> dict[str, Any]:
            remote.ensure_agent()
            return remote.call("prepare", order, timeout=_PULL_TIMEOUT)

        answers, failures = remotes.each(one)
        _raise(failures)
        return sorted(answers)


def execute(here: Scene, command: str, *, only: str = "") -> list[dict[str, Any]]:
    """Run a command on hosts, as HOSTS_USER; return each one's exit code and output."""
    if not command:
        raise ConfigurationError("Say what to run.", "--command='df -h'")
    with _remotes(here) as remotes:
        chosen = [each for each in remotes.all if only in {"", each.host.id, each.host.name, each.host.address}]
        if not chosen:
            names = ", ".join(each.host.name for each in remotes.all)
            raise ConfigurationError(f"{here.environment.name} has no host {only!r}.", f"It has {names}.")

        def one(remote: Remote) -> dict[str, Any]:
            code, out, err = remote.run(f"timeout -k 5 {_COMMAND_TIMEOUT:.0f} sh -s", command, timeout=_COMMAND_TIMEOUT)
            return {
                "host": remote.host.name,
                "code": code,
                "stdout": console.redact(out),
                "stderr": console.redact(err),
            }

        answers, failures = remotes.each(one, chosen)
        _raise(failures)
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


def converge(here: Scene) -> dict[str, str | None]:
    """Bring hosts to what serves by the ledger: rebooted ones, new ones, and any that are astray.

    Raises
    ------
    Refused
        Nothing was deployed yet.
    """
    here.who = here.cloud.require_account()
    serving = planning.serving(here)
    if serving is None:
        raise Refused(f"{here.environment.name} has no deployment that hosts could converge to.")
    operation = here.ledger.operation(serving.id)
    if operation is None or "bundle" not in operation.plan:
        raise SoundbiteError(f"The ledger does not have what {serving.id} gave the hosts.", "Deploy it anew.")
    from soundbite import publishing, secrets

    plan = operation.plan
    given = {name: each.value for name, each in secrets.of_versions(serving.secrets, here.cloud).items()}
    registry = publishing.signed_in(here.cloud, plan["repository"])
    lock = here.lock()
    lock.acquire(here.holder(f"converge hosts to {serving.id}"))
    try:
        with _remotes(here) as remotes:
            common = {"token": lock.token, "registry": registry}
            staged = {**common, "deployment": serving.id, **plan["bundle"], "secrets": given}

            def one(remote: Remote) -> dict[str, Any]:
                remote.ensure_agent()
                remote.call("prepare", {**common, **bundle.ground_of(plan)}, timeout=_PULL_TIMEOUT)
                remote.call("stage", staged, timeout=_PULL_TIMEOUT)
                remote.call("switch", {**common, "deployment": serving.id})
                remote.call("abandon", common)
                return remote.call("prove", {**common, "deployment": serving.id})

            answers, failures = remotes.each(one)
            _raise(failures)
            names = {each.host.id: each.host.name for each in remotes.all}
    finally:
        lock.release()
    here.audit("hosts.converge", deployment=serving.id, hosts=sorted(answers), token=lock.token)
    return {names[id_]: answer["serving"] for id_, answer in answers.items()}


def switch_offline(here: Scene, to: str) -> dict[str, str | None]:
    """Go to a deployment that the hosts still have, by their own records alone: for when AWS or the ledger is away.

    Neither account nor lock can be asked. Afterwards the ledger knows nothing of it: `inv hosts.converge`, or the next
    deploy, brings hosts and ledger together.

    Parameters
    ----------
    to:
        A deployment's id; empty: the one before what serves, on every host the same.

    Raises
    ------
    Refused
        The hosts have no such deployment in common.
    """
    with _remotes(here, offline=True) as remotes:
        statuses, failures = remotes.each(lambda remote: remote.status())
        _raise(failures)
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
        token = max(int(each["token"]) for each in statuses.values())
        order = {"token": token, "deployment": to}
        first, rest = remotes.all[:1], remotes.all[1:]
        for batch in (first, rest):
            _, failures = remotes.each(lambda remote: remote.call("stage", order, timeout=_PULL_TIMEOUT), batch)
            _raise(failures)
            _, failures = remotes.each(lambda remote: remote.call("switch", {**order, "offline": True}), batch)
            _raise(failures)
        drain = {**order, "seconds": here.environment.hosts.drain}
        remotes.each(lambda remote: remote.call("drain", drain))
        after, failures = remotes.each(lambda remote: remote.status())
        _raise(failures)
        if served(after.values()) != {to}:
            raise SoundbiteError(f"The hosts serve {served(after.values())}, not {to}.", "inv hosts.list --offline")
        return {remote.host.name: to for remote in remotes.all}


def _before(status: dict[str, Any]) -> str | None:
    now = (status.get("serving") or {}).get("deployment")
    known = [each for each in status["served"] if each != now]
    return known[-1] if known else None


def _remotes(here: Scene, *, offline: bool = False) -> hosts.Remotes:
    platform = here.environment.workflow.platform
    if platform != "hosts":
        raise ConfigurationError(
            f"{here.environment.name} has no hosts: PLATFORM={platform} "
            f"({here.environment.settings['PLATFORM'].origin}).",
            f"inv validate --env={here.environment.name} says how it is; docs/deploying.md, where its logs are.",
        )
    if offline:
        return hosts.Remotes(hosts.remembered(here.environment), here.environment)
    with workers(2) as submit:
        who = submit(here.cloud.require_account)
        found = submit(lambda: hosts.find(here.cloud))
        here.who = who.result()
    return hosts.Remotes(found.result(), here.environment)


def _raise(failures: list[SoundbiteError]) -> None:
    if failures:
        raise SoundbiteError(
            "\n".join(each.message for each in failures), next((each.hint for each in failures if each.hint), "")
        )

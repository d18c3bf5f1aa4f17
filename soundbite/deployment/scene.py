"""Where a deployment happens: the environment, its AWS and ledger, its hosts, and who is at work."""

from __future__ import annotations

import getpass
import os
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import checkout, console
from soundbite import environment as environments
from soundbite.cloud import Cloud
from soundbite.errors import ConfigurationError, Refused, SoundbiteError
from soundbite.parallel import workers
from soundbite.platforms import hosts
from soundbite.releases import Ledger, Lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundbite.environment import Environment
    from soundbite.platforms.hosts import Host, Remote, Remotes

_CI = (("GITHUB_RUN_ID", "GitHub run"), ("CI_JOB_URL", "CI job"), ("BUILD_URL", "build"))
"""Variables by which CI systems name what is running."""


class Scene:
    """One environment that is deployed to, as this process sees it.

    Attributes
    ----------
    overrides:
        Settings given on the command line for this deployment only (`--set`).
    without:
        Hosts that are left out, by name, id or address.
    who:
        The caller's ARN (STS), once the account was checked.
    where:
        The machine, or the run in CI.
    """

    def __init__(self, environment: Environment, overrides: dict[str, str] | None = None) -> None:
        self.environment = environment
        self.overrides = overrides or {}
        self.without: list[str] = []
        self.cloud = Cloud(environment)
        self.ledger = Ledger(self.cloud)
        self.who = ""
        self.where = place()

    def holder(self, reason: str, operation: str = "") -> dict[str, str]:
        """Return what the lock says of us."""
        return {"who": self.who, "where": self.where, "reason": reason, "operation": operation, "since": now()}

    def lock(self) -> Lock:
        """Return the environment's lock, not yet held."""
        return Lock(self.ledger, self.environment.workflow.lock_lease)

    def audit(self, event: str, **more: Any) -> None:
        """Append to the audit trail who did what from where."""
        self.ledger.audit({"at": now(), "event": event, "who": self.who, "where": self.where, **more})


def load(name: str, *, rehearsal: bool, overrides: dict[str, str] | None = None) -> Scene:
    """Load an environment that can be deployed to.

    Raises
    ------
    ConfigurationError
        It is unknown, wrong, or runs on this machine.
    """
    environment = environments.load(name, overrides, rehearsal=rehearsal)
    if environment.local:
        raise ConfigurationError(
            f"{name} is not deployed: its application runs on this machine ({_origin(environment, 'PLATFORM')}).",
            f"inv dev.{name.removeprefix('dev-')} brings it up; deployable are {', '.join(environments.deployable())}.",
        )
    if environment.workflow.platform != "hosts":
        raise ConfigurationError(
            f"{name} has PLATFORM={environment.workflow.platform} ({_origin(environment, 'PLATFORM')}), "
            "which cannot be deployed to yet.",
            "PLATFORM=hosts can.",
        )
    return Scene(environment, overrides)


@contextmanager
def preflight(scene: Scene, *, with_hosts: bool = True) -> Iterator[tuple[Remotes, dict[str, dict[str, Any]]]]:
    """Check account and hosts at once, and give the hosts with what each tells of itself.

    Raises
    ------
    ConfigurationError
        The account is another, or there are no hosts.
    SoundbiteError
        A host is out of reach; all that are, in one message.
    """
    with console.step("preflight") as step:
        step.progress = "account and hosts"
        with workers(2) as submit:
            who = submit(scene.cloud.require_account)
            found = submit(partial(hosts.find, scene.cloud))
            scene.who = who.result()
        remotes = hosts.Remotes(_chosen(scene, found.result()) if with_hosts else [], scene.environment)
        with_all, failures = remotes.each(_status)
        if failures:
            remotes.close()
            hint = next((each.hint for each in failures if each.hint), "")
            raise SoundbiteError(
                "\n".join(each.message for each in failures) + "\nNothing was changed.",
                f"{hint} --without=HOST leaves a host out.".strip(),
            )
        step.detail = f"{scene.environment.name}: account {scene.environment.aws.account_id}, {len(with_all)} hosts"
    with remotes:
        yield remotes, with_all


def _status(remote: Remote) -> dict[str, Any]:
    told = remote.status()
    if not told["engine"]:
        raise hosts.HostFailed(remote.host, "its engine does not run", hosts.RESTART)
    return told


def _chosen(scene: Scene, found: list[Host]) -> list[Host]:
    for name in scene.without:
        if not any(name in {each.name, each.id, each.address} for each in found):
            raise ConfigurationError(
                f"{scene.environment.name} has no host {name!r}.", f"It has {', '.join(each.name for each in found)}."
            )
    chosen = [each for each in found if not {each.name, each.id, each.address} & set(scene.without)]
    if not chosen:
        raise ConfigurationError("--without leaves no host over.")
    if len(chosen) < len(found):
        console.warn(f"Left out: {', '.join(scene.without)}. inv hosts.converge brings them to what serves later.")
    return chosen


def require_clean(scene: Scene) -> str:
    """Return the checkout's commit; what deploys must be what is in the repository.

    Raises
    ------
    Refused
        The tree has changes. On emulated AWS that is allowed.
    """
    revision = checkout.revision()
    if not checkout.is_clean(revision) and not scene.environment.emulated:
        raise Refused(
            f"The tree has changes that no commit has ({revision}), and {scene.environment.name} must get what is in "
            "the repository. Nothing was changed.",
            "Commit or stash them; `git status` shows them.",
        )
    return revision


def place() -> str:
    """Return where this process runs: a run of CI, or user and machine."""
    for variable, what in _CI:
        if os.environ.get(variable):
            return f"{what} {os.environ[variable]}"
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}, pid {os.getpid()}"


def now() -> str:
    """Return the time, RFC 3339 in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _origin(environment: Environment, key: str) -> str:
    return str(environment.settings[key].origin)

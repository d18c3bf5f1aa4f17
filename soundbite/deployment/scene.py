"""Where a deployment happens: the environment, its AWS and ledger, its hosts, and who is at work."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from soundbite import checkout, console
from soundbite import environment as environments
from soundbite.cloud import Cloud
from soundbite.errors import ConfigurationError, Refused
from soundbite.parallel import workers
from soundbite.place import place
from soundbite.platforms import platform
from soundbite.releases import Ledger, Lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundbite.cloud import Patience
    from soundbite.environment import Environment
    from soundbite.platforms.platform import Platform


class Scene:
    """One environment that is deployed to, as this process sees it.

    Attributes
    ----------
    overrides:
        Settings given on the command line for this deployment only (`--set`).
    rehearsal:
        Whether it, and other environments that it needs, have the rehearsal layer.
    without:
        Hosts that are left out, by name, id or address.
    who:
        The caller's ARN (STS), once the account was checked.
    where:
        The machine, or the run in CI.
    """

    def __init__(
        self,
        environment: Environment,
        overrides: dict[str, str] | None = None,
        *,
        rehearsal: bool = False,
        patience: Patience | None = None,
    ) -> None:
        self.environment = environment
        self.rehearsal = rehearsal
        self.overrides = overrides or {}
        self.without: list[str] = []
        self.cloud = Cloud(environment, patience=patience)
        self.ledger = Ledger(self.cloud)
        self.who = ""
        self.where = place()

    def earlier(self, patience: Patience | None = None) -> Scene | None:
        """Return the stage before, whose releases come here; None where that is this machine, or none."""
        name = self.environment.workflow.promoted_from
        environment = environments.load(name, rehearsal=self.rehearsal) if name else None
        if environment is None or environment.local:
            return None
        return Scene(environment, rehearsal=self.rehearsal, patience=patience)

    def holder(self, reason: str, operation: str = "") -> dict[str, str]:
        """Return what the lock says of us."""
        return {"who": self.who, "where": self.where, "reason": reason, "operation": operation, "since": now()}

    def lock(self) -> Lock:
        """Return the environment's lock, not yet held."""
        return Lock(self.ledger, self.environment.workflow.lock_lease)

    def audit(self, event: str, **more: Any) -> None:
        """Append to the audit trail who did what from where."""
        self.ledger.audit(self.entry(event, **more))

    def entry(self, event: str, **more: Any) -> dict[str, Any]:
        """Return what the audit trail says of an event: who did it, from where, and what else there is to say."""
        said = {"at": now(), "event": event, "who": self.who, "where": self.where, **more}
        return {name: console.masked(each) for name, each in said.items()}


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
    return Scene(environment, overrides, rehearsal=rehearsal)


@contextmanager
def preflight(scene: Scene) -> Iterator[tuple[Platform, dict[str, dict[str, Any]]]]:
    """Check account and platform at once, and give the platform with what each part of it tells of itself.

    Raises
    ------
    ConfigurationError
        The account is another, or there are no hosts.
    SoundbiteError
        A host is out of reach; all that are, in one message.
    """
    with console.step("preflight") as step:
        step.progress = f"account and {scene.environment.workflow.platform}"
        found = platform.of(scene.cloud, scene.without)
        with workers(2) as submit:
            who, finding = submit(scene.cloud.require_account), submit(found.find)
            scene.who = str(who.result())
            finding.result()
        statuses = found.look()
        step.detail = f"{scene.environment.name}: account {scene.environment.aws.account_id}, {found.told()}"
    with found:
        yield found, statuses


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


def now() -> str:
    """Return the time, RFC 3339 in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _origin(environment: Environment, key: str) -> str:
    return str(environment.settings[key].origin)

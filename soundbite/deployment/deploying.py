"""`inv deploy.*`: preflight → lock → plan → infrastructure → artifacts → rollout → checks → record."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import application, console
from soundbite.errors import ConfigurationError, Locked, Refused
from soundbite.infrastructure import functions, stacks
from soundbite.platforms.platform import served
from soundbite.releases import Deployment, Operation
from soundbite.releases.records import DEPLOY, PLANNED

from . import planning, releasing, scene
from .carrying import Carrier
from .preparing import prepare_deploy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from soundbite.platforms.platform import Platform
    from soundbite.releases import Lock

    from .planning import Differences
    from .scene import Scene


class Wishes(NamedTuple):
    """How a deployment is wanted.

    Attributes
    ----------
    release:
        Its id; empty: the newest verified one stage before.
    build:
        Take what the working tree is.
    lock_wait:
        Seconds to wait for somebody else's lock.
    override_bad:
        Deploy a release although it was marked bad; wants a reason.
    irreversible:
        Why it cannot be taken back, for example a migration; said before it goes out, and at a rollback.
    """

    release: str = ""
    build: bool = False
    lock_wait: float = 0.0
    override_bad: bool = False
    reason: str = ""
    irreversible: str = ""
    rehearsal: bool = False


def plan(here: Scene, wishes: Wishes) -> dict[str, Any]:
    """Return what a deployment would change; changes nothing."""
    with scene.preflight(here) as (platform, statuses):
        scene.require_clean(here)
        candidate = releasing.choose(here, wishes.release, build=wishes.build, rehearsal=wishes.rehearsal)
        found = planning.compare(here, candidate, platform, statuses)
        return {
            "environment": here.environment.name,
            "release": candidate.release.id,
            "before": found.before.id if found.before else None,
            "differences": found.lines,
            "infrastructure": stacks.diff(here.cloud, found.assembly) if found.stacks else "",
            "hosts": sorted(statuses),
            "bad": _bad(here, candidate.release.id),
        }


def deploy(here: Scene, wishes: Wishes, confirm: Callable[[str], None]) -> dict[str, Any]:
    """Deploy a release.

    Parameters
    ----------
    confirm:
        Called with the differences before anything is changed, where the environment asks for it (CONFIRM); raises to
        stop.

    Returns
    -------
    dict
        `environment`, `deployment`, `release`, `changed`, `url`.

    Raises
    ------
    WentBack
        It failed, and what served before serves.
    Refused
        The tree is dirty, or the release may not go there.
    Locked
        Somebody else is at work.
    """
    with scene.preflight(here) as (platform, statuses):
        revision = scene.require_clean(here)
        require_free(here, wishes.lock_wait)
        candidate = releasing.choose(here, wishes.release, build=wishes.build, rehearsal=wishes.rehearsal)
        found = planning.compare(here, candidate, platform, statuses)
        if found.nothing and found.before is not None:
            console.say(f"{found.before.id} serves already on {platform.told()}; nothing to do.")
            return result(here, found.before, changed=False)
        _require_good(here, candidate.release.id, wishes)
        text = "\n".join(found.lines)
        console.say(text)
        if wishes.irreversible:
            console.warn(f"It cannot be taken back: {wishes.irreversible}")
        if here.environment.workflow.confirm:
            confirm(f"{here.environment.name} in account {here.environment.aws.account_id}")
        _ensure_ledger(here, found)
        lock = here.lock()
        lock.acquire(here.holder(wishes.reason or f"deploy {candidate.release.id}"), wait=wishes.lock_wait)
        carrier = Carrier(here, lock, platform, *_begin(here, lock, platform, found, wishes, revision))
        return result(here, carrier.carry(prepare_deploy(candidate, found.assembly)), changed=True)


def result(here: Scene, deployment: Deployment, *, changed: bool) -> dict[str, Any]:
    """Return what a deployment ended with."""
    return {
        "environment": here.environment.name,
        "deployment": deployment.id,
        "release": deployment.release,
        "commit": deployment.commit,
        "changed": changed,
        "seconds": deployment.seconds,
        "url": here.environment.app.url,
    }


def begin(here: Scene, lock: Lock, record: Deployment, plan_: dict[str, Any]) -> tuple[Operation, Deployment]:
    """Write a new operation and its deployment to the ledger; if that fails, give the lock back."""
    with released_on_failure(lock):
        operation = Operation(record.id, record.verb, PLANNED, plan_)
        lock.name_operation(record.id)
        here.ledger.put_begun(record, operation, lock.token)
    return operation, record


@contextmanager
def released_on_failure(lock: Lock) -> Iterator[None]:
    """Give the lock back if what must be done first under it fails: nothing was begun."""
    try:
        yield
    except BaseException:
        lock.release()
        raise


def require_free(here: Scene, wait: float) -> None:
    """Refuse at once where somebody else is at work and is not waited for.

    Raises
    ------
    Locked
        The message says who.
    """
    try:
        if not wait:
            here.lock().require_free()
    except ConfigurationError:
        return  # no ledger yet


def require_unchanged(here: Scene, before: Deployment | None) -> None:
    """Refuse where something else serves than when the plan was made.

    Raises
    ------
    Locked
        Somebody deployed meanwhile.
    """
    now = planning.serving(here)
    if (now.id if now else None) != (before.id if before else None):
        who = f", by {now.who} on {now.where}" if now else ""
        raise Locked(
            f"{now.id if now else 'Nothing'} serves now: somebody was faster{who}. Nothing was changed.",
            "Look at it again: --plan.",
        )


def _begin(
    here: Scene, lock: Lock, platform: Platform, found: Differences, wishes: Wishes, revision: str
) -> tuple[Operation, Deployment]:
    before = found.before
    with released_on_failure(lock):
        require_unchanged(here, before)
        number = here.ledger.next_number()
        function = _function(here)
    release = found.candidate.release
    record = Deployment(
        id=f"{here.environment.name}-{number}",
        number=number,
        environment=here.environment.name,
        verb=DEPLOY,
        release=release.id,
        image="",
        commit=revision,
        before=before.id if before else None,
        source=None,
        who=here.who,
        where=here.where,
        started=scene.now(),
        secrets=found.secrets,
        hosts=sorted(found.statuses),
        irreversible=wishes.irreversible,
        platform=platform.name,
    )
    plan_ = {
        "deployment": record.id,
        "told": found.lines,
        "release": {"id": release.id, "commit": release.commit},
        "contents": found.candidate.contents,
        "origin": found.candidate.origin.environment.name if found.candidate.origin else "",
        "assembly": found.assembly.digest,
        "overrides": here.overrides,
        "secrets": found.secrets,
        **common(here, platform, found.statuses, before, found.processor_version),
        "processor": {"function": function, "version": None},
    }
    return begin(here, lock, record, plan_)


def common(
    here: Scene,
    platform: Platform,
    statuses: Mapping[str, Mapping[str, Any]],
    before: Deployment | None,
    processor_version: str | None,
) -> dict[str, Any]:
    """Return the parts of a plan that deploys and rollbacks share."""
    serves = before.id if before else None
    if before is not None and before.platform != platform.name:
        # What the environment was moved away from; a failure goes back to what serves here, if anything does.
        found = served(statuses.values())
        serves = found.pop() if len(found) == 1 else None
    return {
        "before": {
            "deployment": serves,
            "secrets": before.secrets if before else {},
            "processor_version": processor_version,
        },
        "repository": "",
        "platform": platform.name,
        **platform.ground(),
        "rehearsal": here.environment.emulated,
    }


def _function(here: Scene) -> str | None:
    try:
        return functions.name(here.cloud, stacks.outputs(here.cloud))
    except ConfigurationError:
        return None


def _ensure_ledger(here: Scene, found: Differences) -> None:
    """Make the ledger where the environment has none yet: the lock lies in it."""
    name = here.environment.stack_name(stacks.BOOTSTRAP)
    if name in stacks.describe(here.cloud):
        return
    with console.step("ledger") as step:
        application.cdk_cli().ensure(step.tell)
        stacks.deploy(here.cloud, found.assembly, step.tell, only=name)
        step.detail = f"{here.ledger.table} made"


def _require_good(here: Scene, release: str, wishes: Wishes) -> None:
    bad = _bad(here, release)
    if not bad:
        return
    if not wishes.override_bad:
        raise Refused(
            f"{release} was marked bad ({bad}). Nothing was changed.",
            '--override-bad --reason="…" deploys it all the same.',
        )
    if not wishes.reason:
        raise ConfigurationError("--override-bad wants a reason.", '--reason="why it is good now"; the audit keeps it.')


def _bad(here: Scene, release: str) -> str:
    try:
        return here.ledger.bad(release)
    except ConfigurationError:
        return ""  # no ledger yet

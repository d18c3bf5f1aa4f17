"""`inv deploy.*`: preflight → lock → plan → infrastructure → artifacts → rollout → checks → record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import application, console
from soundbite.infrastructure import functions, stacks
from soundbite.releases.records import DEPLOY

from . import marks, planning, releasing, scene
from .beginning import (
    begin,
    common,
    first_record,
    released_on_failure,
    require_free,
    require_good,
    require_unchanged,
    result,
)
from .carrying import Carrier
from .preparing import prepare_deploy

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.platforms.platform import Platform
    from soundbite.releases import Deployment, Lock, Operation

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


def plan(here: Scene, wishes: Wishes) -> dict[str, Any]:
    """Return what a deployment would change; changes nothing."""
    with scene.preflight(here) as (platform, statuses):
        scene.require_clean(here)
        candidate = releasing.choose(here, wishes.release, build=wishes.build)
        found = planning.compare(here, candidate, platform, statuses)
        return {
            "environment": here.environment.name,
            "release": candidate.release.id,
            "before": found.before.id if found.before else None,
            "differences": found.lines,
            "infrastructure": stacks.diff(here.cloud, found.assembly) if found.stacks else "",
            "hosts": sorted(statuses),
            "bad": marks.bad(here, candidate.release.id),
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
        candidate = releasing.choose(here, wishes.release, build=wishes.build)
        found = planning.compare(here, candidate, platform, statuses)
        if found.nothing and found.before is not None:
            console.say(f"{found.before.id} serves already on {platform.told()}; nothing to do.")
            return result(here, found.before, changed=False)
        release = candidate.release.id
        require_good(release, marks.bad(here, release), override_bad=wishes.override_bad, reason=wishes.reason)
        text = "\n".join(found.lines)
        console.say(text)
        if wishes.irreversible:
            console.warn(f"It cannot be taken back: {wishes.irreversible}")
        if here.environment.workflow.confirm:
            confirm(f"{here.environment.name} in account {here.environment.aws.account_id}")
        _ensure_ledger(here, found)
        lock = here.lock()
        lock.acquire(here.holder(wishes.reason or f"deploy {candidate.release.id}"), wait=wishes.lock_wait)
        with released_on_failure(lock):
            require_unchanged(here, found.before)
            begun = _begin(here, lock, platform, found, wishes, revision)
        carrier = Carrier(here, lock, platform, *begun)
        return result(here, carrier.carry(prepare_deploy(candidate, found.assembly)), changed=True)


def _begin(
    here: Scene, lock: Lock, platform: Platform, found: Differences, wishes: Wishes, revision: str
) -> tuple[Operation, Deployment]:
    release = found.candidate.release
    record = first_record(
        here,
        DEPLOY,
        found.before,
        platform,
        release=release.id,
        image="",
        commit=revision,
        source=None,
        secrets=found.secrets,
        hosts=sorted(found.statuses),
        irreversible=wishes.irreversible,
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
        **common(here, platform, found.statuses, found.before, found.processor_version),
        "processor": {"function": functions.named(here.cloud), "version": None},
    }
    return begin(here, lock, record, plan_)


def _ensure_ledger(here: Scene, found: Differences) -> None:
    """Make the ledger where the environment has none yet: the lock lies in it."""
    name = here.environment.stack_name(stacks.BOOTSTRAP)
    if name in stacks.describe(here.cloud):
        return
    with console.step("ledger") as step:
        application.cdk_cli().ensure(step.tell)
        stacks.deploy(here.cloud, found.assembly, step.tell, only=name)
        step.detail = f"{here.ledger.table} made"

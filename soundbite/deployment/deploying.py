"""`inv deploy.*`: preflight → lock → plan → infrastructure → artifacts → rollout → checks → record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import application, console
from soundbite.infrastructure import stacks
from soundbite.releases.records import DEPLOY

from . import marks, planning, releasing, scene
from .beginning import (
    begin,
    common,
    first_record,
    is_unchanged,
    released_on_failure,
    require_free,
    require_good,
    require_unchanged,
    result,
)
from .carrying import Carrier
from .preparing import prepare_deploy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
            "irreversible": _irreversible(found, wishes),
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
        found = _agreed(here, wishes, platform, statuses, confirm)
        if found.nothing:
            return _serves_already(here, found, platform)
        _ensure_ledger(here, found)
        lock = here.lock()
        lock.acquire(here.holder(wishes.reason or f"deploy {found.candidate.release.id}"), wait=wishes.lock_wait)
        with released_on_failure(lock):
            if wishes.lock_wait and not is_unchanged(here, found.before):
                found = _agreed(here, wishes, platform, platform.look(), confirm)
                if found.nothing:
                    lock.release()
                    return _serves_already(here, found, platform)
            require_unchanged(here, found.before)
            begun = _begin(here, lock, platform, found, wishes, revision)
        carrier = Carrier(here, lock, platform, *begun)
        return result(here, carrier.carry(prepare_deploy(found.candidate, found.assembly)), changed=True)


def _agreed(
    here: Scene,
    wishes: Wishes,
    platform: Platform,
    statuses: Mapping[str, Mapping[str, Any]],
    confirm: Callable[[str], None],
) -> Differences:
    """Return what a deployment changes, if anything, once that is told and nobody objects."""
    candidate = releasing.choose(here, wishes.release, build=wishes.build)
    found = planning.compare(here, candidate, platform, statuses)
    if found.nothing:
        return found
    release = candidate.release.id
    bad = marks.bad(here, release)
    why = f"it was marked bad: {bad}" if bad else ""
    require_good(release, why, override_bad=wishes.override_bad, reason=wishes.reason)
    releasing.require_there(here, candidate)
    console.say("\n".join(found.lines))
    irreversible = _irreversible(found, wishes)
    if irreversible:
        console.warn(f"It cannot be taken back: {irreversible}")
    if here.environment.workflow.confirm:
        confirm(f"{here.environment.name} in account {here.environment.aws.account_id}")
    return found


def _irreversible(found: Differences, wishes: Wishes) -> str:
    """Return why nobody can go back from it: as is said now, or was said of the release that it brings."""
    release = found.candidate.release
    brings = found.before is None or found.before.release != release.id
    return wishes.irreversible or (release.irreversible if brings else "")


def _serves_already(here: Scene, found: Differences, platform: Platform) -> dict[str, Any]:
    assert found.before is not None, "else the release differed"
    console.say(f"{found.before.id} serves already on {platform.told()}; nothing to do.")
    return result(here, found.before, changed=False)


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
        commit=release.commit,
        source=None,
        secrets=found.secrets,
        hosts=sorted(found.statuses),
        irreversible=_irreversible(found, wishes),
    )
    plan_ = {
        "deployment": record.id,
        "told": found.lines,
        "reason": wishes.reason,
        "checkout": revision,
        "release": {"id": release.id, "commit": release.commit},
        "contents": found.candidate.contents,
        "origin": found.candidate.origin.environment.name if found.candidate.origin else "",
        "assembly": found.assembly.digest,
        "overrides": here.overrides,
        "secrets": found.secrets,
        **common(here, platform, found.statuses, found.before, found.processor_version),
        "processor": {"function": found.function, "version": None},
    }
    return begin(here, lock, record, plan_)


def _ensure_ledger(here: Scene, found: Differences) -> None:
    """Make the ledger where the environment has none yet: the lock lies in it."""
    name = here.environment.stack_name(stacks.BOOTSTRAP)
    if name in found.there:
        return
    with console.step("ledger") as step:
        application.cdk_cli().ensure(step.tell)
        stacks.deploy(here.cloud, found.assembly, step.tell, only=name)
        step.detail = f"{here.ledger.items.table} made"

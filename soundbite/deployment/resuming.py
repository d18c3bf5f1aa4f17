"""`--resume` and `--abort`: an operation that was cut off is finished, or what served before serves again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite import checkout, console
from soundbite import environment as environments
from soundbite.errors import Refused
from soundbite.infrastructure import assembly
from soundbite.releases import Deployment, Operation, Release
from soundbite.releases.records import DEPLOY, PLANNED, RECORDED

from . import releasing, scene
from .beginning import result
from .carrying import Carrier
from .preparing import prepare_deploy, prepare_rollback
from .releasing import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.platforms.platform import Platform
    from soundbite.releases import Lock

    from .scene import Scene


def resume(here: Scene) -> dict[str, Any]:
    """Finish an operation that was cut off, from its plan in the ledger; any machine can.

    Raises
    ------
    Refused
        Nothing was interrupted, or it had not got to the hosts and this checkout is another than it was made from.
    Locked
        It is still being worked on.
    """
    here.cloud.require_account()
    found = _interrupted(here)
    _require_platform(here, found)
    if found and found.plan.get("overrides"):
        without = here.without
        here = scene.load(here.environment.name, rehearsal=here.rehearsal, overrides=found.plan["overrides"])
        here.without = without
    with scene.preflight(here) as (platform, _):
        prepare = _preparation(here, found) if found else None
        lock, operation, record = _taken(here, "resume")
        if operation is None or record is None:
            return _nothing(here, lock)
        done = _carrier(here, lock, platform, operation, record).carry(prepare, again=True)
        return result(here, done, changed=True)


def abort(here: Scene, reason: str = "") -> dict[str, Any]:
    """Let what served before an interrupted operation serve again, and record that it was given up.

    Raises
    ------
    Refused
        Nothing was interrupted.
    Locked
        It is still being worked on.
    """
    here.cloud.require_account()
    _require_platform(here, _interrupted(here))
    with scene.preflight(here) as (platform, _):
        lock, operation, record = _taken(here, "abort")
        if operation is None or record is None:
            return _nothing(here, lock)
        carrier = _carrier(here, lock, platform, operation, record)
        try:
            carrier.back(reason or "aborted", "aborted")
        except BaseException:
            carrier.leave_interrupted()
            raise
        before = operation.plan["before"]["deployment"]
        console.say(f"{operation.deployment} is aborted; {before or 'nothing'} serves.")
        return {"environment": here.environment.name, "aborted": operation.deployment, "serving": before}


def _interrupted(here: Scene) -> Operation | None:
    """Return what the lock says is being done, without taking it."""
    name = here.lock().look().holder.get("operation", "")
    return here.ledger.operation(name) if name else None


def _require_platform(here: Scene, found: Operation | None) -> None:
    """Refuse where an operation was begun on another platform than the environment has now."""
    now = here.environment.workflow.platform
    begun = found.plan.get("platform", now) if found else now
    if found and begun != now:
        raise Refused(
            f"{found.deployment} was begun on PLATFORM={begun}, and {here.environment.name} has PLATFORM={now}. "
            "Nothing was changed.",
            f"Set PLATFORM={begun} again to finish it or take it back.",
        )


def _taken(here: Scene, why: str) -> tuple[Lock, Operation | None, Deployment | None]:
    lock = here.lock()
    seen = lock.take_over(here.holder(why))
    name = seen.holder.get("operation", "")
    operation = here.ledger.operation(name) if name else None
    if operation is None or (operation.state == RECORDED and here.ledger.deployment(name).outcome):
        return lock, None, None
    console.say(f"  {why} {name}, which is {operation.state}; it was {seen.told()}")
    return lock, operation, here.ledger.deployment(name)


def _nothing(here: Scene, lock: Lock) -> dict[str, Any]:
    """Give back a lock whose holder had begun nothing, or had ended everything but the lock."""
    lock.release()
    serving = here.ledger.serving()
    console.say(f"Nothing was left to do; {serving or 'nothing'} serves.")
    return {"environment": here.environment.name, "deployment": serving, "changed": False}


def _carrier(here: Scene, lock: Lock, platform: Platform, operation: Operation, record: Deployment) -> Carrier:
    return Carrier(here, lock, platform, operation, record)


def _preparation(here: Scene, operation: Operation) -> Callable[[Carrier], None] | None:
    """Return what brings infrastructure and artifacts, where that was not finished; the checkout must be the same."""
    plan = operation.plan
    if operation.state != PLANNED:
        return None
    if operation.verb != DEPLOY:
        return prepare_rollback()
    if "bundle" in plan:
        return None
    name, wanted = operation.deployment, plan["release"]
    origin = None
    if plan["origin"]:
        earlier = environments.load(plan["origin"], rehearsal=here.rehearsal)
        origin = scene.Scene(earlier, rehearsal=here.rehearsal)
    if plan["contents"]:
        candidate = releasing.of_tree(here)
        same = candidate.contents == plan["contents"]
    else:
        known = (origin or here).ledger.release(wanted["id"])
        same = known is not None
        candidate = Candidate(known or Release(wanted["id"], "", None, wanted["commit"], {}, ""), origin, {})
    made = assembly.synth(here.environment, releasing.folder(here, candidate)) if same else None
    if made is None or made.digest != plan["assembly"]:
        planned_at = plan.get("checkout", wanted["commit"])
        raise Refused(
            f"{name} had not got beyond its infrastructure, and this checkout ({checkout.revision()}) is not what it "
            f"was made from (commit {planned_at}). Nothing was changed.",
            f"Check out {planned_at} and --resume, or --abort.",
        )
    return prepare_deploy(candidate, made)

"""How deploys and rollbacks begin and what they end with: what must hold first, the frozen plan, the first record."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from soundbite.errors import ConfigurationError, Locked, Refused, SoundbiteError
from soundbite.platforms.platform import served
from soundbite.releases import Deployment, LedgerUnreachable, NoLedger, Operation
from soundbite.releases.records import PLANNED

from . import planning, scene

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from soundbite.platforms.platform import Platform
    from soundbite.releases import Lock

    from .scene import Scene


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
    except NoLedger:
        return


def require_good(what: str, why: str, *, override_bad: bool, reason: str) -> None:
    """Refuse what something is said against, unless that is overridden with a reason.

    Parameters
    ----------
    what:
        A release or a deployment.
    why:
        What is said against it; empty: nothing.

    Raises
    ------
    Refused
        It may not serve again.
    ConfigurationError
        It may, but nobody said why.
    """
    if not why:
        return
    if not override_bad:
        raise Refused(
            f"{what} must not serve again: {why}. Nothing was changed.",
            '--override-bad --reason="…" has it serve all the same.',
        )
    if not reason:
        raise ConfigurationError("--override-bad wants a reason.", '--reason="why it is good now"; the audit keeps it.')


def begin(here: Scene, lock: Lock, record: Deployment, plan: dict[str, Any]) -> tuple[Operation, Deployment]:
    """Write a new operation and its deployment to the ledger."""
    operation = Operation(record.id, record.verb, PLANNED, plan)
    lock.name_operation(record.id)
    here.ledger.put_begun(record, operation, lock.token)
    return operation, record


def first_record(here: Scene, verb: str, before: Deployment | None, platform: Platform, **more: Any) -> Deployment:
    """Return the record of a deployment that begins, under the next number; the lock is held."""
    number = here.ledger.next_number()
    return Deployment(
        id=f"{here.environment.name}-{number}",
        number=number,
        environment=here.environment.name,
        verb=verb,
        before=before.id if before else None,
        who=here.who,
        where=here.where,
        started=scene.now(),
        platform=platform.name,
        **more,
    )


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


@contextmanager
def released_on_failure(lock: Lock) -> Iterator[None]:
    """Give the lock back if what must be done first under it fails: nothing was begun.

    Where the ledger may have been told that something was, it is left interrupted: what was sent may have been written,
    whatever became of the answer.
    """
    try:
        yield
    except LedgerUnreachable as error:
        if not lock.operation:
            lock.release()
            raise
        lock.within_seconds(lock.leave_interrupted)
        raise LedgerUnreachable(
            f"{error.message}\nNothing was changed, but {lock.operation} may stand in the ledger as begun.",
            f"{error.hint} When it is back: inv deploy.{lock.name} --abort.".lstrip(),
        ) from None
    except SoundbiteError:
        lock.release()
        raise
    except BaseException:
        lock.within_seconds(lock.leave_interrupted if lock.operation else lock.release)
        raise


def is_unchanged(here: Scene, before: Deployment | None) -> bool:
    """Tell whether still the same serves as when the plan was made."""
    now = planning.serving(here)
    return (now.id if now else None) == (before.id if before else None)


def require_unchanged(here: Scene, before: Deployment | None) -> None:
    """Refuse where something else serves than when the plan was made.

    Raises
    ------
    Locked
        Somebody deployed meanwhile.
    """
    if not is_unchanged(here, before):
        now = planning.serving(here)
        who = f", by {now.who} on {now.where}" if now else ""
        raise Locked(
            f"{now.id if now else 'Nothing'} serves now: somebody was faster{who}. Nothing was changed.",
            "Look at it again: --plan.",
        )


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

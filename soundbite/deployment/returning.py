"""`inv rollback`: back to a deployment that was verified, as it was: image, processor, configuration, secrets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import console, publishing, secrets
from soundbite.errors import ConfigurationError, Refused, SoundbiteError
from soundbite.infrastructure import changes, functions, stacks
from soundbite.parallel import workers
from soundbite.releases.records import ROLLBACK

from . import marks, planning, scene
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
from .preparing import prepare_rollback, require_safe

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soundbite.infrastructure.changes import Difference
    from soundbite.platforms.platform import Platform
    from soundbite.releases import Deployment, Lock, Operation

    from .scene import Scene


def rollback(
    here: Scene,
    confirm: Callable[[str], None],
    *,
    to: str = "",
    plan: bool = False,
    reason: str = "",
    override_bad: bool = False,
    keep_infrastructure: bool = False,
    lock_wait: float = 0.0,
) -> dict[str, Any]:
    """Go back.

    Parameters
    ----------
    to:
        A deployment's id; empty: the last verified one that is another than what serves, and not bad.
    plan:
        Only tell what would be done.
    override_bad:
        Go back to one that is bad or was never verified; wants a reason.
    keep_infrastructure:
        Leave the infrastructure as it is.

    Raises
    ------
    Refused
        There is nothing to go back to, it is bad, or its infrastructure cannot be gone back to without losing data.
    ConfigurationError
        It is unknown, or something that it needs is gone: said before anything is changed.
    """
    with scene.preflight(here) as (platform, statuses):
        if not plan:
            require_free(here, lock_wait)
        find = partial(
            _found, here, to, override_bad=override_bad, reason=reason, keep_infrastructure=keep_infrastructure
        )
        way, seen = find(), statuses
        if plan:
            return {
                "environment": here.environment.name,
                "before": way.now.id,
                "to": way.target.id,
                "release": way.target.release,
                "differences": way.told,
                "hosts": sorted(seen),
            }
        _agree(here, way, confirm)
        lock = here.lock()
        lock.acquire(here.holder(reason or f"roll back to {way.target.id}"), wait=lock_wait)
        with released_on_failure(lock):
            if lock_wait and not is_unchanged(here, way.now):
                serving = planning.serving(here)
                if serving is not None and _kind(serving) == _kind(way.target):
                    # Whoever was waited for did it already; going further back is not what was asked for.
                    lock.release()
                    console.say(f"{serving.id} serves, which is {way.target.id} again; nothing to do.")
                    return result(here, serving, changed=False)
                way, seen = find(), platform.look()
                _agree(here, way, confirm)
            require_unchanged(here, way.now)
            begun = _begin(here, lock, platform, seen, way, reason)
        carrier = Carrier(here, lock, platform, *begun)
        return result(here, carrier.carry(prepare_rollback(way.difference)), changed=True)


class _Way(NamedTuple):
    """From what serves to what is gone back to; `difference` is None where the infrastructure is kept as it is."""

    now: Deployment
    target: Deployment
    difference: Difference | None
    told: list[str]


def _found(here: Scene, to: str, *, override_bad: bool, reason: str, keep_infrastructure: bool) -> _Way:
    now = planning.serving(here)
    if now is None:
        raise Refused(f"{here.environment.name} has no deployment to go back from.")
    target = _target(here, now, to)
    require_good(target.id, _against(here, target), override_bad=override_bad, reason=reason)
    difference = _examined(here, target, keep_infrastructure=keep_infrastructure)
    return _Way(now, target, difference, _told(here, now, target, difference))


def _agree(here: Scene, way: _Way, confirm: Callable[[str], None]) -> None:
    console.say("\n".join(way.told))
    if here.environment.workflow.confirm:
        confirm(f"{here.environment.name} in account {here.environment.aws.account_id}")


def _target(here: Scene, now: Deployment, to: str) -> Deployment:
    platform = here.environment.workflow.platform
    if to:
        target = here.ledger.deployment(to)
        if target.id == now.id:
            raise Refused(f"{to} is what serves.")
        if target.platform != platform:
            raise Refused(
                f"{to} ran on PLATFORM={target.platform}, and {here.environment.name} has PLATFORM={platform}. "
                "Nothing was changed.",
                f"PLATFORM={target.platform} in its env file and a deploy move it back.",
            )
        if not target.image:
            raise Refused(f"{to} never got anywhere ({target.outcome or 'unfinished'}): there is nothing to start.")
        return target
    for each in here.ledger.deployments():
        fit = each.verified and not each.bad and each.platform == platform
        another = fit and each.number < now.number and _kind(each) != _kind(now)
        if another and not marks.bad_to_return_to(here, each.release):
            return each
    raise Refused(
        f"{here.environment.name} has no verified deployment before {now.id} that is not bad.",
        f"inv history --env={here.environment.name} lists all; --to=DEPLOYMENT --override-bad --reason=… takes any.",
    )


def _kind(deployment: Deployment) -> tuple[Any, ...]:
    """Return what tells whether two deployments are the same thing."""
    return deployment.release, deployment.configured, sorted(deployment.secrets.items())


def _against(here: Scene, target: Deployment) -> str:
    never = "" if target.verified else "it was never verified"
    return target.bad or marks.bad_to_return_to(here, target.release) or never


def _examined(here: Scene, target: Deployment, *, keep_infrastructure: bool) -> Difference | None:
    """See that all that a deployment needs is still there; return what its infrastructure would change."""
    cloud = here.cloud
    with console.step("examine") as step:
        step.progress = target.id
        with workers(3) as submit:
            needed: list[Callable[[], object]] = [
                partial(publishing.require, cloud, target.image),
                partial(secrets.of_versions, target.secrets, cloud),
                partial(_require_processor, here, target),
            ]
            problems = [
                each for each in (job.result() for job in [submit(partial(_problem, n)) for n in needed]) if each
            ]
        if problems:
            raise ConfigurationError(
                f"{target.id} cannot be gone back to:\n" + "\n".join(each.message for each in problems),
                problems[0].hint,
            )
        templates = None if keep_infrastructure else here.ledger.templates(target.assembly)
        difference = changes.compare(cloud, templates) if templates else None
        step.detail = f"{target.id}: image, processor and {len(target.secrets)} secrets are there"
    if difference is not None:
        require_safe(target.id, difference)
    return difference


def _problem(needed: Callable[[], object]) -> SoundbiteError | None:
    try:
        needed()
    except SoundbiteError as error:
        return error
    return None


def _require_processor(here: Scene, target: Deployment) -> None:
    function = functions.name(here.cloud, stacks.outputs(here.cloud))
    if function and target.processor_version:
        functions.require(here.cloud, function, target.processor_version)


def _told(here: Scene, now: Deployment, target: Deployment, difference: Difference | None) -> list[str]:
    lines = [f"{'deployment':<15} {now.id} → {target.id} as it was"]
    if now.release != target.release:
        lines.append(f"{'release':<15} {now.release} → {target.release} (commit {target.commit})")
    if now.processor_version != target.processor_version:
        lines.append(f"{'processor':<15} version {now.processor_version} → {target.processor_version}")
    for name in sorted(now.configuration.keys() | target.configuration.keys()):
        then, here_now = target.configuration.get(name, "not set"), now.configuration.get(name, "not set")
        if then != here_now:
            lines.append(f"{'configuration':<15} {name}: {here_now} → {then}")
    lines += [
        f"{'secret':<15} {name}: back to its version of {target.id}"
        for name, pinned in target.secrets.items()
        if now.secrets.get(name) != pinned
    ]
    if difference is not None and difference.stacks:
        prefix = here.environment.stack_name("")
        lines.append(f"{'infrastructure':<15} {', '.join(n.removeprefix(prefix) for n in difference.stacks)} go back")
    lines += [
        f"{'irreversible':<15} {each.id} was said to be: {each.irreversible}"
        for each in reversed(here.ledger.deployments())
        if target.number < each.number <= now.number and each.irreversible
    ]
    return lines


def _begin(
    here: Scene,
    lock: Lock,
    platform: Platform,
    statuses: Mapping[str, Mapping[str, Any]],
    way: _Way,
    reason: str,
) -> tuple[Operation, Deployment]:
    now, target = way.now, way.target
    source = _source(here, target)
    function = functions.named(here.cloud, stacks.outputs(here.cloud))
    version = functions.pointed(here.cloud, function) if function else None
    same = ("release", "image", "commit", "configuration", "secrets", "configured", "processor_version")
    record = first_record(
        here,
        ROLLBACK,
        now,
        platform,
        source=target.id,
        hosts=target.hosts,
        assembly=target.assembly if way.difference is not None else now.assembly,
        **{each: getattr(target, each) for each in same},
    )
    plan = {
        **common(here, platform, statuses, now, version),
        "deployment": record.id,
        "told": way.told,
        "reason": reason,
        "infrastructure": {
            "assembly": target.assembly,
            "stacks": sorted(way.difference.stacks) if way.difference is not None else [],
        },
        "release": {"id": target.release, "commit": target.commit},
        "secrets": target.secrets,
        "repository": source.plan["repository"],
        **{key: source.plan[key] for key in platform.ground().keys() & {"proxy"}},
        "bundle": platform.renamed(source.plan["bundle"], target.id, record.id),
        "processor": {"function": function, "version": target.processor_version},
        "marks_bad": reason or f"rolled back by {record.id}",
    }
    return begin(here, lock, record, plan)


def _source(here: Scene, target: Deployment) -> Operation:
    source = here.ledger.operation(target.id)
    if source is None or "bundle" not in source.plan:
        raise ConfigurationError(f"The ledger does not have what {target.id} was given.", "Deploy it anew.")
    return source

"""`inv rollback`: back to a deployment that was verified, as it was: image, processor, configuration, secrets."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

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
    released_on_failure,
    require_free,
    require_good,
    require_unchanged,
    result,
)
from .carrying import Carrier
from .preparing import prepare_rollback

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
        now = planning.serving(here)
        target = _target(here, now, to)
        require_good(target.id, _against(here, target), override_bad=override_bad, reason=reason)
        difference = _examined(here, target, keep_infrastructure=keep_infrastructure)
        told = _told(here, now, target, difference)
        if plan:
            return {
                "environment": here.environment.name,
                "before": now.id if now else None,
                "to": target.id,
                "release": target.release,
                "differences": told,
                "hosts": sorted(statuses),
            }
        console.say("\n".join(told))
        if now is not None and now.irreversible:
            console.warn(f"{now.id} was said to be irreversible: {now.irreversible}")
        if here.environment.workflow.confirm:
            confirm(f"{here.environment.name} in account {here.environment.aws.account_id}")
        lock = here.lock()
        lock.acquire(here.holder(reason or f"roll back to {target.id}"), wait=lock_wait)
        with released_on_failure(lock):
            require_unchanged(here, now)
            begun = _begin(here, lock, platform, statuses, now, target, told, reason)
        carrier = Carrier(here, lock, platform, *begun)
        return result(here, carrier.carry(prepare_rollback(difference)), changed=True)


def _target(here: Scene, now: Deployment | None, to: str) -> Deployment:
    if now is None:
        raise Refused(f"{here.environment.name} has no deployment to go back from.")
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
    if difference is not None and difference.unsafe:
        raise Refused(
            f"The infrastructure of {target.id} cannot be gone back to without losing data. Nothing was changed.\n"
            + "\n".join(f"  {line}" for line in difference.unsafe),
            "--keep-infrastructure goes back with everything else, and leaves it as it is.",
        )
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


def _told(here: Scene, now: Deployment | None, target: Deployment, difference: Difference | None) -> list[str]:
    assert now is not None, "there is something to go back from"
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
    return lines


def _begin(
    here: Scene,
    lock: Lock,
    platform: Platform,
    statuses: Mapping[str, Mapping[str, Any]],
    now: Deployment | None,
    target: Deployment,
    told: list[str],
    reason: str,
) -> tuple[Operation, Deployment]:
    assert now is not None, "there is something to go back from"
    source = _source(here, target)
    function = functions.named(here.cloud)
    version = functions.pointed(here.cloud, function) if function else None
    same = ("release", "image", "commit", "configuration", "secrets", "configured", "processor_version", "assembly")
    record = first_record(
        here,
        ROLLBACK,
        now,
        platform,
        source=target.id,
        hosts=target.hosts,
        **{each: getattr(target, each) for each in same},
    )
    plan = {
        **common(here, platform, statuses, now, version),
        "deployment": record.id,
        "told": told,
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

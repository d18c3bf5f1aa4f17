"""What an operation does before its platform is touched: infrastructure, artifacts, and the frozen bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from soundbite import application, console
from soundbite.errors import Refused
from soundbite.infrastructure import changes, functions, stacks
from soundbite.releases.records import PLANNED

from . import planning, releasing

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.infrastructure.assembly import Assembly

    from .carrying import Carrier
    from .releasing import Candidate
    from .scene import Scene


def prepare_deploy(candidate: Candidate, assembly: Assembly) -> Callable[[Carrier], None]:
    """Return what a deploy does before the platform is touched: infrastructure, artifacts, and the frozen bundle."""

    def prepare(carrier: Carrier) -> None:
        if "bundle" in carrier.plan:
            return
        scene, platform, token = carrier.scene, carrier.platform, carrier.lock.token
        _deploy_stacks(scene, assembly, carrier)
        release = releasing.bring(scene, candidate)
        release = replace(release, irreversible=carrier.record.irreversible or release.irreversible)
        scene.ledger.add_release(release, token)
        scene.ledger.put_templates(assembly.digest, assembly.templates(), token)
        output = stacks.outputs(scene.cloud)
        function = functions.name(scene.cloud, output)
        version = None
        if function:
            if carrier.plan["before"]["processor_version"]:
                # A change of the alias's own resource would have moved it: it waits for the switch.
                functions.point(scene.cloud, function, carrier.plan["before"]["processor_version"])
            version = functions.publish(scene.cloud, function)
        configuration = planning.bound(scene, output)
        given = platform.variables(configuration)
        repository = releasing.repository(scene)
        made = platform.bundle(
            carrier.plan["deployment"],
            given,
            carrier.plan["secrets"],
            {"id": release.id, "commit": release.commit, "image": f"{repository}@{release.image}"},
        )
        carrier.record = replace(
            carrier.record,
            release=release.id,
            image=f"{repository}@{release.image}",
            configuration=configuration,
            configured=platform.digest(given),
            processor_version=version,
            assembly=assembly.digest,
        )
        scene.ledger.put_deployment(carrier.record, token)
        carrier.keep(PLANNED, bundle=made, repository=repository, processor={"function": function, "version": version})

    return prepare


def prepare_rollback(known: changes.Difference | None = None) -> Callable[[Carrier], None]:
    """Return what a rollback does before the platform is touched: the infrastructure, where it is to go back too.

    Parameters
    ----------
    known:
        What that changes; None where it was cut off: some of it may be done.
    """

    def prepare(carrier: Carrier) -> None:
        # Plans of older workflows say nothing of it.
        frozen = carrier.plan.get("infrastructure") or {"stacks": []}
        if not frozen["stacks"]:
            return
        with console.step("infrastructure") as step:
            difference = known or _left_to_do(carrier, frozen)
            changes.go_back(carrier.scene.cloud, difference)
            step.detail = f"{', '.join(frozen['stacks'])} as they were"
        carrier.lock.require()

    return prepare


def require_safe(what: str, difference: changes.Difference) -> None:
    """Refuse to go back to infrastructure where data would be lost.

    Parameters
    ----------
    what:
        Whose infrastructure it was.

    Raises
    ------
    Refused
        The message lists what would be.
    """
    if difference.unsafe:
        raise Refused(
            f"The infrastructure of {what} cannot be gone back to without losing data. Nothing was changed.\n"
            + "\n".join(f"  {line}" for line in difference.unsafe),
            "--keep-infrastructure goes back with everything else, and leaves it as it is.",
        )


def _left_to_do(carrier: Carrier, frozen: dict[str, Any]) -> changes.Difference:
    scene, source = carrier.scene, str(carrier.record.source)
    templates = scene.ledger.templates(frozen["assembly"]) or {}
    for name in frozen["stacks"]:
        changes.settled(scene.cloud, name)
    difference = changes.compare(scene.cloud, {name: templates[name] for name in frozen["stacks"]})
    require_safe(source, difference)
    return difference


def _deploy_stacks(scene: Scene, assembly: Assembly, carrier: Carrier) -> None:
    with console.step("infrastructure") as step:
        waiting = stacks.pending(scene.cloud, assembly)
        if waiting:
            application.cdk_cli().ensure(step.tell)
            stacks.bootstrap(scene.cloud, step.tell)
            stacks.deploy(scene.cloud, assembly, step.tell)
        carrier.lock.require()
        short = [name.removeprefix(scene.environment.stack_name("")) for name in waiting]
        step.detail = f"{', '.join(short)} deployed" if waiting else "unchanged"

"""What an operation does before its platform is touched: infrastructure, artifacts, and the frozen bundle."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from soundbite import application, console
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
        scene.ledger.add_release(release, token)
        scene.ledger.put_templates(assembly.digest, assembly.templates(), token)
        function = functions.name(scene.cloud, stacks.outputs(scene.cloud))
        version = None
        if function:
            if carrier.plan["before"]["processor_version"]:
                # A change of the alias's own resource would have moved it: it waits for the switch.
                functions.point(scene.cloud, function, carrier.plan["before"]["processor_version"])
            version = functions.publish(scene.cloud, function)
        configuration = planning.bound(scene)
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


def prepare_rollback(difference: changes.Difference | None) -> Callable[[Carrier], None]:
    """Return what a rollback does before the platform is touched: the infrastructure, where it is to go back too."""

    def prepare(carrier: Carrier) -> None:
        if difference is not None and difference.stacks:
            with console.step("infrastructure") as step:
                changes.go_back(carrier.scene.cloud, difference)
                step.detail = f"{', '.join(difference.stacks)} as they were"

    return prepare


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

"""What a deployment would change, found out without changing anything, and told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from soundbite import console, secrets
from soundbite.errors import ConfigurationError
from soundbite.infrastructure import assembly, functions, stacks
from soundbite.parallel import workers
from soundbite.platforms.platform import served
from soundbite.releases import NoLedger

from . import releasing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soundbite.infrastructure.assembly import Assembly
    from soundbite.platforms.platform import Platform
    from soundbite.releases import Deployment

    from .releasing import Candidate
    from .scene import Scene

UNKNOWN = "(known after infrastructure)"


@dataclass(frozen=True)
class Differences:
    """A deployment that could be, against what serves.

    Attributes
    ----------
    before:
        The deployment that serves by the ledger; None for the first.
    stacks:
        The stacks that differ.
    configuration:
        The application's variables, without secrets; outputs of stacks that are not there are UNKNOWN.
    secrets:
        By variable, reference and version.
    configured:
        The hash of what the platform is given; "" where something is unknown.
    there:
        The stacks that are there, whatever they are like.
    function:
        The processor's function; None where there is none, or none yet.
    astray:
        What the platform serves, where that is not what the ledger says.
    """

    candidate: Candidate
    before: Deployment | None
    assembly: Assembly
    stacks: list[str]
    configuration: dict[str, str]
    secrets: dict[str, list[str]]
    configured: str
    statuses: Mapping[str, Mapping[str, Any]]
    there: list[str]
    function: str | None
    processor_version: str | None
    astray: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def nothing(self) -> bool:
        """Whether what would be deployed serves already, everywhere."""
        return not self.lines


def compare(
    scene: Scene, candidate: Candidate, platform: Platform, statuses: Mapping[str, Mapping[str, Any]]
) -> Differences:
    """Compare what would be deployed with what serves.

    Raises
    ------
    ConfigurationError
        A secret cannot be read.
    """
    environment, cloud = scene.environment, scene.cloud
    processor = releasing.folder(scene, candidate)
    with console.step("compare") as step:
        with workers(2) as submit:
            synthesized = submit(lambda: assembly.synth(environment, processor))
            versions = submit(lambda: secrets.versions(environment.app_env, cloud))
            made, pinned = synthesized.result(), versions.result()
        there = stacks.describe(cloud)
        output = stacks.outputs_of(environment, there)
        waiting = stacks.pending(cloud, made, there)
        before = serving(scene)
        configuration = bound(scene, output)
        given = platform.variables(configuration)
        known = UNKNOWN not in given.values()
        configured = platform.digest(given) if known else ""
        function = functions.named(cloud, output)
        version = functions.pointed(cloud, function) if function else None
        found = Differences(
            candidate,
            before,
            made,
            waiting,
            configuration,
            pinned,
            configured,
            statuses,
            list(there),
            function,
            version,
            _astray(platform, before, statuses),
        )
        found.lines.extend(_lines(scene, found))
        step.detail = f"{len(found.lines)} differences" if found.lines else "nothing differs"
    return found


def serving(scene: Scene) -> Deployment | None:
    """Return the deployment that serves, as the ledger has it; None for the first, or where there is no ledger yet."""
    try:
        found = scene.ledger.serving()
    except NoLedger:
        return None
    return scene.ledger.deployment(found) if found else None


def bound(scene: Scene, output: Callable[[str], str]) -> dict[str, str]:
    """Return the application's variables but secrets; outputs of stacks that are not deployed yet are UNKNOWN."""
    values: dict[str, str] = {}
    for name, setting in scene.environment.app_env.items():
        if setting.reference is None:
            values[name] = setting.text
        elif not setting.reference.secret:
            try:
                values[name] = output(setting.reference.target)
            except ConfigurationError:
                values[name] = UNKNOWN
    return values


def _astray(platform: Platform, before: Deployment | None, statuses: Mapping[str, Mapping[str, Any]]) -> str:
    found = served(statuses.values())
    wanted = {before.id if before else None}
    if found == wanted:
        return ""
    told = ", ".join(sorted(each or "nothing" for each in found))
    return f"{platform.told()} serve {told}, and the ledger says {before.id if before else 'nothing was deployed'}"


def _lines(scene: Scene, found: Differences) -> list[str]:
    lines = [f"{what:<15} {text}" for what, text in _differences(scene, found)]
    if found.astray:
        lines.append(f"{'platform':<15} {found.astray}")
    return lines


def _differences(scene: Scene, found: Differences) -> list[tuple[str, str]]:
    before, release = found.before, found.candidate.release
    lines: list[tuple[str, str]] = []
    if before is None or before.release != release.id:
        lines.append(("release", f"{before.release if before else 'none'} → {release.id} (commit {release.commit})"))
    image = f"{release.image}" if release.image else "to be built"
    if before is None or before.release != release.id:
        lines.append(("image", f"{before.image.partition('@')[2] if before else 'none'} → {image}"))
    if found.stacks:
        short = [name.removeprefix(scene.environment.stack_name("")) for name in found.stacks]
        lines.append(("infrastructure", f"{', '.join(short)} differ"))
    lines += [
        ("configuration", f"{name}: {_shown(then)} → {_shown(now)}")
        for name, then, now in _changed(before.configuration if before else {}, found.configuration)
    ]
    then_secrets = before.secrets if before else {}
    for name in sorted(then_secrets.keys() | found.secrets.keys()):
        then, now = then_secrets.get(name), found.secrets.get(name)
        if then != now:
            lines.append(("secret", f"{name}: {_version(then)} → {_version(now)}"))
    if before is not None and found.configured and before.configured != found.configured and not lines:
        lines.append(("configuration", "what it runs in differs"))
    return lines


def _changed(then: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str | None, str | None]]:
    names = sorted(then.keys() | now.keys())
    return [(name, then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)]


def _shown(value: str | None) -> str:
    return "not set" if value is None else value


def _version(pinned: list[str] | None) -> str:
    if pinned is None:
        return "not set"
    reference, version = pinned
    return f"{reference} version {version[:8] or 'of the moment'}"

"""The environment's settings: complete, bound to what exists, and the same keys as its neighbours in the chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import environment as environments
from soundbite import secrets
from soundbite.errors import ConfigurationError, Inconclusive, SoundbiteError

from .model import DEPLOYED, Failed, Scene, Skipped, check

if TYPE_CHECKING:
    from soundbite.environment import Environment

_PASSED_ON = ("APP_ENV_", "PROCESSOR_ENV_")
_GONE = ("NotFound", "is empty or not set", "is not a JSON object", "marked for deletion", "holds binary")
"""Words of a secret that is not as it should be; all else says that it could not be asked for."""


@check("config.files")
def files(scene: Scene) -> str:
    """Every environment's file loads."""
    problems = []
    names = environments.order()
    for name in names:
        try:
            _loaded(scene, name)
        except ConfigurationError as error:
            problems.append(error.message)
    if problems:
        raise Failed("; ".join(problems))
    return f"{len(names)} files, {len(scene.environment.settings)} settings in {scene.environment.name}"


@check("config.outputs")
def outputs(scene: Scene) -> str:
    """Every stack output that a setting refers to exists and is not empty."""
    environment = scene.environment
    missing = []
    found = 0
    for key, setting in environment.settings.items():
        if setting.reference is None or setting.reference.secret:
            continue
        found += 1
        try:
            if not scene.output(setting.reference.target):
                missing.append(f"{key}: {setting.reference.target} is empty")
        except ConfigurationError:
            missing.append(f"{key} ({setting.origin}): there is no output {setting.reference.target}")
    if missing:
        raise Failed("; ".join(missing))
    return f"{found} references to outputs"


@check("config.secrets")
def readable(scene: Scene) -> str:
    """Every secret of the application can be read."""
    wanted = {
        name: setting.reference
        for name, setting in scene.environment.app_env.items()
        if setting.reference is not None and setting.reference.secret
    }
    if not wanted:
        raise Skipped("the application is given no secrets")
    gone: list[tuple[str, str]] = []
    unknown: list[tuple[str, str]] = []
    for name, reference in wanted.items():
        try:
            secrets.read(reference, scene.cloud)
        except SoundbiteError as error:
            told = f"{name}={reference}: {error.message}"
            (gone if any(word in error.message for word in _GONE) else unknown).append((told, error.hint))
    if gone:
        raise Failed("; ".join(told for told, _ in gone))
    if unknown:
        raise Inconclusive("; ".join(told for told, _ in unknown), unknown[0][1])
    return ", ".join(f"{name} is {reference}" for name, reference in sorted(wanted.items()))


@check("config.keys")
def same_keys(scene: Scene) -> str:
    """What is given to the application is set in its neighbours too, and what they give is set here."""
    environment = scene.environment
    # As everybody has it: what is set on this machine only is for one environment, and no key of the application.
    mine = _given(_loaded(scene, environment.name))
    problems, beside = [], []
    for name in environments.order():
        other = _loaded(scene, name)
        if name == environment.name or not _neighbours(environment, other):
            continue
        beside.append(name)
        theirs = _given(other)
        lacking = [f"{key} is set in {name} ({other.settings[key].origin})" for key in sorted(theirs - mine)]
        problems += [f"{each}, and not here" for each in lacking]
        problems += [f"{key} is set here and not in {name}" for key in sorted(mine - theirs)]
    if problems:
        raise Failed("; ".join(problems))
    return f"{len(mine)} keys, the same in {', '.join(beside)}" if beside else f"{len(mine)} keys, no neighbours"


@check("config.public", environments=(DEPLOYED,))
def no_plain_secrets(scene: Scene) -> str:
    """No setting whose name says that it is a secret stands in a file as plain text."""
    telling = ("PASSWORD", "SECRET", "TOKEN", "PRIVATE", "CREDENTIAL", "API_KEY")
    plain = [
        f"{key} ({setting.origin})"
        for key, setting in scene.environment.settings.items()
        if key.startswith(_PASSED_ON) and setting.text and setting.reference is None and any(w in key for w in telling)
    ]
    if plain:
        raise Failed(f"in plain text: {', '.join(plain)}")
    return "every one of them is a reference"


def _loaded(scene: Scene, name: str) -> Environment:
    return scene.once(f"environment {name}", lambda: environments.load(name, rehearsal=scene.rehearsal, committed=True))


def _neighbours(one: Environment, other: Environment) -> bool:
    return one.workflow.promoted_from == other.name or other.workflow.promoted_from == one.name


def _given(environment: Environment) -> set[str]:
    # An empty value is an answer, too.
    return {key for key in environment.settings if key.startswith(_PASSED_ON)}

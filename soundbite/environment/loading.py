"""Loading: layers, expansion, validation, and one frozen object or one error with everything that is wrong."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

from soundbite import paths
from soundbite.errors import ConfigurationError

from . import expansion, kinds, layers, references, rehearsing
from .keys import PASSED_ON, REQUIRED, SECTIONS, Section, all_keys, key_name
from .layers import Binding, Origin
from .model import Environment, Setting

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REHEARSAL = "rehearsal"
_LAYERS = {"common", REHEARSAL}
"""Files of envs/ that are layers, not environments."""

_MAY_REFER = {kinds.SECRET, kinds.REPOSITORY}
"""Kinds of our own keys that are references, as any key may be that is passed on."""

_DEFAULT = Origin("default")

_GIB = 1024
_FARGATE_MB: dict[int, Sequence[int]] = {
    256: (512, _GIB, 2 * _GIB),
    512: range(_GIB, 4 * _GIB + 1, _GIB),
    1024: range(2 * _GIB, 8 * _GIB + 1, _GIB),
    2048: range(4 * _GIB, 16 * _GIB + 1, _GIB),
    4096: range(8 * _GIB, 30 * _GIB + 1, _GIB),
}
"""Memory that a task of so many CPU units may have:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-cpu-memory-error.html"""


@cache
def names() -> tuple[str, ...]:
    """Return the names of all environments, in alphabetical order."""
    found = (path.name.removesuffix(".env") for path in paths.ENVS.glob("*.env"))
    return tuple(sorted(name for name in found if name not in _LAYERS and not name.endswith(".local")))


def load(
    name: str, overrides: Mapping[str, str] | None = None, *, rehearsal: bool = False, committed: bool = False
) -> Environment:
    """Load one environment.

    Parameters
    ----------
    name:
        The environment's name: that of its file in envs/ without `.env`.
    overrides:
        Values given on the command line (`--set KEY=VALUE`); they win over every file.
    rehearsal:
        Whether envs/rehearsal.env is added as the last file, so that everything happens on this machine. Its
        guard (`rehearsing.py`) refuses settings that lead elsewhere.
    committed:
        Only what everybody has: neither this process's variables nor `.local.env`.

    Raises
    ------
    ConfigurationError
        The environment is unknown, or something in its settings is wrong: everything, at once.
    """
    if name not in names():
        raise ConfigurationError(
            f"There is no environment {name!r}{_nearest(name, names())}", f"Known are: {', '.join(order())}."
        )
    problems: list[str] = []
    merged = _merge(name, overrides or {}, problems, rehearsal=rehearsal, committed=committed)
    texts = expansion.expand(merged, {"ENVIRONMENT": name}, problems)
    settings = _settings(merged, texts, problems)
    sections: dict[str, Any] = {each.__name__.lower(): _section(each, settings, problems) for each in SECTIONS}
    if not problems:
        environment = Environment(name, settings, **sections)
        problems += _contradictions(environment)
        if rehearsal:
            problems += rehearsing.problems(environment)
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        listed = "\n".join(f"  {problem}" for problem in problems)
        raise ConfigurationError(
            f"The settings of {name} have {count}:\n{listed}", "Mend these lines; envs/README.md documents every key."
        )
    return environment


def order() -> list[str]:
    """Return the names of all environments in the order of the chain of promotion.

    Reads only PROMOTED_FROM, so that it answers even where a file has mistakes elsewhere.
    """
    before: dict[str, str] = {}
    for name in names():
        bindings = layers.merge(layers.read(paths.ENVS / f"{name}.env", f"envs/{name}.env", []))
        before[name] = bindings["PROMOTED_FROM"].value if "PROMOTED_FROM" in bindings else ""

    def depth(name: str, seen: tuple[str, ...] = ()) -> int:
        earlier = before.get(name, "")
        return 0 if not earlier or earlier in seen else 1 + depth(earlier, (*seen, name))

    return sorted(before, key=lambda name: (depth(name), name))


def deployable() -> list[str]:
    """Return the names of the environments that are deployed to, in the order of the chain; reads only PLATFORM."""
    common = layers.merge(layers.read(paths.ENVS / "common.env", "envs/common.env", []))
    found = []
    for name in order():
        bindings = common | layers.merge(layers.read(paths.ENVS / f"{name}.env", f"envs/{name}.env", []))
        if "PLATFORM" in bindings and bindings["PLATFORM"].value != "local":
            found.append(name)
    return found


def _merge(
    name: str, overrides: Mapping[str, str], problems: list[str], *, rehearsal: bool, committed: bool
) -> dict[str, Binding]:
    files = ["common.env", f"{name}.env"]
    bindings = [b for file in files for b in layers.read(paths.ENVS / file, f"envs/{file}", problems)]
    platform = layers.merge(bindings).get("PLATFORM")
    local = platform is not None and platform.value == "local"
    if local and not committed and (paths.ENVS / f"{name}.local.env").exists():
        bindings += layers.read(paths.ENVS / f"{name}.local.env", f"envs/{name}.local.env", problems)
    if rehearsal:
        bindings += layers.read(paths.ENVS / f"{REHEARSAL}.env", f"envs/{REHEARSAL}.env", problems)
    if not committed and (local or rehearsal):
        bindings += layers.from_mapping(_from_process(), "process")
    bindings += layers.from_mapping(overrides, "--set")
    return layers.merge(bindings)


def _from_process() -> dict[str, str]:
    keys = all_keys()
    return {
        name: value
        for name, value in os.environ.items()
        if (name in keys and keys[name].process) or name.startswith(tuple(PASSED_ON))
    }


def _settings(merged: Mapping[str, Binding], texts: Mapping[str, str], problems: list[str]) -> dict[str, Setting]:
    keys = all_keys()
    settings: dict[str, Setting] = {}
    for name, binding in merged.items():
        if name not in keys and not _is_passed_on(name):
            problems.append(f"{binding.origin}: {name} is not a key{_nearest(name, keys)}")
            continue
        if name not in texts:
            continue
        text, reference = texts[name], None
        if _is_passed_on(name) or keys[name].kind in _MAY_REFER:
            try:
                reference = references.parse(text)
            except ValueError as error:
                problems.append(f"{binding.origin}: {name} {error}")
                continue
        if reference is None and references.in_the_clear(name, text):
            problems.append(
                f"{binding.origin}: {name} holds a secret in the clear; write a reference instead: "
                "secretsmanager:NAME#key, ssm:/path or env:NAME"
            )
            continue
        settings[name] = Setting(name, text, binding.origin, reference)
    for name, key in keys.items():
        if name not in merged and key.default != REQUIRED:
            settings[name] = Setting(name, key.default, _DEFAULT)
        elif name not in merged:
            problems.append(f"{name} is set nowhere, and it has no default")
    return settings


def _section(section: type[Section], settings: Mapping[str, Setting], problems: list[str]) -> object:
    values: dict[str, object] = {}
    for attribute, key in section.keys.items():
        name = key_name(section, attribute)
        if name not in settings:
            continue
        setting = settings[name]
        if not setting.text and key.default in {"", REQUIRED}:
            if key.default == REQUIRED:
                problems.append(f"{setting.origin}: {name} must not be empty")
            values[attribute] = () if key.kind is kinds.WORDS else None
            continue
        try:
            values[attribute] = key.kind.parse(setting.text)
        except ValueError as error:
            problems.append(f"{setting.origin}: {name} {error}, not {setting.text!r}")
    return section(values) if len(values) == len(section.keys) else None


def _contradictions(environment: Environment) -> Iterable[str]:
    """Yield what is wrong between settings that are right each for itself."""
    settings, aws = environment.settings, environment.aws
    if environment.emulator.mode == "external" and not aws.endpoint_url:
        yield f"{settings['EMULATOR'].origin}: EMULATOR=external needs AWS_ENDPOINT_URL, the emulator's address"
    if environment.emulator.mode == "embedded" and aws.endpoint_url not in {None, environment.endpoint_url}:
        yield (
            f"{settings['AWS_ENDPOINT_URL'].origin}: AWS_ENDPOINT_URL contradicts EMULATOR=embedded, whose address is "
            f"{environment.endpoint_url}; unset it, or use EMULATOR=external for an emulator that runs already"
        )
    if aws.access_key_id and not environment.emulated:
        yield f"{settings['AWS_ACCESS_KEY_ID'].origin}: AWS_ACCESS_KEY_ID is for emulated AWS only"
    if environment.processor.timeout > environment.queue.visibility_timeout:
        yield (
            f"{settings['PROCESSOR_TIMEOUT'].origin}: PROCESSOR_TIMEOUT is longer than QUEUE_VISIBILITY_TIMEOUT, "
            "which Lambda refuses: a message would come back while it is still being worked on"
        )
    yield from _task_contradictions(environment)
    for name, setting in environment.processor_env.items():
        if setting.reference is not None and setting.reference.secret:
            yield (
                f"{setting.origin}: PROCESSOR_ENV_{name} is a secret, and a function's variables are readable in the "
                "console; let the processor read it by its name"
            )
    if environment.budget.p50 > environment.budget.p95:
        yield f"{settings['BUDGET_P50'].origin}: BUDGET_P50 is longer than BUDGET_P95, which holds for more answers"
    earlier = environment.workflow.promoted_from
    if earlier and (earlier == environment.name or earlier not in names()):
        origin = settings["PROMOTED_FROM"].origin
        yield f"{origin}: PROMOTED_FROM names no other environment{_nearest(earlier, names())}"


def _task_contradictions(environment: Environment) -> Iterable[str]:
    settings, ecs = environment.settings, environment.ecs
    if 0 < ecs.max_count < ecs.count:
        origin = _written(settings, "ECS_MAX_COUNT", "ECS_COUNT")
        yield f"{origin}: ECS_MAX_COUNT is smaller than ECS_COUNT={ecs.count}; 0 is no autoscaling"
    sizes = _FARGATE_MB[ecs.cpu]
    if ecs.memory_mb not in sizes:
        origin = _written(settings, "ECS_MEMORY_MB", "ECS_CPU")
        yield (
            f"{origin}: ECS_MEMORY_MB={ecs.memory_mb} is no size that Fargate has for "
            f"ECS_CPU={ecs.cpu}; the nearest is {min(sizes, key=lambda size: abs(size - ecs.memory_mb))}"
        )


def _written(settings: Mapping[str, Setting], *names: str) -> Origin:
    """Return where the first of some settings that contradict each other was written: a default has no line to mend."""
    origins = [settings[name].origin for name in names]
    return next((each for each in origins if each != _DEFAULT), _DEFAULT)


def _is_passed_on(name: str) -> bool:
    return any(name.startswith(prefix) and name != prefix for prefix in PASSED_ON)


def _nearest(name: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]}?" if found else "."

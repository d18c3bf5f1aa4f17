"""The documentation that is made from the code, and what the rest of it says, held against the code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import environment as environments
from . import files, paths
from .environment import keys, layers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = Path("docs/commands.md")
KEYS = Path("envs/README.md")


@dataclass(frozen=True)
class Task:
    """A task as its help shows it; `flags` are its flags with their help, in order."""

    name: str
    doc: str
    flags: tuple[tuple[str, str], ...]
    default_of: str = ""


def generated(tasks: Sequence[Task]) -> dict[Path, str]:
    """Return the text of each page that is made from the code."""
    return {COMMANDS: _commands(tasks), KEYS: _keys()}


def write(tasks: Sequence[Task]) -> list[Path]:
    """Write the pages that are made from the code; return those that changed."""
    changed = [path for path, text in generated(tasks).items() if _read(path) != text]
    for path in changed:
        files.write(paths.ROOT / path, generated(tasks)[path])
    return changed


def problems(tasks: Sequence[Task]) -> list[str]:
    """Return what the documentation says that is not so, one line each with file and line."""
    stale = [
        f"{path}: is not what the code says; inv docs.check --fix writes it"
        for path, text in generated(tasks).items()
        if _read(path) != text
    ]
    known = {task.name: task for task in tasks} | {task.default_of: task for task in tasks if task.default_of}
    for path in sorted(_pages()):
        for number, line in enumerate((paths.ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            stale += [f"{path}:{number}: {what}" for what in _wrong(line, known)]
    return stale


def _pages() -> Iterator[Path]:
    for glob in ("*.md", "docs/**/*.md", "envs/*.md", "app/*.md", "cdk/*.md"):
        for path in paths.ROOT.glob(glob):
            yield path.relative_to(paths.ROOT)


_CALL = re.compile(r"\binv ((?:[a-z]+[a-z-]*)(?:\.[a-z*|-]+)?)((?:[^`|→#(),;]|\|(?=[a-z]))*)")
_FLAG = re.compile(r"--([a-z][a-z-]*)")
_VARIABLE = re.compile(r"`([A-Z]+_[A-Z_]*[A-Z])\b")
_ELSEWHERE = re.compile(r"AWS_|INVOKE_|NO_COLOR|SYNTH_|[A-Z]+_DIR$|APP_ENV_|PROCESSOR_ENV_|NAME_")


def _wrong(line: str, known: dict[str, Task]) -> Iterator[str]:
    """Yield the tasks, flags and settings that a line names and that are not there.

    `inv dev.*` and `inv dev.status|logs` stand for several tasks.
    """
    if line.startswith("    ") or "`" in line:
        for call in _CALL.finditer(line):
            space, _, rest = call[1].partition(".")
            names = [f"{space}.{name}" for name in rest.split("|")] if rest else [space]
            for name in names:
                if name.endswith("*") or name == "inv":
                    continue
                if name not in known:
                    yield f"there is no task {name}"
                    continue
                flags = {flag for flag, _ in known[name].flags}
                words = call[2].split()
                if any(word in known for word in words):
                    continue  # a chain: whose flag is whose cannot be told
                yield from (f"{name} has no flag --{f}" for f in _FLAG.findall(call[2]) if f not in flags | {"help"})
    if "/app/" not in line:
        ours = keys.all_keys()
        for name in _VARIABLE.findall(line):
            prefixes = ("APP_", "QUEUE_", "TABLE_", "BUCKET_", "LOGS_", "PROCESSOR_", "EMULATOR_")
            if name.startswith(prefixes) and name not in ours and not _ELSEWHERE.match(name):
                yield f"there is no key {name}"


def _commands(tasks: Sequence[Task]) -> str:
    lines = [
        "# Commands",
        "",
        "Made by `inv docs.check --fix` from the tasks themselves; `inv --help TASK` shows one of them.",
        "",
    ]
    for task in tasks:
        also = f" (also `inv {task.default_of}`)" if task.default_of else ""
        lines += [f"## inv {task.name}", "", f"{task.doc}{also}", ""]
        lines += [f"- `--{flag}`: {text}" for flag, text in task.flags]
        lines += [""] if task.flags else []
    return "\n".join(lines).rstrip() + "\n"


_KEYS_PREFACE = """\
# Settings

`common.env` is read first, then the environment's own file. A local environment (`PLATFORM=local`) also
reads `NAME.local.env`, which is never committed, and then the process's own variables (those marked ✓).
Deployed environments read neither: what deploys is what is in the repository.

- `${NAME}` and `$NAME` are replaced by that key's value, `${NAME:-default}` has a default, `$$` is a `$`,
  and in single quotes everything stays as it is. `${ENVIRONMENT}` is the environment's name. An unset
  name or a cycle is an error.
- Values are durations (`500ms`, `30s`, `5m`, `2h`, `14d`), `yes` or `no`, numbers, or text.
- `APP_ENV_NAME` becomes NAME for the application, `PROCESSOR_ENV_NAME` for the processor. Their values may
  be references: `secretsmanager:NAME#key`, `ssm:/path` and `env:NAME` for secrets (which never stand here
  in the clear; not for the processor), `output:Stack.Name` for an output of the environment's stacks.
- Any other key is an error, and `inv envs.check` names the nearest. `inv envs.show --env=NAME` shows each
  value and where it comes from.

The table is made by `inv docs.check --fix` from `soundbite/environment/keys.py`.

| key | type | default | needed by | variable | |
|---|---|---|---|---|---|
"""


def _keys() -> str:
    where = _set_in()
    every = environments.order()
    lines = [*_KEYS_PREFACE.splitlines()]
    for name, key in keys.all_keys().items():
        default = "required" if key.default == keys.REQUIRED else f"`{key.default}`" if key.default else "empty"
        needing = where.get(name, [])
        needed = "all" if key.default == keys.REQUIRED or needing == every else ", ".join(needing) or "-"
        kind = key.kind.name.replace("|", "\\|")
        lines.append(f"| `{name}` | {kind} | {default} | {needed} | {'✓' if key.process else ''} | {key.doc} |")
    return "\n".join(lines) + "\n"


def _set_in() -> dict[str, list[str]]:
    """Return for each key the environments that have it, by their own file or by common.env."""
    common = layers.merge(layers.read(paths.ENVS / "common.env", "common", []))
    found: dict[str, list[str]] = {}
    for name in environments.order():
        own = layers.merge(layers.read(paths.ENVS / f"{name}.env", name, []))
        for key, binding in (common | own).items():
            if binding.value:
                found.setdefault(key, []).append(name)
    return found


def _read(path: Path) -> str:
    try:
        return (paths.ROOT / path).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""

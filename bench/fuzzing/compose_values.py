"""What compose is told: it comes back as it was from JSON, from YAML and from compose itself, `$` and all."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import yaml
from hypothesis import strategies as st

from bench.fuzzing.subject import Fault, Subject
from bench.fuzzing.texts import ANY, LONG, NAMES, ODD
from soundbite import compose

_SERVICES = st.sampled_from(["api", "processor"])
_TEXT = st.lists(
    ODD.filter(lambda text: "\0" not in text) | ANY.map(lambda text: text.replace("\0", "")), max_size=5
).map("".join)
_VARIABLES = st.sampled_from(["TOKEN", "Token", "token", "A", "PATH"]) | NAMES.filter(
    lambda name: not name.endswith("_FILE")
)
_FILES = st.builds(lambda name: Path("/state") / name, _TEXT.map(lambda text: text.replace("/", "") or "x"))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9999) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)


class Told(NamedTuple):
    """What `compose.values` is given."""

    variables: dict[str, dict[str, str]]
    secrets: dict[str, dict[str, Path]]
    more: dict[str, dict[str, Any]]


TOLD = st.builds(
    Told,
    st.dictionaries(_SERVICES, st.dictionaries(_VARIABLES, _TEXT | LONG, max_size=4), max_size=2),
    st.dictionaries(_SERVICES, st.dictionaries(_VARIABLES, _FILES, max_size=3), max_size=2),
    st.dictionaries(_SERVICES, st.dictionaries(st.sampled_from(["labels", "command", "x-any"]), _JSON), max_size=2),
)


def judge(told: Told) -> bool:
    """Write it, read it back by two parsers, and by the rules of compose's interpolation."""
    with TemporaryDirectory() as folder:
        text = compose.write(Path(folder) / "values.json", compose.values(*told)).read_text(encoding="utf-8")
    found = json.loads(text)
    if yaml.load(text, yaml.CSafeLoader) != found:
        raise Fault("YAML and JSON read different things")
    _require_same(told, _interpolated(found))
    return True


def judge_by_compose(told: Told) -> bool:
    """Have compose itself say what it makes of the variables and secrets."""
    if shutil.which("docker") is None:
        return False
    with TemporaryDirectory() as folder:
        content = compose.values(told.variables, told.secrets, {})
        for service in content["services"].values():
            service["image"] = "scratch"
        path = compose.write(Path(folder) / "values.json", content)
        asked = compose.config(compose.Project("fuzz", [path]))
        done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        if "services" in done.stderr and not content["services"]:
            return False  # a project of nothing is refused
        raise Fault(f"compose refuses it: {done.stderr.strip()[:100]}")
    found = _interpolated(json.loads(done.stdout))  # it doubles what it prints, so that it can be read again
    _require_same(told._replace(more={}), {"secrets": {}, **found})
    return True


def _interpolated(value: Any) -> Any:
    """Read what was written as compose does: `$$` is a dollar, any other dollar a variable of somebody's."""
    if isinstance(value, dict):
        return {key: _interpolated(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_interpolated(each) for each in value]
    if not isinstance(value, str):
        return value
    if "$" in value.replace("$$", ""):
        raise Fault("compose would take a part of it for a variable")
    return value.replace("$$", "$")


def _require_same(told: Told, found: dict[str, Any]) -> None:
    if set(found["services"]) != {*told.variables, *told.secrets, *told.more}:
        raise Fault("it has other services")
    for name, service in found["services"].items():
        given = dict(service.get("environment") or {})
        mounted = {each["target"]: each["source"] for each in service.get("secrets") or []}
        files = {
            variable: found["secrets"][mounted[given.pop(f"{variable}_FILE").removeprefix(f"{compose.SECRETS}/")]][
                "file"
            ]
            for variable in told.secrets.get(name, {})
        }
        if given != told.variables.get(name, {}):
            raise Fault("a variable comes back as another")
        if files != {variable: str(path) for variable, path in told.secrets.get(name, {}).items()}:
            raise Fault("a secret is another file")
        if any(service[key] != value for key, value in told.more.get(name, {}).items()):
            raise Fault("another key comes back as another")


SUBJECT = Subject("compose values", TOLD, judge, 0.08)
BY_COMPOSE = Subject("compose config", TOLD, judge_by_compose, 0.0001)

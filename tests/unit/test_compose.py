"""What compose is told: command lines, chosen files, and values that come through its rewriting; nothing runs here."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from soundbite import compose, environment, paths, plugins
from soundbite.compose import Project

PROJECT = Project("some-project", [Path("/files/base.yml"), Path("/files/values.json")], {"API_IMAGE": "x"})
FRONT = [
    *([plugins.path("docker-compose")] if plugins.path("docker-compose") else ["docker", "compose"]),
    *("--project-name", "some-project", "--project-directory", str(paths.COMPOSE)),
    *("--env-file", os.devnull, "--ansi=never", "--progress=plain"),
]
FILES = ["--file", "/files/base.yml", "--file", "/files/values.json"]
FIVE = ["dev-localstack", "dev-aws", "dev-aws-deployed", "staging", "production"]
NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
SERVICES = st.sampled_from(["api", "processor", "emulator"])
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def _unescaped(text: str) -> str:
    """Read a value as compose does: `$$` is a dollar, and any other dollar would be a variable."""
    assert "$" not in text.replace("$$", ""), f"compose would take a variable for {text!r}"
    return text.replace("$$", "$")


@pytest.mark.parametrize(
    ("made", "rest"),
    [
        (compose.up(PROJECT), ["up", "--detach", "--no-build", "--quiet-pull"]),
        (compose.up(PROJECT, "api", "proxy"), ["up", "--detach", "--no-build", "--quiet-pull", "api", "proxy"]),
        (compose.logs(PROJECT, lines=20), ["logs", "--no-color", "--tail=20"]),
        (
            compose.logs(PROJECT, "api", lines=0, follow=True),
            ["logs", "--no-color", "--tail=0", "--follow", "api"],
        ),
        (compose.config(PROJECT), ["config", "--format=json"]),
    ],
)
def test_each_command_names_project_folder_and_files_itself(made: list[str], rest: list[str]) -> None:
    assert made == [*FRONT, *FILES, *rest]


def test_what_takes_a_project_down_needs_no_file() -> None:
    assert compose.down(PROJECT) == [*FRONT, "down", "--remove-orphans"]
    assert compose.down(PROJECT, volumes=True) == [*FRONT, "down", "--remove-orphans", "--volumes"]


@pytest.mark.parametrize("namespace", ["dev", "deploy"])
@pytest.mark.parametrize("name", FIVE)
def test_files_are_chosen_by_namespace_and_environment(name: str, namespace: str) -> None:
    found = compose.chosen(environment.load(name), namespace)
    assert [path.name for path in found] == ["base.yml", f"{namespace}.yml", f"{name}.yml"]
    assert all(path.parent == paths.COMPOSE and path.is_file() for path in found)


def test_an_environment_without_a_file_of_its_own_has_the_other_two() -> None:
    other = environment.load("staging")._replace(name="another")
    assert [path.name for path in compose.chosen(other, "deploy")] == ["base.yml", "deploy.yml"]


def test_every_environment_is_tested_here() -> None:
    assert environment.order() == FIVE


def test_a_secret_is_a_mounted_file_and_its_variable_says_where() -> None:
    made = compose.values({"api": {"PORT": "3000"}}, {"api": {"TOKEN": Path("/state/$1/TOKEN")}}, {})
    assert made == {
        "services": {
            "api": {
                "environment": {"PORT": "3000", "TOKEN_FILE": "/run/secrets/TOKEN"},
                "secrets": [{"source": "api-TOKEN", "target": "TOKEN"}],
            }
        },
        "secrets": {"api-TOKEN": {"file": "/state/$$1/TOKEN"}},
    }


def test_services_that_have_the_same_secret_have_a_file_each() -> None:
    made = compose.values({}, {"api": {"TOKEN": Path("/a")}, "processor": {"TOKEN": Path("/b")}}, {})
    assert made["secrets"] == {"api-TOKEN": {"file": "/a"}, "processor-TOKEN": {"file": "/b"}}


def test_other_keys_are_safe_too_however_deep() -> None:
    more = {"api": {"command": ["node", "-e", "`$x`"], "labels": {"of": "$1"}, "init": True, "cpus": 0.5, "user": None}}
    assert compose.values({}, {}, more)["services"]["api"] == {
        "environment": {},
        "secrets": [],
        "command": ["node", "-e", "`$$x`"],
        "labels": {"of": "$$1"},
        "init": True,
        "cpus": 0.5,
        "user": None,
    }


def test_the_file_is_its_owners_alone(tmp_path: Path) -> None:
    written = compose.write(tmp_path / "folder" / "values.json", {"services": {"api": {}}})
    assert written.stat().st_mode & 0o777 == 0o600
    assert json.loads(written.read_text()) == {"services": {"api": {}}}


@given(TEXT)
def test_what_is_escaped_is_read_back_and_no_part_of_it_is_a_variable(text: str) -> None:
    assert _unescaped(compose.escaped(text)) == text


@given(st.text(alphabet="${}:-AB", max_size=20))
def test_text_that_looks_like_variables_is_none(text: str) -> None:
    assert _unescaped(compose.escaped(text)) == text


@given(st.dictionaries(SERVICES, st.dictionaries(NAMES, TEXT, max_size=5), max_size=3))
@example({"api": {"A": "above U+FFFF: 🎧", "B": "\x7f\x85\u2028\ufeff", "C": "\\ud83c\\udfa7"}})
def test_every_variable_of_every_service_is_in_the_file(variables: dict[str, dict[str, str]]) -> None:
    with TemporaryDirectory() as folder:
        path = compose.write(Path(folder) / "values.json", compose.values(variables, {}, {}))
        text = path.read_text(encoding="utf-8")
    read = yaml.safe_load(text)["services"]
    assert read == json.loads(text)["services"]
    found = {
        name: {key: _unescaped(value) for key, value in service["environment"].items()}
        for name, service in read.items()
    }
    assert found == variables


@given(st.dictionaries(SERVICES, st.dictionaries(NAMES, NAMES.map(lambda name: Path("/state") / name)), max_size=3))
def test_every_secret_is_mounted_under_the_name_that_its_variable_tells(secrets: dict[str, dict[str, Path]]) -> None:
    made = compose.values({}, secrets, {})
    for name, files in secrets.items():
        service = made["services"][name]
        assert service["environment"] == {f"{key}_FILE": f"{compose.SECRETS}/{key}" for key in files}
        mounted = {each["target"]: made["secrets"][each["source"]]["file"] for each in service["secrets"]}
        assert mounted == {key: str(path) for key, path in files.items()}
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", each["source"]) for each in service["secrets"])

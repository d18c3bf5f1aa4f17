"""`inv doctor`: what it finds, what it advises, and that its advice exists."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from dataclasses import fields, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from soundbite import doctor, paths
from soundbite.doctor import FOUND, MISSING, REFUSED, TAKEN, TOO_OLD, Finding
from tests.conftest import Inv, free_ports

STATES = {FOUND, MISSING, TOO_OLD, REFUSED, TAKEN}
NO_TASKS = {"all", "none yet"}
PINNED = "2.1148.1"

Findings = dict[str, dict[str, Any]]


def examined(inv: Inv, **variables: str) -> Findings:
    """Return what `inv doctor --json` found, by name."""
    port, other = free_ports(2)
    own = {"HOME": "/nonexistent", "EMULATOR_PORT": str(port), "APP_PORT": str(other)}
    found: list[dict[str, Any]] = json.loads(replace(inv, variables=own | variables)("doctor", "--json").stdout)
    return {each["name"]: each for each in found}


@pytest.fixture
def cdk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in the place of cdk/, which pins a version of aws-cdk and has none installed."""
    monkeypatch.setattr(paths, "CDK", tmp_path)
    manifest = {"devDependencies": {"aws-cdk": PINNED}}
    (tmp_path / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    return tmp_path


def _install(cdk: Path, text: str) -> None:
    manifest = cdk / "node_modules" / "aws-cdk" / "package.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text(text, encoding="utf-8")


def test_aws_cdk_of_the_pinned_version_is_found(cdk: Path) -> None:
    assert doctor.judge_aws_cdk(PINNED) == (FOUND, PINNED)


@pytest.mark.parametrize("version", ["3.0.0", "3.1.4"])
def test_aws_cdk_3_is_refused_with_why(cdk: Path, version: str) -> None:
    state, why = doctor.judge_aws_cdk(version)
    assert state == REFUSED
    assert why.startswith(version)
    assert "older code than 2.x in spite of its number" in why


@pytest.mark.parametrize("version", ["2.1148.0", "2.9.0", "1.204.0"])
def test_an_older_aws_cdk_is_too_old_and_the_pinned_one_is_named(cdk: Path, version: str) -> None:
    assert doctor.judge_aws_cdk(version) == (TOO_OLD, f"{version}, but cdk/package.json pins {PINNED}")


def test_a_newer_aws_cdk_is_not_called_too_old(cdk: Path) -> None:
    state, why = doctor.judge_aws_cdk("2.9999.0")
    assert state not in {FOUND, TOO_OLD}
    assert PINNED in why


def test_the_checkout_pins_an_aws_cdk_2() -> None:
    locked = json.loads((paths.CDK / "package-lock.json").read_text(encoding="utf-8"))
    version = locked["packages"]["node_modules/aws-cdk"]["version"]
    assert doctor.judge_aws_cdk(version) == (FOUND, version)
    assert version.startswith("2.")


def test_an_aws_cdk_that_is_not_installed_yet_is_no_problem(cdk: Path) -> None:
    found = doctor._aws_cdk()
    assert (found.state, found.optional) == (MISSING, True)
    assert "the first task that needs it does" in found.detail


def test_a_refused_aws_cdk_has_a_mend_and_is_not_optional(cdk: Path) -> None:
    _install(cdk, '{"version": "3.0.0"}')
    found = doctor._aws_cdk()
    assert (found.state, found.optional) == (REFUSED, False)
    assert found.mend.startswith("rm -r cdk/node_modules; inv ")


@pytest.mark.parametrize("text", ["", '{"name": "aws-cdk"}'])
def test_an_aws_cdk_that_was_half_installed_has_a_mend(cdk: Path, text: str) -> None:
    _install(cdk, text)
    found = doctor._aws_cdk()
    assert not found.well
    assert found.mend


WELL = Finding("git", FOUND, "2.39", "all")
ILL = Finding("node", MISSING, "none", "all", "Get one.")
ILL_BUT_OPTIONAL = Finding("ssh", MISSING, "none", "none yet", "Get one.", optional=True)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([], 0),
        ([WELL], 0),
        ([WELL, ILL_BUT_OPTIONAL], 0),
        ([ILL], 1),
        ([ILL_BUT_OPTIONAL, ILL, WELL], 1),
    ],
)
def test_the_exit_code_is_1_if_something_needed_is_not_well(findings: list[Finding], code: int) -> None:
    assert doctor.exit_code(findings) == code


@pytest.mark.parametrize("state", sorted(STATES - {FOUND}))
def test_only_what_was_found_is_well(state: str) -> None:
    assert not Finding("node", state, "", "all", "Mend it.").well


@pytest.fixture(scope="module")
def here() -> Findings:
    """Return what doctor finds on this machine."""
    return examined(Inv())


def test_json_has_the_documented_fields(here: Findings) -> None:
    documented = {each.name: {"str": str, "bool": bool}[str(each.type)] for each in fields(Finding)}
    for found in here.values():
        assert {name: type(value) for name, value in found.items()} == documented


def test_every_state_is_a_documented_one(here: Findings) -> None:
    assert {found["state"] for found in here.values()} <= STATES


def test_everything_that_a_task_needs_is_looked_at(here: Findings) -> None:
    assert {"python", "git", "node", "aws-cdk", "EMULATOR_PORT", "APP_PORT", "disk", ".soundbite"} <= set(here)
    assert {f"account of {name}" for name in ("dev-localstack", "dev-aws", "staging", "production")} <= set(here)


def test_what_is_well_needs_no_mend(here: Findings) -> None:
    assert not [found for found in here.values() if found["state"] == FOUND and found["mend"]]


def test_what_is_not_well_has_a_mend(here: Findings) -> None:
    assert not [found for found in here.values() if found["state"] != FOUND and not found["mend"]]


def test_without_any_tool_each_is_missing_with_a_mend(inv: Inv, tmp_path: Path) -> None:
    found = examined(inv, PATH=str(tmp_path))
    missing = {name for name, each in found.items() if each["state"] == MISSING}
    assert {"git", "docker engine", "docker compose", "ssh"} <= missing
    assert all(found[name]["mend"] for name in missing)


def test_without_git_the_exit_code_is_1(inv: Inv, tmp_path: Path) -> None:
    assert inv("doctor", PATH=str(tmp_path), HOME="/nonexistent").returncode == 1


def test_without_a_node_on_path_the_one_from_pip_is_found(inv: Inv, tmp_path: Path) -> None:
    found = examined(inv, PATH=str(tmp_path))["node"]
    assert found["state"] == FOUND
    assert "from pip" in found["detail"]


@pytest.mark.parametrize("key", ["EMULATOR_PORT", "APP_PORT"])
def test_a_taken_port_is_told_with_its_holder_and_another_port(inv: Inv, key: str) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = int(squatter.getsockname()[1])
        found = examined(inv, **{key: str(port)})[key]
    assert found["state"] == TAKEN
    assert "(pid " in found["detail"]
    assert f"{key}={port + 1} inv …" in found["mend"]


def test_a_profile_that_is_not_there_has_a_mend(inv: Inv) -> None:
    found = examined(inv, AWS_PROFILE="no-such-profile")["account of dev-aws"]
    assert found["state"] == REFUSED
    assert found["mend"]


def test_an_env_file_with_a_mistake_is_told_with_a_mend(project: Path) -> None:
    with (project / "envs" / "staging.env").open("a", encoding="utf-8") as stream:
        stream.write("QEUE_RETENTION=1d\n")
    found = examined(Inv(project))["account of staging"]
    assert (found["state"], found["mend"]) == (REFUSED, "inv envs.check")


def test_the_text_for_a_person_has_a_mend_below_what_is_not_well(inv: Inv, tmp_path: Path) -> None:
    lines = inv("doctor", PATH=str(tmp_path), HOME="/nonexistent").stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("✗ git"))
    assert lines[at + 1].strip().startswith("mend: ")
    assert lines[at + 2].strip().startswith("needed by: ")


def _known_tasks() -> set[str]:
    sys.path.insert(0, str(paths.ROOT))
    import tasks as root

    # What Invoke itself accepts: names, and the names of namespaces that have a default.
    return {alias for name, aliases in root.namespace.task_names.items() for alias in (name, *aliases)}


def _unknown(text: str) -> list[str]:
    known = _known_tasks()
    names = [each.split(" --", maxsplit=1)[0].strip() for each in text.split(",")]
    return [name for name in names if name not in NO_TASKS and not any(fnmatch(each, name) for each in known)]


def test_every_task_that_is_named_as_needing_something_exists(here: Findings) -> None:
    assert {name: _unknown(found["tasks"]) for name, found in here.items() if _unknown(found["tasks"])} == {}


def test_every_task_that_a_mend_names_exists(inv: Inv, here: Findings, tmp_path: Path) -> None:
    ill = [*here.values(), *examined(inv, PATH=str(tmp_path)).values()]
    named = {name for found in ill for name in re.findall(r"\binv ([a-z][\w.-]*)", str(found["mend"]))}
    assert named <= _known_tasks()


def test_every_task_that_the_source_advises_exists() -> None:
    text = Path(doctor.__file__).read_text(encoding="utf-8")
    named = set(re.findall(r"\binv ([a-z][a-z.-]*[a-z])", text))
    assert named <= _known_tasks()


def test_it_changes_nothing(inv: Inv, tmp_path: Path) -> None:
    state = tmp_path / "state"
    examined(inv, STATE_DIR=str(state))
    assert not state.exists()


def test_it_works_where_the_dependencies_of_cdk_were_never_installed(project: Path) -> None:
    (project / "cdk").unlink()
    (project / "cdk").mkdir()
    shutil.copy(paths.CDK / "package.json", project / "cdk")
    found = examined(Inv(project))["aws-cdk"]
    assert (found["state"], found["optional"]) == (MISSING, True)

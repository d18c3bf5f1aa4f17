"""Another application, without Nest, npm and Lambda, runs through APP_DIR and env files alone."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.conftest import ROOT, Inv, free_ports
from tests.integration.conftest import Dev

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TINY = ROOT / "tests" / "apps" / "tiny"

# What an adopter changes in envs/common.env.
COMMON = {
    "PROJECT": "Tiny",
    "OWNER": "tiny",
    "COST_CENTER": "tiny",
    "APP_DIR": str(TINY),
    "APP_INSTALL": "",
    "APP_INSTALL_INPUTS": "",
    "APP_BUILD": "",
    "APP_BUILD_INPUTS": "",
    "APP_BUILD_OUTPUTS": "",
    "APP_START": '"python3 server.py"',
    "APP_RELOAD": "",
    "APP_HEALTH_PATH": "/up",
    "APP_READY_PATH": "",
    "PROCESSOR_ARTIFACT": "",
    "CHECKS": "",
}
OWN = "# What the application reads.\nAPP_ENV_TABLE=output:Database.TableName\n"


class Tiny(Dev):
    """The other application's local environment; nothing but its env files says what it is."""

    @property
    def inv(self) -> Inv:
        """`inv` in its checkout, without a variable of its own."""
        return Inv(self.root)


def adopt(project: Path) -> None:
    """Make SoundBite's env files those of another application."""
    for path in (project / "envs").glob("*.env"):
        lines = [
            line
            for line in path.read_text(encoding="utf-8").splitlines()
            if not line.startswith(("APP_ENV_", "PROCESSOR_ENV_"))
        ]
        if path.name == "common.env":
            known = {line.partition("=")[0] for line in lines}
            assert set(COMMON) <= known
            keys = ((line, line.partition("=")[0]) for line in lines)
            lines = [f"{key}={COMMON[key]}" if key in COMMON else line for line, key in keys] + [OWN]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture
def tiny(project: Path, tmp_path: Path) -> Iterator[Tiny]:
    """Return the other application's local environment, not up yet."""
    adopt(project)
    ports = free_ports(3)
    made = Tiny(tmp_path / "state", project, ports, root=project)
    local = {"STATE_DIR": made.state, "APP_PORT": ports[0], "EMULATOR_PORT": ports[1], "APP_INSPECT_PORT": ports[2]}
    text = "".join(f"{key}={value}\n" for key, value in local.items())
    (project / "envs" / "dev-localstack.local.env").write_text(text, encoding="utf-8")
    yield made
    made.destroy()


def test_its_env_files_are_in_order(tiny: Tiny) -> None:
    done = tiny.inv("envs.check")
    assert done.returncode == 0, done.stderr
    shown = json.loads(tiny.inv("envs.show", "--json").stdout)
    assert shown["APP_START"]["origin"].startswith("envs/common.env:")
    assert not [key for key in shown if key.startswith("PROCESSOR_ENV_")]


def test_it_comes_up_answers_is_shown_and_goes_down(tiny: Tiny) -> None:
    done = tiny.up()
    assert "✓ emulator" in done.stderr
    assert "npm" not in done.stderr

    answer = httpx.get(f"{tiny.url}/up", timeout=5).json()
    assert answer["environment"] == "dev-localstack"
    assert answer["table"].startswith("Tiny-dev-localstack-")

    listed = tiny.inv("dev.shell", f"--command={sys.executable} -c '{_LIST}'", SHELL="/bin/sh")
    assert listed.returncode == 0, listed.stderr
    stacks, functions, tables = json.loads(listed.stdout)
    assert "Tiny-dev-localstack-Database" in stacks
    assert all(name.startswith("Tiny-dev-localstack-") for name in stacks if name != "CDKToolkit")
    assert functions == []
    assert answer["table"] in tables

    status = tiny.status()
    assert status["ready"] is True
    assert status["processes"]["app"]["state"] == "running"
    assert status["processes"]["processor"]["state"] == "stopped"

    logs = tiny.inv("dev.logs", "--service=app")
    assert logs.returncode == 0, logs.stderr
    assert f"app       | tiny listens on {tiny.ports[0]}" in logs.stdout

    again = tiny.up()
    assert "unchanged" in again.stderr

    checked = tiny.inv("setup-localstack")
    assert checked.returncode == 0, checked.stderr
    assert "there is no processor (PROCESSOR_ARTIFACT is empty)" in checked.stderr

    down = tiny.inv("dev.down")
    assert down.returncode == 0, down.stderr
    assert tiny.left() == []


_LIST = (
    "import boto3, json; "
    'stacks = boto3.client("cloudformation").describe_stacks()["Stacks"]; '
    'functions = boto3.client("lambda").list_functions()["Functions"]; '
    'print(json.dumps([[s["StackName"] for s in stacks], [f["FunctionName"] for f in functions], '
    'boto3.client("dynamodb").list_tables()["TableNames"]]))'
)


def test_smoke_says_that_it_has_no_checks_of_its_own(tiny: Tiny) -> None:
    tiny.up()
    done = tiny.inv("dev.smoke")
    assert done.returncode == 2
    assert "There is no check in journey." in done.stderr
    assert "CHECKS in the env file names modules." in done.stderr


def test_it_is_synthesized_for_production_without_a_processor(tiny: Tiny) -> None:
    done = tiny.inv("cdk.synth", "--env=production")
    assert done.returncode == 0, done.stderr
    from pathlib import Path

    templates = list(Path(done.stdout.strip()).glob("Tiny-production-*.template.json"))
    assert templates
    types = {
        resource["Type"]
        for path in templates
        for resource in json.loads(path.read_text(encoding="utf-8"))["Resources"].values()
    }
    assert "AWS::DynamoDB::Table" in types
    assert "AWS::Lambda::Function" not in types
    assert "AWS::Lambda::EventSourceMapping" not in types

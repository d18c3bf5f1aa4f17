"""`inv cdk.synth`: every environment's cloud assembly, made once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Inv

STACKS = ("Bootstrap", "Database", "Storage", "Queue", "Compute", "Observability")
LOCAL = ("dev-localstack", "dev-aws")


def test_all_five_environments_synthesize_and_only_once(inv: Inv) -> None:
    first = inv("cdk.synth", "--all", timeout=170)
    assert first.returncode == 0, first.stderr
    folders = [Path(line) for line in first.stdout.splitlines()]
    names = ["dev-localstack", "dev-aws", "dev-aws-deployed", "staging", "production"]
    for name, folder in zip(names, folders, strict=True):
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        stacks = {key for key, each in manifest["artifacts"].items() if each["type"] == "aws:cloudformation:stack"}
        assert {stack.replace("-", "") for stack in stacks} == {
            f"SoundBite-{name}-{s}".replace("-", "") for s in (*STACKS, *(() if name in LOCAL else ("Api",)))
        }
    again = inv("cdk.synth", "--all")
    assert again.stdout == first.stdout
    assert (again.stderr.count("6 stacks, unchanged"), again.stderr.count("7 stacks, unchanged")) == (2, 3)


def test_without_an_environment_it_says_how_to_name_one(inv: Inv) -> None:
    for task in ("cdk.synth", "cdk.diff", "cdk.deploy", "cdk.destroy"):
        done = inv(task)
        assert done.returncode == 2, task
        assert "--env=NAME, or --all" in done.stderr


def test_destroying_all_wants_every_name(inv: Inv) -> None:
    done = inv("cdk.destroy", "--all", "--confirm=dev-localstack,dev-aws")
    assert done.returncode == 3
    assert "is not dev-aws-deployed. Nothing was changed." in done.stderr

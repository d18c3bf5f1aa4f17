"""The image of the infrastructure's tasks: what it synthesizes is what the machine itself synthesizes."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.containers.conftest import docker
from tests.containers.images import build, certificates

if TYPE_CHECKING:
    from tests.conftest import Inv

ENVIRONMENT = "staging"
_UNNEEDED = shutil.ignore_patterns(".*", "node_modules", "dist", "__pycache__", "cdk.out", "*.local.env", "test*")


@pytest.fixture
def image(unique: str) -> str:
    """Return the image."""
    build(ROOT / "cdk", "--load", f"--tag={unique}")
    return unique


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the checkout as a clone has it, without anything installed or built."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT, folder, ignore=_UNNEEDED)
    for name in ("app/.npmrc", "cdk/.npmrc"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def _user(checkout: Path) -> str:
    """Return a user that is not root and has no name in the image: ours, or one that the copy is given to."""
    if os.getuid() != 0:
        return f"{os.getuid()}:{os.getgid()}"
    for path in (checkout, *checkout.rglob("*")):
        os.chown(path, 4711, 4711, follow_symlinks=False)
    return "4711:4711"


@pytest.mark.timeout(300)
def test_it_synthesizes_a_mounted_checkout_as_the_machine_does(image: str, checkout: Path, inv: Inv) -> None:
    # As a clone has it, down to a folder of git's that belongs to another user.
    subprocess.run(["git", "init", "--quiet", str(checkout)], check=True, timeout=30)
    name = f"{image}-synth"
    options = [f"--name={name}", f"--user={_user(checkout)}", f"--volume={checkout}:/work"]
    if certificates() is not None:
        options += [f"--volume={certificates()}:/ca.pem:ro", "--env=NODE_EXTRA_CA_CERTS=/ca.pem"]
    made = docker("run", "--rm", *options, image, "cdk.synth", f"--env={ENVIRONMENT}", timeout=200)
    here = inv("cdk.synth", f"--env={ENVIRONMENT}")
    assert here.returncode == 0, here.stderr
    assembly = Path(here.stdout.strip())
    assert _files(checkout / Path(made).relative_to("/work")) == _files(assembly)


def test_it_lists_the_tasks_of_a_checkout_that_it_may_only_read(image: str) -> None:
    listed = docker("run", "--rm", "--read-only", "--user=4712:4712", f"--volume={ROOT}:/work:ro", image, "--list")
    assert "cdk.synth" in listed


def test_without_a_checkout_it_says_so(image: str) -> None:
    name = f"{image}-{uuid.uuid4().hex[:6]}"
    done = subprocess.run(
        ["docker", "run", "--rm", f"--name={name}", image, "--list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "tasks" in done.stderr


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

"""Tests on a real Docker engine: in CI a missing engine fails them, elsewhere it skips them and says why."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import saved

__all__ = ["saved"]

if TYPE_CHECKING:
    from collections.abc import Iterator


def docker(*arguments: str, timeout: float = 120, check: bool = True) -> str:
    """Run docker and return what it printed on stdout."""
    done = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


def pause(container: str, within: float = 60) -> None:
    """Have all of a container stand still, within so many seconds.

    With cgroup v1, runc gives up ("unable to freeze") and thaws where processes start quicker than it freezes them, as
    on a host whose own engine is at work (opencontainers/runc, libcontainer/cgroups/fs/freezer.go).
    """
    end = time.monotonic() + within
    while True:
        try:
            docker("pause", container)
        except AssertionError as error:
            if "unable to freeze" not in str(error) or time.monotonic() > end:
                raise
        else:
            return


@contextmanager
def paused(*containers: str) -> Iterator[None]:
    """Have containers stand still for a while."""
    with ExitStack() as stack:
        for each in containers:
            pause(each)
            stack.callback(docker, "unpause", each)
        yield


def missing(what: str) -> None:
    """End a test that lacks something of the machine: a failure in CI, a skip with its reason elsewhere."""
    reason = f"{what}; scripts/engine up provides it on Debian"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def installed(tool: str) -> str:
    """Return where a tool is; without it the test ends."""
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        missing(f"{tool} is not installed")
        raise AssertionError
    return found


@pytest.fixture(scope="session")
def engine() -> str:
    """Return the version of the engine that answers."""
    installed("docker")
    version = docker("version", "--format", "{{.Server.Version}}", check=False)
    if not version:
        missing("no Docker engine answers")
    if not docker("compose", "version", "--short", check=False):
        missing("there is no Compose v2 plugin")
    return version


@pytest.fixture
def unique(engine: str) -> Iterator[str]:
    """Return a name of the test's own, for images, projects and networks; what bears it is removed afterwards."""
    name = f"sbtest-{uuid.uuid4().hex[:10]}"
    yield name
    remove(name)


def remove(name: str) -> None:
    """Remove every container, network, volume and image whose name begins with `name`."""
    containers = docker("ps", "-aq", "--filter", f"name={name}", check=False).split()
    if containers:
        docker("rm", "-f", "-v", *containers, check=False)
    for kind in ("network", "volume"):
        found = docker(kind, "ls", "-q", "--filter", f"name={name}", check=False).split()
        if found:
            docker(kind, "rm", *found, check=False)
    images = docker("images", "--format", "{{.Repository}}:{{.Tag}}", check=False).split()
    mine = [image for image in images if name in image and not image.endswith(":<none>")]
    if mine:
        docker("rmi", "-f", *mine, check=False)


@pytest.fixture(scope="session")
def bridge(engine: str) -> str:
    """Return this machine's address on the engine's default bridge."""
    import psutil

    for each in psutil.net_if_addrs().get("docker0", []):
        if "." in each.address:
            return str(each.address)
    missing("the engine has no bridge docker0")
    raise AssertionError

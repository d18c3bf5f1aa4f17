"""Deployments that are killed: two hosts to do it on, and what must hold afterwards."""

from __future__ import annotations

import os
import signal
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.conftest import copied
from tests.containers.rehearsals import Rehearsal, ended, rehearsal

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    import pytest


@contextmanager
def two_hosts(factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Give two hosts with a verified deployment, for all tests of a module: each leaves it settled."""
    folder = factory.mktemp("killed")
    name = f"sbtest-{uuid.uuid4().hex[:10]}"
    made = rehearsal(copied(folder / "project"), name, folder / "home", folder / "state")
    try:
        made.up(2)
        made.deploy("service")
        yield made
    finally:
        made.down()


def beside(place: Rehearsal) -> Rehearsal:
    """Return the same rehearsal from another checkout, whose tree has changed since."""
    other = place.another("elsewhere")
    other.checkout.put("staging", OWNER="somebody")
    other.checkout.commit()
    return other


def killed(process: subprocess.Popen[str], signum: signal.Signals = signal.SIGKILL) -> tuple[int, float]:
    """Kill a task; return its exit code and the seconds until it was gone."""
    began = time.monotonic()
    os.kill(process.pid, signum)
    code, _ = ended(process, 30)
    return code, time.monotonic() - began


def settled(place: Rehearsal) -> dict[str, Any]:
    """See that ledger and hosts agree, that nothing is left half done, and that the lock is free."""
    lock, history, hosts = place.told("lock.status", "history", "hosts.list")
    assert lock["state"] == "free", lock
    serving = next(each for each in history if each["serving"])
    assert serving["verified"]
    assert all(each["outcome"] for each in history), history
    assert {each["deployment"] for each in hosts} == {serving["id"]}
    assert all(each["idle"] == [] for each in hosts), hosts
    assert {each["release"] for each in place.answers()} == {serving["release"]}
    return dict(serving)


def finished(place: Rehearsal, elsewhere: Rehearsal, how: str) -> str:
    """Finish or take back what was cut off, from another checkout; return what was said.

    Killed when all was done but its own end, there is nothing left; killed before it had the lock, there was nothing.
    """
    done = elsewhere.inv(*elsewhere.command(f"deploy.{place.environment}", how), timeout=300)
    assert done.returncode == (3 if "Nothing of" in done.stderr else 0), done.stderr
    return done.stderr

"""`inv` in a fork is `inv` as it is started: what it is given, what it says, how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from tests import forking
from tests.conftest import Inv

if TYPE_CHECKING:
    from pathlib import Path

TASKS = """\
import os, signal, subprocess, sys, threading, time
from invoke import task

@task
def tell(context, code=0, name=""):
    print(sys.argv[1:], name, os.getcwd(), sorted(os.environ), os.environ.get("SB_OWN"), os.environ.get("SB_OTHER"))
    print(sys.stdin.read(), sys.stdout.encoding, sys.stdout.write_through, sys.flags, sys.path[0] in ("", os.getcwd()))
    print(sorted(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGINT), threading.active_count())
    print("soundbite" in sys.modules, "tests" in sys.modules, "pytest" in sys.modules)
    print("on stderr", file=sys.stderr)
    sys.exit(code)

@task
def fail(context):
    raise RuntimeError("unexpected")

@task
def die(context):
    print("dying")
    os.kill(os.getpid(), signal.SIGTERM)

@task
def at_the_end(context):
    import atexit
    atexit.register(print, "the very last")
    threading.Timer(0.2, print, ["a thread that is waited for"]).start()

@task
def leave(context, seconds=0.0):
    subprocess.Popen(["sleep", str(seconds)])
    print("left", flush=True)

@task
def hang(context):
    print("hangs", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def own(tmp_path: Path) -> Inv:
    """Return `inv` with tasks of these tests."""
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")
    return Inv(tmp_path, {"SB_OWN": "é"})


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["tell"], 0),
        (["tell", "--code=3", "--name=two words"], 3),
        (["fail"], 1),
        (["die"], -15),
        (["at-the-end"], 0),
        (["nothing"], 1),
        (["--list"], 0),
        (["--version"], 0),
    ],
)
def test_it_is_given_the_same_says_the_same_and_ends_the_same(own: Inv, words: list[str], code: int) -> None:
    forked, started = (each(*words, stdin="given ü") for each in (own, replace(own, forked=False)))
    assert forked.returncode == started.returncode == code
    assert forked.stdout == started.stdout
    assert forked.stderr.splitlines()[-1:] == started.stderr.splitlines()[-1:]
    assert started.stdout + started.stderr


def test_one_knows_nothing_of_another(own: Inv) -> None:
    first = own("tell", SB_OTHER="of the first")
    assert "of the first" in first.stdout
    assert "of the first" not in own("tell").stdout


@pytest.mark.parametrize("forked", [True, False])
def test_what_is_left_running_with_its_output_is_waited_for(own: Inv, forked: bool) -> None:
    began = time.monotonic()
    done = replace(own, forked=forked)("leave", "--seconds=1.5")
    assert done.stdout == "left\n"
    assert time.monotonic() - began > 1.4


def test_one_is_started_as_subprocess_does_it(own: Inv) -> None:
    for process in (own.fork("tell", "--code=3"), own.start("tell", "--code=3")):
        assert os.getsid(process.pid) == process.pid
        said, nothing = process.communicate(timeout=20)
        assert (process.returncode, process.poll(), process.wait(), nothing or "") == (3, 3, 3, "")
        assert "on stderr" in said
        assert "'PYTHONFAULTHANDLER'" in said


@pytest.mark.parametrize("fork", [True, False])
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_reach_what_was_started(own: Inv, fork: bool, signum: signal.Signals) -> None:
    process = own.fork("hang") if fork else own.start("hang")
    assert process.stdout is not None
    assert process.stdout.readline() == "hangs\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    with pytest.raises(subprocess.TimeoutExpired):
        process.communicate(timeout=0.1)
    assert process.poll() is None
    process.send_signal(signum)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == (1 if signum == signal.SIGINT else -signum), said


def test_what_stands_still_tells_what_it_was_at(own: Inv) -> None:
    with own.fork("hang") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hangs\n"
        process.send_signal(signal.SIGABRT)
        assert "in hang" in process.communicate(timeout=20)[0]
    assert process.returncode == -signal.SIGABRT


def test_what_takes_too_long_is_killed(own: Inv) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        own("hang", timeout=2)
    assert psutil.Process(forking.forker()._process.pid).children() == []

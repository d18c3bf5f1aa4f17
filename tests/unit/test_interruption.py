"""SIGINT and SIGTERM where they are easily lost: while a command starts, in destructors, in clean-up, at the end."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.conftest import ROOT, clean_environ

if TYPE_CHECKING:
    from pathlib import Path


def ended(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Python to its end."""
    argv = [sys.executable, "-c", code, *arguments]
    return subprocess.run(argv, cwd=ROOT, env=clean_environ(), check=False, capture_output=True, text=True, timeout=60)


# The signal comes when the command is there and its caller does not know it yet: a moment of about a millisecond,
# which no test would hit by chance each time. The handler is that of every task.
_AT_THE_START = """
import os, signal, subprocess, sys
from pathlib import Path
from soundbite import shell
from soundbite.errors import Interrupted
from soundbite.processes import Process
from tasks import command

class Interrupting(subprocess.Popen):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)

subprocess.Popen = Interrupting
signal.signal(signal.SIGTERM, command._interrupt)
folder = Path(sys.argv[2])
try:
    if sys.argv[1] == "run":
        shell.run(["sleep", "600"], cwd=folder, timeout=60)
    else:
        Process("app", folder).start(["sleep", "600"], env=dict(os.environ), cwd=folder, notes={})
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


@pytest.mark.parametrize("how", ["run", "start"])
def test_an_interruption_at_the_very_start_leaves_nothing_behind(tmp_path: Path, how: str) -> None:
    starter = ended(_AT_THE_START, how, str(tmp_path))
    left = [process for process in psutil.process_iter() if _folder(process) == str(tmp_path)]
    for process in left:
        process.kill()
    assert starter.returncode == 143
    assert left == []


# Destructors, one as paramiko's channels have it, and a lock of `threading` that is taken apart. Half a second of
# clean-up is longer than a lost interruption takes to come again: one that is under way does not.
_LOST = """
import os, signal, sys, time
from invoke import Context, Exit
from tasks.command import command

def hit():
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))

class Careless:
    def __del__(self):
        try:
            hit()
        except:
            pass

class Plain:
    def __del__(self):
        hit()

def lost():
    Careless()
    print("lost", flush=True)

def lost_by_python():
    Plain()
    print("lost", flush=True)

def replaced():
    try:
        hit()
    finally:
        raise RuntimeError("cannot release un-acquired lock")

def cleaned_up():
    try:
        hit()
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.5)
        print("cleaned up", flush=True)

@command()
def done(context):
    globals()[sys.argv[1]]()
    time.sleep(20)
    print("went on", flush=True)

try:
    done(Context())
except Exit as ended:
    sys.exit(ended.code)
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize(
    ("how", "said"),
    [("lost", "lost\n"), ("lost_by_python", "lost\n"), ("replaced", ""), ("cleaned_up", "cleaned up\n")],
)
def test_an_interruption_ends_the_task_wherever_it_comes(how: str, said: str, name: str, code: int) -> None:
    done = ended(_LOST, how, name)
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "✗ Interrupted.\n")


_AT_THE_END = """
import atexit, os, signal, sys

def hit():
    os.kill(os.getpid(), getattr(signal, sys.argv[2]))

if sys.argv[3] == "finalization":
    atexit.register(hit)  # what is registered first comes last

from invoke import Context, Exit
from tasks.command import command, exit_with

@command()
def done(context):
    exit_with(int(sys.argv[1]))

try:
    done(Context())
except Exit as ended:
    code = ended.code
else:
    code = 0
if sys.argv[3] == "after the task":
    hit()
sys.exit(code)
"""


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize(("name", "its"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_an_interruption_after_a_task_ends_the_process_without_a_traceback(code: int, name: str, its: int) -> None:
    done = ended(_AT_THE_END, str(code), name, "after the task")
    assert (done.returncode, done.stderr) == (its, "")


@pytest.mark.parametrize("code", [0, 5])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interruption_while_python_ends_changes_no_exit_code(code: int, name: str) -> None:
    done = ended(_AT_THE_END, str(code), name, "finalization")
    assert (done.returncode, done.stderr) == (code, "")


def _folder(process: psutil.Process) -> str:
    try:
        return process.cwd() if process.status() != psutil.STATUS_ZOMBIE else ""
    except psutil.Error:
        return ""

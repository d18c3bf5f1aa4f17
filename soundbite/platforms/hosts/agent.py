"""What runs on a host: one step a call, told on stdin and answered on stdout, both JSON. Python's own library only.

    python3 agent.py VERB < ORDER.json

The folder that it lies in is all that it knows: the deployments that the host has, two colours (one of which serves),
and the proxy. The proxy reaches the application by a unix socket behind the link `colours/live`; pointing the link to
the other colour is the switch. It takes effect with the next request, and no connection of a client notices.

Each verb may be called again whatever became of the call before. A lock lets one work at a time; an order with a lower
token than the host has seen is refused, so that who lost the environment's lock cannot go on.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOME = Path(__file__).resolve().parent
COLOURS = HOME / "colours"
LIVE = COLOURS / "live"
DEPLOYMENTS = HOME / "deployments"
PROXY = HOME / "proxy"
NAMES = ("blue", "green")
KEPT = 3
"""Deployments that stay startable: the one that serves, and those before it."""

FAILED, BUSY, FENCED = 1, 4, 9
"""Exit codes beside 0; 9 is an order of somebody who no longer has the environment's lock."""

LOCK_WAIT = 30.0
LEAST_FREE = 300 * 2**20
"""Bytes that must be free before an image is fetched."""

POLL = 0.05
DOCKER_TIMEOUT = 60.0
PULL_TIMEOUT = 600.0


class StepFailed(Exception):
    """Why a step could not be done; `code` is what the program ends with."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: list[str]) -> int:
    """Do one verb; the answer is the last line of stdout."""
    verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
        "prepare": prepare,
        "stage": stage,
        "switch": switch,
        "prove": prove,
        "back": back,
        "drain": drain,
        "abandon": abandon,
        "converge": converge,
    }
    looks: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {"status": status, "logs": logs}
    os.umask(0o077)
    verb = arguments[0] if arguments else ""
    try:
        if verb == "boot":
            order: dict[str, Any] = {"token": _token()}
            verb = "converge"
        else:
            order = json.loads(sys.stdin.read() or "{}")
        if verb in looks:
            answer = looks[verb](order)
        elif verb in verbs:
            with _locked(order):
                answer = verbs[verb](order)
        else:
            _answer({"error": f"there is no verb {verb!r}"})
            return FAILED
    except StepFailed as failed:
        _answer({"error": str(failed)})
        return failed.code
    except OSError as error:
        _answer({"error": f"{error.strerror}: {error.filename}" if error.filename else str(error)})
        return FAILED
    _answer(answer)
    return 0


# What is there


def status(order: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - as all verbs
    """Tell what serves and what else is there, from what is found and not from what was noted."""
    live = _live()
    found = {name: _colour(name) for name in NAMES}
    return {
        "agent": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
        "token": _token(),
        "engine": str((_engine("/version") or {}).get("Version", "")),
        "live": live,
        "serving": found[live] if live else None,
        "idle": {name: each for name, each in found.items() if name != live and each},
        "deployments": _kept_deployments(),
        "proxy": _container(f"{_project()}-proxy", "proxy").get("state", "missing"),
        "free": shutil.disk_usage(HOME).free,
    }


def logs(order: dict[str, Any]) -> dict[str, Any]:
    """Return the last lines of what serves, or of the proxy."""
    live = _live()
    project = f"{_project()}-{'proxy' if order.get('proxy') else live}"
    return {"lines": _logs(project, int(order.get("lines", 50)))}


# The steps


def prepare(order: dict[str, Any]) -> dict[str, Any]:
    """Make the folders, and bring the proxy up; a new configuration is tested before it is used."""
    for folder in (DEPLOYMENTS, PROXY):
        folder.mkdir(exist_ok=True)
    _require_engine()
    HOME.chmod(0o711)  # the proxy, whose user is not root, goes through to the sockets
    COLOURS.mkdir(exist_ok=True)
    COLOURS.chmod(0o755)
    for name in NAMES:
        (COLOURS / name).mkdir(exist_ok=True)
        (COLOURS / name).chmod(0o777)  # whoever the application is makes its socket there
    wanted = order["proxy"]
    if order.get("unit"):
        _install_unit(order["unit"])
    before = _container(f"{_project()}-proxy", "proxy")
    if before.get("state") == "running" and _proxy_is(wanted):
        return {"proxy": "running", "reloaded": False}
    _ensure_image(wanted["image"], order.get("registry"))
    changed = _prove_configuration(wanted)
    for name, text in wanted["files"].items():
        _write(PROXY / name, text)
        (PROXY / name).chmod(0o644)
    PROXY.chmod(0o755)
    _write(PROXY / "proxy.json", json.dumps({"image": wanted["image"], "port": wanted["port"]}))
    _proxy_up()
    after = _container(f"{_project()}-proxy", "proxy")
    if changed and before.get("id") == after.get("id"):
        _docker("exec", after["id"], "nginx", "-c", "/etc/soundbite/nginx.conf", "-s", "reload")
    return {"proxy": after.get("state"), "reloaded": changed}


def stage(order: dict[str, Any]) -> dict[str, Any]:
    """Start a deployment in the colour that does not serve, and wait until it is ready."""
    if "proxy" in order:
        prepare(order)
    deployment = order["deployment"]
    if "files" in order:
        _keep(deployment, order)
    told = _told(deployment)
    live = _live()
    if live and _runs(live, deployment, order):
        return {"colour": live, "staged": False}
    colour = _idle()
    if not _runs(colour, deployment, order):
        if _colour(colour):
            _down(colour)
        _ensure_image(told["image"], order.get("registry"))
        started = time.monotonic()
        with _removed_on_failure(colour):
            _up(colour, deployment)
            _await_ready(colour, told)
        return {"colour": colour, "staged": True, "seconds": round(time.monotonic() - started, 2)}
    return {"colour": colour, "staged": True, "seconds": 0.0}


def switch(order: dict[str, Any]) -> dict[str, Any]:
    """Let a staged deployment serve from the next request on; the other goes on answering what it was asked."""
    deployment = order["deployment"]
    colour = next((name for name in NAMES if _noted(name) == deployment and _answers(name, _told(deployment))), None)
    if colour is None:
        raise StepFailed(f"{deployment} is not staged here, or does not answer")
    before = _live()
    if before != colour:
        _point(colour)
    try:
        _prove(_told(deployment))
    except StepFailed:
        if before and before != colour:
            _point(before)
        raise
    served = [each for each in _history() if each != deployment]
    _write(HOME / "served.json", json.dumps([*served, deployment][-2 * KEPT :]))
    return {"colour": colour, "before": _noted(before) if before and before != colour else None}


def prove(order: dict[str, Any]) -> dict[str, Any]:
    """See that a deployment is what serves here, and that it is ready, through the proxy."""
    live, deployment = _live(), order["deployment"]
    found = _colour(live) if live else None
    if not found or found["deployment"] != deployment or found["state"] != "running":
        raise StepFailed(f"{found['deployment'] if found else 'nothing'} serves here, not {deployment}")
    told = _told(deployment)
    _prove(told)
    _prove({**told, "health_path": told["ready_path"]})
    return {"serving": deployment}


def back(order: dict[str, Any]) -> dict[str, Any]:
    """Let serve again what a deployment took the place of; where that is gone or nothing was, nothing serves."""
    live = _live()
    wanted = order.get("deployment")
    if wanted is not None and live is not None and _noted(live) == wanted:
        _prove(_told(wanted))
        return {"serving": wanted}
    other = next((name for name in NAMES if name != live), NAMES[0])
    if wanted is None:
        if live is not None and _noted(live) == order["leave"]:
            LIVE.unlink()
            _down(live)
        return {"serving": None}
    if _noted(other) != wanted or not _answers(other, _told(wanted)):
        stage({**order, "deployment": wanted})
        other = _idle()
    _point(other)
    _prove(_told(wanted))
    if live is not None:
        _down(live)
    return {"serving": wanted}


def drain(order: dict[str, Any]) -> dict[str, Any]:
    """Stop what no longer serves, after the time it has for what it was asked; then away with what is old."""
    idle = [name for name in NAMES if name != _live() and _colour(name)]
    if idle and order.get("seconds"):
        time.sleep(float(order["seconds"]))
    for name in idle:
        _down(name)
    return {"stopped": idle, "removed": _prune()}


def abandon(order: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - as all verbs
    """Stop what does not serve."""
    stopped = [name for name in NAMES if name != _live() and _colour(name)]
    for name in stopped:
        _down(name)
    return {"stopped": stopped}


def converge(order: dict[str, Any]) -> dict[str, Any]:
    """Bring back what served, as after a boot: the proxy, and the colour that the link points to."""
    if not (PROXY / "proxy.json").exists():
        return {"serving": None}
    _proxy_up()
    live = _live()
    if live is None:
        return {"serving": None}
    deployment = _noted(live)
    if deployment is None:
        raise StepFailed(f"it is not known what the colour {live} was")
    if not _runs(live, deployment, order):
        _up(live, deployment)
        _await_ready(live, _told(deployment))
    abandon(order)
    return {"serving": deployment}


# Colours


def _live() -> str | None:
    try:
        found = str(LIVE.readlink())
    except OSError:
        return None
    return found if found in NAMES else None


def _idle() -> str:
    return NAMES[1] if _live() == NAMES[0] else NAMES[0]


def _point(colour: str) -> None:
    new = COLOURS / ".live.new"
    with suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(colour)
    new.replace(LIVE)


def _noted(colour: str) -> str | None:
    """Return what was started last in a colour."""
    try:
        return str(json.loads((HOME / f"{colour}.json").read_text(encoding="utf-8"))["deployment"])
    except (OSError, ValueError, KeyError):
        return None


def _colour(name: str) -> dict[str, Any] | None:
    """Return what a colour runs, as its container says; None if there is none."""
    found = _container(f"{_project()}-{name}", "api")
    return found or None


def _runs(colour: str, deployment: str, order: dict[str, Any]) -> bool:
    """Tell whether a colour runs a deployment and answers; with `anew` in the order it counts as not."""
    found = _colour(colour)
    if order.get("anew") or not found or found["deployment"] != deployment or found["state"] != "running":
        return False
    return _answers(colour, _told(deployment))


def _up(colour: str, deployment: str) -> None:
    _write(HOME / f"{colour}.json", json.dumps({"deployment": deployment}))
    with suppress(FileNotFoundError):
        (COLOURS / colour / "app.sock").unlink()
    _compose(colour, deployment, "up", "--detach", "--no-build", "--pull=never", "--force-recreate")


def _down(colour: str) -> None:
    _docker("compose", "--project-name", f"{_project()}-{colour}", "down", "--remove-orphans", "--volumes")
    if _live() != colour:
        with suppress(FileNotFoundError):
            (HOME / f"{colour}.json").unlink()


@contextmanager
def _removed_on_failure(colour: str) -> Iterator[None]:
    try:
        yield
    except StepFailed:
        with suppress(StepFailed):
            _down(colour)
        raise


def _await_ready(colour: str, told: dict[str, Any]) -> None:
    until = time.monotonic() + told["start_timeout"]
    looked = time.monotonic()
    problem = ""
    for path in (told["health_path"], told["ready_path"]):
        while True:
            problem = _ask_socket(COLOURS / colour / "app.sock", path)
            if not problem:
                break
            now = time.monotonic()
            if now - looked > 0.5:  # noqa: PLR2004 - asking the engine is dearer than asking the socket
                looked = now
                found = _colour(colour)
                if not found or found["state"] in {"exited", "dead", "restarting"} or found["restarts"]:
                    state = "is gone" if not found else f"{found['state']}, exit code {found['exit_code']}"
                    raise StepFailed(f"the application ended while starting ({state}). Its last lines:\n{_end(colour)}")
            if now > until:
                raise StepFailed(
                    f"the application is not ready after {told['start_timeout']:.0f} s: {path}: {problem}. "
                    f"Its last lines:\n{_end(colour)}"
                )
            time.sleep(POLL)


def _end(colour: str) -> str:
    return "\n".join(f"  {line}" for line in _logs(f"{_project()}-{colour}", 20)) or "  (it printed nothing)"


def _answers(colour: str, told: dict[str, Any]) -> bool:
    return not _ask_socket(COLOURS / colour / "app.sock", told["health_path"])


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _ask_socket(path: Path, url: str) -> str:
    return _ask(_OverSocket(path), url)


def _ask(connection: http.client.HTTPConnection, url: str) -> str:
    """Ask for a path; return what is wrong, empty if it answers 200."""
    try:
        connection.request("GET", url, headers={"Connection": "close"})
        response = connection.getresponse()
        body = response.read(300).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    return "" if response.status == 200 else f"{response.status}: {body}"  # noqa: PLR2004


# Deployments


def _keep(deployment: str, order: dict[str, Any]) -> None:
    """Write what a deployment is, whole or not at all; nobody but root may read it."""
    folder, new = DEPLOYMENTS / deployment, DEPLOYMENTS / f".{deployment}.new"
    shutil.rmtree(new, ignore_errors=True)
    for name, text in order["files"].items():
        _write(new / "compose" / name, text)
    _write(new / "deployment.json", json.dumps(order["told"]))
    (new / "secrets").mkdir()
    for name, text in order.get("secrets", {}).items():
        _write(new / "secrets" / name, text)
        (new / "secrets" / name).chmod(0o444)  # to whoever it is mounted for; the folder is root's alone
    shutil.rmtree(folder, ignore_errors=True)
    new.replace(folder)


def _told(deployment: str) -> dict[str, Any]:
    try:
        return dict(json.loads((DEPLOYMENTS / deployment / "deployment.json").read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise StepFailed(f"this host does not have {deployment}; it has {', '.join(_kept_deployments())}") from None


def _kept_deployments() -> list[str]:
    if not DEPLOYMENTS.is_dir():
        return []
    there = {each.name for each in DEPLOYMENTS.iterdir() if not each.name.startswith(".")}
    return [*(each for each in _history() if each in there), *sorted(there - set(_history()))]


def _history() -> list[str]:
    try:
        return list(json.loads((HOME / "served.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return []


def _prune() -> list[str]:
    """Remove all but the newest deployments that served, and the images that no kept one needs."""
    served = [each for each in _history() if (DEPLOYMENTS / each).is_dir()]
    live = _live()
    keep = set(served[-KEPT:]) | {_noted(name) for name in NAMES if name == live}
    gone = [each for each in _kept_deployments() if each not in keep]
    used = {_told(each)["image"] for each in keep if each}
    for each in gone:
        image = _told(each)["image"]
        shutil.rmtree(DEPLOYMENTS / each, ignore_errors=True)
        if image not in used:
            _docker("image", "rm", image, check=False)
    return gone


# The proxy


def _proxy_up() -> None:
    _compose_files(f"{_project()}-proxy", [PROXY / "proxy.yml"], _proxy_variables(), "up", "--detach", "--pull=never")


def _proxy_is(wanted: dict[str, Any]) -> bool:
    """Tell whether the proxy was made of what is wanted."""
    try:
        now = {name: (PROXY / name).read_text(encoding="utf-8") for name in wanted["files"]}
        made = json.loads((PROXY / "proxy.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(now == wanted["files"] and made == {"image": wanted["image"], "port": wanted["port"]})


def _proxy_variables() -> dict[str, str]:
    told = json.loads((PROXY / "proxy.json").read_text(encoding="utf-8"))
    return {
        "COMPOSE_PROJECT": f"{_project()}-proxy",
        "NGINX_IMAGE": told["image"],
        "NGINX_CONFIGURATION": str(PROXY),
        "COLOURS": str(COLOURS),
        "HTTP_PORT": str(told["port"]),
    }


def _prove_configuration(wanted: dict[str, Any]) -> bool:
    """Have nginx test a new configuration before it takes the place of the old; return whether it is another."""
    text = wanted["files"]["nginx.conf"]
    current = PROXY / "nginx.conf"
    if current.exists() and current.read_text(encoding="utf-8") == text:
        return False
    candidate = HOME / "proxy.candidate"
    shutil.rmtree(candidate, ignore_errors=True)
    _write(candidate / "nginx.conf", text)
    candidate.chmod(0o755)
    (candidate / "nginx.conf").chmod(0o644)
    run = ["run", "--rm", "--network=none", "--user=1000:1000", "--read-only", "--tmpfs=/tmp"]
    mounts = [f"--volume={candidate}:/etc/soundbite:ro", f"--volume={COLOURS}:/run/colours:ro"]
    try:
        _docker(*run, *mounts, wanted["image"], "nginx", "-c", "/etc/soundbite/nginx.conf", "-t")
    except StepFailed as failed:
        raise StepFailed(f"nginx refuses its new configuration, so it is not used:\n{failed}") from None
    finally:
        shutil.rmtree(candidate, ignore_errors=True)
    return True


def _prove(told: dict[str, Any]) -> None:
    """See that the proxy gives on what the application answers."""
    port = json.loads((PROXY / "proxy.json").read_text(encoding="utf-8"))["port"]
    problem = ""
    for _ in range(3):
        problem = _ask(http.client.HTTPConnection("127.0.0.1", port, timeout=5), told["health_path"])
        if not problem:
            return
        time.sleep(POLL)
    raise StepFailed(f"the proxy answers {told['health_path']} with {problem}")


def _install_unit(text: str) -> None:
    """Have systemd, where it is, bring back at boot what served."""
    if not Path("/run/systemd/system").is_dir():
        return
    name = f"{_project()}.service"
    _write(Path("/etc/systemd/system") / name, text.replace("@AGENT@", str(HOME / "agent.py")))
    (Path("/etc/systemd/system") / name).chmod(0o644)
    for arguments in (["daemon-reload"], ["enable", name]):
        _run(["systemctl", *arguments], DOCKER_TIMEOUT, {})


# The engine


def _require_engine() -> None:
    if not _engine("/version"):
        raise StepFailed("cannot connect to the docker daemon: its engine does not run")
    if not _docker("compose", "version", "--short", check=False).strip():
        raise StepFailed("docker compose (v2) is not there; install docker-compose-v2")


def _project() -> str:
    return HOME.name


def _container(project: str, service: str) -> dict[str, Any]:
    labels = [f"com.docker.compose.project={project}", f"com.docker.compose.service={service}"]
    listed = _engine(f"/containers/json?all=1&filters={quote(json.dumps({'label': labels}))}")
    found = _engine(f"/containers/{listed[0]['Id']}/json") if listed else None
    if not found:
        return {}
    told = found["Config"]["Labels"]
    return {
        "id": found["Id"],
        "image": found["Config"]["Image"],
        "deployment": told.get("soundbite.deployment"),
        "release": told.get("soundbite.release"),
        "state": found["State"]["Status"],
        "exit_code": found["State"]["ExitCode"],
        "restarts": found["RestartCount"],
        "started": found["State"]["StartedAt"],
    }


def _engine(url: str) -> Any:
    """Ask the engine itself (Docker Engine API), which takes a tenth of what its command takes; None if it cannot."""
    connection = _OverSocket(Path("/var/run/docker.sock"))
    try:
        connection.request("GET", url)
        response = connection.getresponse()
        body = response.read()
        return json.loads(body) if response.status == 200 else None  # noqa: PLR2004
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _compose(colour: str, deployment: str, *arguments: str) -> None:
    folder = DEPLOYMENTS / deployment
    told = _told(deployment)
    variables = {
        **told["variables"],
        "COMPOSE_PROJECT": f"{_project()}-{colour}",
        "API_IMAGE": told["image"],
        "DEPLOYMENT": deployment,
        "RELEASE": told["release"],
        "SOCKETS": str(COLOURS / colour),
    }
    files = [folder / "compose" / name for name in told["compose"]]
    _compose_files(variables["COMPOSE_PROJECT"], files, variables, *arguments)


def _compose_files(project: str, files: list[Path], variables: dict[str, str], *arguments: str) -> None:
    named = [word for path in files for word in ("--file", str(path))]
    own = ["--project-name", project, "--project-directory", str(HOME), "--env-file", os.devnull, "--ansi=never"]
    argv = ["docker", "compose", *own, "--progress=plain", *named, *arguments]
    _run(argv, DOCKER_TIMEOUT, variables)


def _ensure_image(image: str, registry: dict[str, str] | None) -> None:
    """Fetch an image by its digest unless it is here; who may fetch it is told for this once and not kept."""
    if _engine(f"/images/{quote(image, safe='/:@')}/json"):
        return
    root = str((_engine("/info") or {}).get("DockerRootDir", HOME))
    free = min(shutil.disk_usage(each).free for each in (HOME, root))
    if free < LEAST_FREE:
        raise StepFailed(f"only {free // 2**20} MiB are free there, too few for {image}")
    settings = HOME / ".registry"
    shutil.rmtree(settings, ignore_errors=True)
    try:
        if registry:
            _write(settings / "config.json", json.dumps({"auths": {registry["host"]: {"auth": registry["auth"]}}}))
        variables = {"DOCKER_CONFIG": str(settings)} if registry else {}
        _run(["docker", "pull", "--quiet", image], PULL_TIMEOUT, variables)
    finally:
        shutil.rmtree(settings, ignore_errors=True)


def _logs(project: str, lines: int) -> list[str]:
    found = _container(project, "proxy" if project.endswith("-proxy") else "api")
    if not found:
        return []
    done = subprocess.run(
        ["docker", "logs", "--tail", str(lines), found["id"]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DOCKER_TIMEOUT,
        check=False,
    )
    return done.stdout.decode(errors="replace").splitlines()


def _docker(*arguments: str, check: bool = True) -> str:
    return _run(["docker", *arguments], DOCKER_TIMEOUT, {}, check=check)


def _run(argv: list[str], timeout: float, variables: dict[str, str], *, check: bool = True) -> str:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    env = {**kept, "HOME": kept.get("HOME", "/root"), **variables}
    try:
        done = subprocess.run(
            argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        raise StepFailed(f"{' '.join(argv[:3])} was not done within {timeout:.0f} s") from None
    except OSError as error:
        raise StepFailed(f"{argv[0]}: {error.strerror}") from None
    if check and done.returncode:
        said = (done.stderr + done.stdout).decode(errors="replace").strip()
        raise StepFailed(f"{' '.join(argv[:3])} ended with exit code {done.returncode}: {said[-2000:]}")
    return done.stdout.decode(errors="replace")


# Files


def _write(path: Path, text: str) -> None:
    """Write a file so that a reader, and whoever comes after a crash, sees the old or the new text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def _token() -> int:
    try:
        return int((HOME / "token").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0


@contextmanager
def _locked(order: dict[str, Any]) -> Iterator[None]:
    """Work alone, and only for who has the newest token."""
    until = time.monotonic() + float(order.get("lock_wait", LOCK_WAIT))
    with (HOME / "lock").open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise StepFailed("another step is still at work on this host", BUSY) from None
                time.sleep(POLL)
        seen, given = _token(), int(order.get("token", -1))
        if given < seen:
            raise StepFailed(f"the order has token {given}, and this host has seen {seen}: the lock was lost", FENCED)
        if given > seen:
            _write(HOME / "token", str(given))
        yield


def _answer(value: dict[str, Any]) -> None:
    with suppress(BrokenPipeError):  # who asked is gone; what was done is done
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

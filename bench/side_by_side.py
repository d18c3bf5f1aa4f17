"""The steps of one deployment on one host, by our workflow and by other tools, in turn on the same host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from bench import alone, rehearsed, tools
from bench.table import Row, at_most
from soundbite import console, paths
from soundbite.errors import SoundbiteError
from tests.conftest import clean_environ
from tests.containers.conftest import docker

if TYPE_CHECKING:
    from bench.rehearsed import Given
    from bench.stand import Stand
    from tests.containers.rehearsals import Rehearsal

OURS, ANSIBLE, PIPELINING, PYINFRA, FABRIC = "ours", "ansible", "ansible-pipelining", "pyinfra", "fabric"
_LIMITS = {ANSIBLE: 0.6, PYINFRA: 1.1, FABRIC: 1.1}
_TITLES = {ANSIBLE: "`ansible-playbook`", PYINFRA: "pyinfra", FABRIC: "plain Fabric"}
_COLOURS = ("blue", "green")
_TIMEOUT = 120.0
_SCRIPTS = paths.ROOT / "bench" / "rollouts"
_USER, _PORT = "deploy", 22


def measure(place: Rehearsal, stand: Stand) -> list[Row]:
    """Take the steps with each tool in turn, round by round, and compare ours with each other's of the same round."""
    programs = tools.installed()
    count = stand.times(5, quick=2)
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as name:
        bout = Bout(place, Path(name), programs)
        try:
            bout.prepare()
            rounds = [bout.round(number) for number in range(2 * ((count + 2) // 2))][-count:]
        finally:
            bout.clear()
    medians = {tool: median(each[tool] for each in rounds) for tool in rounds[0]}
    steps = {step: median(each[step] for each in bout.steps[-count:]) for step in bout.steps[-1]}
    told = ", ".join(f"{step} {took:.1f}" for step, took in steps.items())
    console.say(f"  ours by step: {told}; all: {', '.join(f'{tool} {took:.1f} s' for tool, took in medians.items())}")
    rows = []
    for tool, limit in _LIMITS.items():
        how = f"{medians[OURS]:.1f} and {medians[tool]:.1f} s"
        if tool == ANSIBLE:
            how += f" ({medians[PIPELINING]:.1f} with pipelining)"
            how += (
                ", processes from start to end: upload, image present, compose up, healthy, switch, drain 1 s, stop "
                f"the old; ours also sees to the proxy, proves and prunes ({told} s)"
            )
        ratios = [each[OURS] / each[tool] for each in rounds]
        rows.append(at_most(f"Our host steps / {_TITLES[tool]}", limit, ratios, "x", f"{how}; {count} rounds"))
    return rows


@dataclass
class Bout:
    """One comparison: two versions, and each tool's own site on the host, where it alternates between them.

    Attributes
    ----------
    steps:
        Ours by step, by round.
    """

    place: Rehearsal
    folder: Path
    programs: Path
    steps: list[dict[str, float]] = field(default_factory=list)
    _versions: tuple[Given, ...] = ()

    @property
    def home(self) -> Path:
        """The tools' own home folder."""
        return self.folder / "home"

    def prepare(self) -> None:
        """Make what the other tools find on the host, as ours finds its agent."""
        self.home.mkdir()
        self._versions = rehearsed.last_two(self.place)
        for version in self._versions:
            self.place.host(1, "docker", "pull", "--quiet", version.told["image"])
        for tool in (ANSIBLE, PIPELINING, PYINFRA, FABRIC):
            folders = " ".join(f"{_site(tool)}/{colour} {_site(tool)}/colours/{colour}" for colour in _COLOURS)
            sockets = " ".join(f"{_site(tool)}/colours/{colour}" for colour in _COLOURS)
            self.place.host(1, "sh", "-c", f"mkdir -p {folders} && chmod 777 {sockets}")
            docker("cp", str(_SCRIPTS / "await.py"), f"{self.place.container(1)}:{_site(tool)}/await.py")
            for number in range(len(_COLOURS)):
                docker("cp", f"{self._written(tool, number, 0)}/.", self._there(tool, number))
            self.place.host(1, "chown", "-R", f"{_USER}:", _site(tool))
            self.place.host(1, "sh", "-c", f"chmod 777 {sockets}")

    def round(self, number: int) -> dict[str, float]:
        """Deploy with each tool once; return the seconds of each."""
        tools_ = [OURS, ANSIBLE, PIPELINING, PYINFRA, FABRIC]
        turned = tools_[number % len(tools_) :] + tools_[: number % len(tools_)]  # nobody always goes first
        return {tool: self._ours(number) if tool == OURS else self._theirs(tool, number) for tool in turned}

    def clear(self) -> None:
        """Stop what the other tools started, and end Ansible's connection."""
        self._disconnect()
        for tool in (ANSIBLE, PIPELINING, PYINFRA, FABRIC):
            for colour in _COLOURS:
                docker(
                    *("exec", self.place.container(1), "docker", "compose", "--project-name", _project(tool, colour)),
                    *("down", "--volumes"),
                    check=False,
                )
            docker("exec", self.place.container(1), "rm", "-rf", _site(tool), check=False)

    def _ours(self, number: int) -> float:
        version, before = self._versions[number % 2], self._versions[(number + 1) % 2]
        order = {
            **self._where(),
            "environment": self.place.environment,
            "token": int(self.place.host(1, "cat", f"{rehearsed.home(self.place)}/token")),
            "secrets": version.secrets,
            "plan": {
                "deployment": version.deployment,
                "before": {"deployment": before.deployment},
                "bundle": {"files": version.files, "told": version.told},
                "drain": rehearsed.DRAIN,
                "batch": 1,
            },
        }
        argv = [sys.executable, str(_SCRIPTS / "ours.py"), str(self.place.checkout.root), self._order(order)]
        took, said = _timed(argv, clean_environ(**self.place.inv.variables))
        self.steps.append(json.loads(said.splitlines()[-1]))
        return took

    def _theirs(self, tool: str, number: int) -> float:
        order = {
            **self._where(),
            "site": _site(tool),
            "folder": str(self._written(tool, number % 2, number + 1)),
            "image": self._versions[number % 2].told["image"],
            "colour": _COLOURS[number % 2],
            "old": _COLOURS[(number + 1) % 2],
            "drain": int(rehearsed.DRAIN),
        }
        path = self._order({**order, **_for_ansible(order)} if tool in {ANSIBLE, PIPELINING} else order)
        scripts = {name: str(_SCRIPTS / name) for name in os.listdir(_SCRIPTS)}  # noqa: PTH208 - names alone
        ansible = [str(self.programs / "ansible-playbook"), "--inventory", f"{order['address']},", "--extra-vars"]
        argv = {
            ANSIBLE: [*ansible, f"@{path}", scripts["playbook.yml"]],
            PIPELINING: [*ansible, f"@{path}", scripts["playbook.yml"]],
            PYINFRA: [
                *(str(self.programs / "pyinfra"), "-y", scripts["pyinfra_inventory.py"]),
                scripts["pyinfra_deploy.py"],
            ],
            FABRIC: [sys.executable, scripts["plain_fabric.py"], path],
        }[tool]
        more = {"ANSIBLE_PIPELINING": "True"} if tool == PIPELINING else {}
        own = {"HOME": str(self.home), "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "ORDER": path}
        took, _ = _timed(argv, clean_environ(**own, **more))
        self._disconnect()
        live = self.place.host(1, "readlink", f"{_site(tool)}/colours/live")
        running = self.place.host(1, "docker", "ps", "--format", '{{.Label "com.docker.compose.project"}}').split()
        there = [colour for colour in _COLOURS if _project(tool, colour) in running]
        assert live == order["colour"], f"{tool} left {live} live"
        assert there == [order["colour"]], f"{tool} left {there} running"
        return took

    def _where(self) -> dict[str, Any]:
        ssh = Path(self.place.variables["STATE_DIR"]) / "ssh"
        return {
            "address": self.place.hosts[0],
            "port": _PORT,
            "user": _USER,
            "key": str(ssh / "id_ed25519"),
            "known_hosts": str(ssh / "known_hosts"),
        }

    def _order(self, order: dict[str, Any]) -> str:
        path = self.folder / "order.json"
        path.write_text(json.dumps(order), encoding="utf-8")
        return str(path)

    def _written(self, tool: str, number: int, serial: int) -> Path:
        """Write a version as a folder to upload; each serial is a release of its own."""
        version, colour = self._versions[number], _COLOURS[number]
        there = f"{rehearsed.home(self.place)}/deployments/{version.deployment}/secrets/"
        release = version.told["release"]
        files = {
            name: text.replace(there, f"{_site(tool)}/{colour}/").replace(release, f"{release}-{serial}")
            for name, text in version.files.items()
        }
        folder = self.folder / f"{tool}-{colour}-{serial}"
        given = version._replace(files={**files, **version.secrets})
        alone.write(folder, given, _project(tool, colour), f"{_site(tool)}/colours/{colour}")
        return folder

    def _there(self, tool: str, number: int) -> str:
        return f"{self.place.container(1)}:{_site(tool)}/{_COLOURS[number]}"

    def _disconnect(self) -> None:
        """End the connection that Ansible's ssh keeps for a next run: here each run connects once, as the others do."""
        for path in (self.home / ".ansible" / "cp").glob("*"):
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    ["ssh", "-o", f"ControlPath={path}", "-O", "exit", "there"],
                    capture_output=True,
                    timeout=10,
                    check=False,
                )


def _site(tool: str) -> str:
    return f"/home/{_USER}/{tool}"


def _project(tool: str, colour: str) -> str:
    return f"{tool}-{colour}"


def _for_ansible(order: dict[str, Any]) -> dict[str, Any]:
    return {
        "ansible_user": order["user"],
        "ansible_port": order["port"],
        "ansible_ssh_private_key_file": order["key"],
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={order['known_hosts']} -o IdentitiesOnly=yes",
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def _timed(argv: list[str], environ: dict[str, str]) -> tuple[float, str]:
    """Run a command to its end; return its seconds and what it printed on stdout."""
    started = time.perf_counter()
    process = subprocess.Popen(
        argv,
        cwd="/",
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=_TIMEOUT)
    except subprocess.TimeoutExpired:
        raise SoundbiteError(f"{Path(argv[0]).name} was not done within {_TIMEOUT:.0f} s.") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
    took = time.perf_counter() - started
    if process.returncode:
        console.say(f"{out}{err}")
        raise SoundbiteError(f"{Path(argv[0]).name} {Path(argv[-1]).name} ended with exit code {process.returncode}.")
    return took, out

"""A host and its agent, which does the work there; and all hosts of an environment, at once.

What is said to the agent goes through stdin: no secret stands in a list of processes.
"""

from __future__ import annotations

import json
import shlex
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import console
from soundbite.errors import Locked, SoundbiteError
from soundbite.parallel import Asked

from . import archive, bundle
from .ssh import ConnectionLost, HostFailed, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    from soundbite.environment import Environment

    from .inventory import Host

_SLACK = 15.0
"""Seconds beyond a step's own deadline until its answer is no longer waited for."""
_STEP_TIMEOUT = 120.0
_WAITING = 0.8
"""How much of a step's deadline it may wait for another step on the host; what waited long enough has to do little."""
_BUSY, _FENCED, _TIMED_OUT = 4, 9, 124
_AT_ONCE = 8
_PAUSES = (0.5, 2.0)
"""Seconds before a step is asked for again whose connection was cut: each may be, and the host does one at a time."""

_NOTHING: dict[str, Any] = {
    "agent": "",
    "token": 0,
    "engine": "",
    "live": None,
    "serving": None,
    "idle": {},
    "deployments": [],
    "served": [],
    "proxy": "missing",
    "free": 0,
}
"""What a host tells that has nothing of ours."""

RESTART = "Start it: inv hosts.exec --command='sudo systemctl restart docker'."


class Remote:
    """One host, connected to at its first step."""

    def __init__(self, host: Host, environment: Environment) -> None:
        self.host = host
        self._environment = environment
        self._session = Session(host, environment)
        self._current = False
        self._folder = bundle.home(environment)

    def status(self) -> dict[str, Any]:
        """Return what serves there and what else it has, as its agent tells; installs the agent where it lacks."""
        answer = self._installed("status", {}, 30)
        if answer.get("agent") != archive.digest():
            self.install()
            answer = self.call("status", {}, timeout=30)
        self._current = True
        return answer

    def look(self) -> dict[str, Any]:
        """Return what serves there and what else it has, as its agent tells; installs nothing.

        A host without an agent has nothing of ours; an older agent tells of less.
        """
        answer = self._installed("status", {}, 30)
        self._current = answer.get("agent") == archive.digest()
        return {**_NOTHING, **(answer or self._without_agent())}

    def ensure_agent(self) -> None:
        """See that the host has this version's agent."""
        if not self._current:
            self.status()

    def call(self, verb: str, order: Mapping[str, Any], *, timeout: float = _STEP_TIMEOUT) -> dict[str, Any]:
        """Have the agent do a step.

        Parameters
        ----------
        timeout:
            Seconds until the host ends it.

        Raises
        ------
        HostFailed
            The host is out of reach, or the step failed; the message has its reason.
        Locked
            The host has seen a newer token: somebody else has the environment's lock.
        """
        # A step that lost its connection may still be at work there: it is waited for.
        patient = {"lock_wait": timeout * _WAITING, **order}
        code, out, err = self._insisted(lambda: self.step(verb, patient, timeout))
        try:
            answer = dict(json.loads(out.strip().splitlines()[-1]))
        except (ValueError, IndexError):
            answer = {}
        # Masked now: before, JSON hides a secret with a quote or an umlaut.
        said = console.redact(str(answer.get("error") or (err + out).strip()[-1500:] or "it said nothing"))
        if code == _FENCED:
            raise Locked(f"{self.host.name}: {said}", f"inv lock.status --env={self._environment.name}")
        if code == _TIMED_OUT:
            raise HostFailed(self.host, f"{verb} was not done within {timeout:.0f} s and was ended")
        if code == _BUSY:
            raise HostFailed(self.host, said, "Another inv is at work there; try again.")
        if code:
            raise HostFailed(self.host, said, _mend(said))
        return answer

    def step(self, verb: str, order: Mapping[str, Any], timeout: float) -> tuple[int, str, str]:
        """Have the agent do a step, which ends within so many seconds; return its exit code, stdout and stderr.

        An agent of this version stays for the next step: one that only looks takes 6 instead of 54 ms of CPU then.
        """
        # Without `site`, whose packages no step needs, Python starts sooner.
        agent = f"python3 -IS {self._folder}/{archive.NAME}"
        if self._current:
            asked = json.dumps({"verb": verb, "order": order, "timeout": timeout})
            return self._session.ask(f"sudo -n {agent} serve", asked, timeout + _SLACK)
        command = f"sudo -n timeout -k 5 {timeout:.0f} {agent} {verb}"
        return self.run(command, json.dumps(order), timeout=timeout + _SLACK)

    def install(self) -> None:
        """Put the agent there; whoever runs the old one is not disturbed."""
        put = f"umask 077; mkdir -p {self._folder} && base64 -d > {self._folder}/.agent.new && "
        put += f"mv {self._folder}/.agent.new {self._folder}/{archive.NAME}"
        code, out, err = self.run(f"sudo -n sh -c {shlex.quote(put)}", archive.text(), timeout=30)
        if code:
            said = (err + out).strip()
            raise HostFailed(self.host, f"the agent cannot be installed: {said}", _mend(said))

    def run(self, command: str, stdin: str = "", *, timeout: float) -> tuple[int, str, str]:
        """Run a command there; return its exit code, stdout and stderr.

        Raises
        ------
        HostFailed
            The host is out of reach, or did not end it in time.
        """
        return self._session.run(command, stdin, timeout)

    def _insisted(self, step: Callable[[], tuple[int, str, str]]) -> tuple[int, str, str]:
        """Do what may be done again, again where the connection was cut."""
        for pause in _PAUSES:
            try:
                return step()
            except ConnectionLost:
                if self._session.closed:
                    raise
                time.sleep(pause)
        return step()

    def close(self) -> None:
        """End the connection for good; what runs on the host goes on to its own end."""
        self._session.close()

    def _without_agent(self) -> dict[str, Any]:
        """Return what a host without an agent tells of its disk and its engine; that is empty where it does not run."""
        asked = "df -B1 --output=avail /var/lib | tail -n 1; sudo -n docker version --format '{{.Server.Version}}'"
        code, out, _ = self.run(asked, timeout=30)
        free, *engine = out.split()[:2] or ["0"]
        return {"free": int(free) if free.isdigit() else 0, "engine": "" if code else "".join(engine)}

    def _installed(self, verb: str, order: Mapping[str, Any], timeout: float) -> dict[str, Any]:
        try:
            return self.call(verb, order, timeout=timeout)
        except HostFailed as failed:
            if "No such file" not in failed.message and "there is no verb" not in failed.message:
                raise
            return {}


class Remotes:
    """The hosts of an environment, to be worked on at once; a `with` statement ends their connections."""

    def __init__(self, hosts: Iterable[Host], environment: Environment) -> None:
        self.all = [Remote(host, environment) for host in hosts]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def names(self) -> dict[str, str]:
        """What each host is called, by its id."""
        return {each.host.id: each.host.name for each in self.all}

    def close(self) -> None:
        """End every connection."""
        for remote in self.all:
            remote.close()

    def each(
        self, work: Callable[[Remote], dict[str, Any]], chosen: Iterable[Remote] | None = None
    ) -> tuple[dict[str, dict[str, Any]], list[SoundbiteError]]:
        """Do something on hosts at once.

        Returns
        -------
        tuple
            The answers by the host's id, and what failed; one host's failure keeps no other from its step.
        """
        answers: dict[str, dict[str, Any]] = {}
        failures: list[SoundbiteError] = []
        places = threading.Semaphore(_AT_ONCE)

        def one(remote: Remote) -> None:
            with places:
                try:
                    answers[remote.host.id] = work(remote)
                except SoundbiteError as error:
                    failures.append(error)

        try:
            # Threads that nobody waits for when this is interrupted: a step may take minutes.
            asked = [Asked(partial(one, each), each.host.name) for each in (self.all if chosen is None else chosen)]
            for each in asked:
                each.wait()
        except BaseException:
            self.close()
            raise
        for each in asked:
            each.result()
        return answers, failures


def require(failures: Sequence[SoundbiteError], kind: type[SoundbiteError] = SoundbiteError) -> None:
    """Refuse to go on where hosts failed: all of them in one error of a kind, or that the lock was lost."""
    for failure in failures:
        if isinstance(failure, Locked):
            raise failure
    if failures:
        raise kind("\n".join(each.message for each in failures), next((e.hint for e in failures if e.hint), ""))


def _mend(said: str) -> str:
    lower = said.lower()
    if "no space left" in lower or "mib are free" in lower:
        return "Free some space there: inv hosts.exec --command='docker system df'; inv hosts.exec --command='df -h'."
    if "cannot connect to the docker daemon" in lower or "docker.sock" in lower:
        return RESTART
    if "sudo:" in lower:
        return "HOSTS_USER must be allowed sudo without a password."
    return ""

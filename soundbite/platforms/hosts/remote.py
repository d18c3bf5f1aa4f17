"""A host over SSH: Fabric signs in (keys, known hosts, jump host, Session Manager), and the host's agent does the work.

What is said to the agent goes through stdin: no secret stands in a list of processes. What runs there has a deadline of
its own, because it outlives a connection that is cut.
"""

from __future__ import annotations

import json
import shlex
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundbite import console, paths, shell
from soundbite.errors import Locked, SoundbiteError
from soundbite.parallel import Asked

from . import archive, bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    from soundbite.environment import Environment

    from .inventory import Host

_CONNECT_TIMEOUT = 8
_KEEPALIVE = 5
_SLACK = 15.0
"""Seconds beyond a step's own deadline until its answer is no longer waited for."""
_STEP_TIMEOUT = 120.0
_WAITING = 0.8
"""How much of a step's deadline it may wait for another step on the host; what waited long enough has to do little."""
_BUSY, _FENCED, _TIMED_OUT = 4, 9, 124
_AT_ONCE = 8
_POLL = 0.01
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


class HostFailed(SoundbiteError):
    """A host is out of reach, or could not do its step."""

    def __init__(self, host: Host, message: str, hint: str = "") -> None:
        super().__init__(f"{host.name} ({host.address}): {message}", hint)
        self.host = host


class ConnectionLost(HostFailed):
    """A connection ended before the answer came; what was asked for goes on at the host, or was done."""


class Remote:
    """One host, connected to at its first step."""

    def __init__(self, host: Host, environment: Environment) -> None:
        self.host = host
        self._environment = environment
        self._connection: Any = None
        self._current = False
        self._closed = False
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
        command = f"sudo -n timeout -k 5 {timeout:.0f} python3 {self._folder}/{archive.NAME} {verb}"
        # A step that lost its connection may still be at work there: it is waited for.
        patient = {"lock_wait": timeout * _WAITING, **order}
        code, out, err = self._insisted(command, json.dumps(patient), timeout + _SLACK)
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
        import paramiko

        if self._closed:
            raise HostFailed(self.host, "its connection was ended")
        connection = self._open()
        late = threading.Event()

        def end() -> None:
            late.set()
            connection.close()

        # Not every wait of paramiko has a deadline; one that a silent host keeps waiting ends with its connection.
        watch = threading.Timer(timeout, end)
        watch.daemon = True
        watch.start()
        try:
            channel = connection.transport.open_session(timeout=_CONNECT_TIMEOUT)
            return _spoken(channel, command, stdin)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._drop()
            if late.is_set():
                raise HostFailed(self.host, f"no answer within {timeout:.0f} s") from None
            raise ConnectionLost(self.host, f"the connection was lost: {error or type(error).__name__}") from None
        finally:
            watch.cancel()

    def _insisted(self, command: str, stdin: str, timeout: float) -> tuple[int, str, str]:
        """Run a command that may be run again, again where the connection was cut."""
        for pause in _PAUSES:
            try:
                return self.run(command, stdin, timeout=timeout)
            except ConnectionLost:
                if self._closed:
                    raise
                time.sleep(pause)
        return self.run(command, stdin, timeout=timeout)

    def close(self) -> None:
        """End the connection for good; what runs on the host goes on to its own end."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

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

    def _open(self) -> Any:
        if self._connection is not None and self._connection.is_connected:
            return self._connection
        import paramiko

        host, settings = self.host, self._environment.hosts
        try:
            connection = _connection(host, self._environment)
            connection.open()
            connection.transport.set_keepalive(_KEEPALIVE)
        except paramiko.hostkeys.InvalidHostKey as error:
            raise HostFailed(
                host, f"{_known_hosts(self._environment)} has a line that is no key: {error.line!r}.", "Mend that line."
            ) from None
        except paramiko.BadHostKeyException as error:
            raise HostFailed(
                host,
                f"its host key is not the one known ({error.key.get_name()} {error.key.fingerprint}): another machine, "
                "or somebody in between. Nothing was sent to it.",
                f"If it was really made anew, correct {_known_hosts(self._environment)}.",
            ) from None
        except paramiko.AuthenticationException as error:
            raise HostFailed(
                host, f"it refuses {settings.user}: {error}", "HOSTS_USER and HOSTS_KEY say who signs in, or ssh-add."
            ) from None
        except paramiko.SSHException as error:
            unknown = "not found in known_hosts" in str(error)
            hint = f"Check its key (inv hosts.ping shows it) and add it to {_known_hosts(self._environment)}."
            # paramiko's words for a sign-in that it gave up before sshd said anything.
            silent = str(error) == "No existing session" or "protocol banner" in str(error)
            said = (
                f"it takes connections, but its sshd says nothing within {_CONNECT_TIMEOUT} s" if silent else str(error)
            )
            raise HostFailed(host, said, hint if unknown else "") from None
        except (OSError, EOFError) as error:
            raise HostFailed(
                host, f"no SSH connection to port {host.port}: {error or type(error).__name__}", "Is it running?"
            ) from None
        self._connection = connection
        return connection


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
            while not all(each.done for each in asked):
                time.sleep(_POLL)
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


def _connection(host: Host, environment: Environment) -> Any:
    import fabric
    import paramiko

    settings = environment.hosts
    connect: dict[str, Any] = {"banner_timeout": _CONNECT_TIMEOUT, "auth_timeout": _CONNECT_TIMEOUT}
    if settings.key:
        connect |= {"key_filename": str(paths.ROOT / settings.key), "look_for_keys": False, "allow_agent": False}
    gateway: Any = None
    if settings.gateway == "ssm":
        shell.find("aws")
        document = "--document-name AWS-StartSSHSession --parameters portNumber=%p"
        profile = f" --profile {shlex.quote(environment.aws.profile)}" if environment.aws.profile else ""
        gateway = f"aws ssm start-session --target %h {document} --region {environment.aws.region}{profile}"
        gateway = gateway.replace("%h", host.address).replace("%p", str(host.port))
    elif settings.gateway:
        gateway = fabric.Connection(settings.gateway, connect_timeout=_CONNECT_TIMEOUT, connect_kwargs=dict(connect))
        _require_known(gateway, environment)
    with _quiet():
        connection = fabric.Connection(
            host.address,
            user=settings.user,
            port=host.port,
            gateway=gateway,
            connect_timeout=_CONNECT_TIMEOUT,
            connect_kwargs=connect,
            config=fabric.Config(overrides={"load_ssh_configs": False}),
        )
    _require_known(connection, environment)
    assert isinstance(connection.client, paramiko.SSHClient)
    return connection


def _require_known(connection: Any, environment: Environment) -> None:
    """Have a connection refuse hosts whose key is not known; by itself it takes any."""
    import paramiko

    known = _known_hosts(environment)
    if known.exists():
        connection.client.load_host_keys(str(known))
    connection.client.set_missing_host_key_policy(paramiko.RejectPolicy())


def _known_hosts(environment: Environment) -> Path:
    own = environment.hosts.known_hosts
    return paths.ROOT / own if own else Path.home() / ".ssh" / "known_hosts"


class _quiet:  # noqa: N801 - a block, like contextlib's own
    """Keep paramiko's own lines, which tell of refused keys, out of ours."""

    def __enter__(self) -> None:
        import logging

        logging.getLogger("paramiko").setLevel(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        return None


def _spoken(channel: Any, command: str, stdin: str) -> tuple[int, str, str]:
    channel.exec_command(command)
    feeding = threading.Thread(target=_feed, args=(channel, stdin.encode()), daemon=True)
    feeding.start()
    parts: dict[str, list[bytes]] = {"out": [], "err": []}
    while True:
        idle = True
        if channel.recv_ready():
            parts["out"].append(channel.recv(65536))
            idle = False
        if channel.recv_stderr_ready():
            parts["err"].append(channel.recv_stderr(65536))
            idle = False
        if idle and channel.exit_status_ready() and not channel.recv_ready() and not channel.recv_stderr_ready():
            break
        if idle:
            channel.status_event.wait(0.005)
    code = channel.recv_exit_status()
    channel.close()
    out, err = (b"".join(parts[name]).decode(errors="replace") for name in ("out", "err"))
    if code < 0:
        raise EOFError("it was cut")
    return code, out, err


def _feed(channel: Any, data: bytes) -> None:
    try:
        channel.sendall(data)
        channel.shutdown_write()
    except (OSError, EOFError):
        pass  # it ended without reading, or was cut; whoever reads the answer says why


def _mend(said: str) -> str:
    lower = said.lower()
    if "no space left" in lower or "mib are free" in lower:
        return "Free some space there: inv hosts.exec --command='docker system df'; inv hosts.exec --command='df -h'."
    if "cannot connect to the docker daemon" in lower or "docker.sock" in lower:
        return RESTART
    if "sudo:" in lower:
        return "HOSTS_USER must be allowed sudo without a password."
    return ""

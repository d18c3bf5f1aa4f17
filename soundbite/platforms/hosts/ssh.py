"""SSH to one host: Fabric signs in (keys, known hosts, jump host, Session Manager), commands get stdin and a deadline.

What runs on a host has a deadline of its own, because it outlives a connection that is cut.
"""

from __future__ import annotations

import json
import logging
import shlex
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from soundbite import paths, shell
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.environment import Environment

    from .inventory import Host

T = TypeVar("T")

_CONNECT_TIMEOUT = 8
_KEEPALIVE = 5
_POLL = 0.005
_CUT = "transport shut down or saw EOF"
"""paramiko's words for a sign-in that the other side broke off, which is no refusal (its auth_handler)."""


class HostFailed(SoundbiteError):
    """A host is out of reach, or could not do its step."""

    def __init__(self, host: Host, message: str, hint: str = "") -> None:
        super().__init__(f"{host.name} ({host.address}): {message}", hint)
        self.host = host


class ConnectionLost(HostFailed):
    """A connection ended before the answer came; what was asked for goes on at the host, or was done."""


class Session:
    """One host, connected to at the first command, and anew at the next where the connection was lost."""

    def __init__(self, host: Host, environment: Environment) -> None:
        self._host = host
        self._environment = environment
        self._connection: Any = None
        self._server: Any = None
        self._asking = threading.Lock()
        self.closed = False
        """Whether it was ended for good."""

    def run(self, command: str, stdin: str, timeout: float) -> tuple[int, str, str]:
        """Run a command there; return its exit code, stdout and stderr.

        Raises
        ------
        ConnectionLost
            The connection was cut meanwhile.
        HostFailed
            The host is out of reach, or did not answer within `timeout` seconds.
        """
        return self._within(timeout, lambda connection: _spoken(_channel(connection), command, stdin))

    def ask(self, server: str, order: str, timeout: float) -> tuple[int, str, str]:
        """Have a server there do what one line says; it is started where none of this connection runs.

        It answers with one line, too: JSON with `code`, `out` and `err`.

        Parameters
        ----------
        server:
            The command that starts it.

        Returns
        -------
        tuple
            Exit code, stdout and stderr; those of the server itself where it cannot start.

        Raises
        ------
        ConnectionLost
            The connection was cut meanwhile, or the server ended.
        HostFailed
            As of `run`.
        """

        def asked(connection: Any) -> tuple[int, str, str]:
            anew = self._server is None
            if anew:
                self._server = _channel(connection)
                self._server.exec_command(server)
            return _answered(self._server, order, anew=anew)

        with self._asking:  # answers come in the order of their questions, and say no more than that
            return self._within(timeout, asked)

    def _within(self, timeout: float, work: Callable[[Any], T]) -> T:
        """Do something with the connection; it ends with its deadline."""
        import paramiko

        connection = self._open()
        if self.closed:
            self._drop()
            raise ConnectionLost(self._host, "its connection was ended")
        late = threading.Event()

        def end() -> None:
            late.set()
            connection.close()

        # Not every wait of paramiko has a deadline; one that a silent host keeps waiting ends with its connection.
        watch = threading.Timer(timeout, end)
        watch.daemon = True
        watch.start()
        try:
            return work(connection)
        except (OSError, EOFError, paramiko.SSHException) as error:
            self._drop()
            if late.is_set():
                raise HostFailed(self._host, f"no answer within {timeout:.0f} s") from None
            raise ConnectionLost(self._host, f"the connection was lost: {error or type(error).__name__}") from None
        finally:
            watch.cancel()

    def close(self) -> None:
        """End it for good; what runs on the host goes on to its own end."""
        self.closed = True
        self._drop()

    def _drop(self) -> None:
        connection, self._connection, self._server = self._connection, None, None
        if connection is not None:
            _end(connection)

    def _open(self) -> Any:
        if self._connection is not None and self._connection.is_connected:
            return self._connection
        import paramiko

        self._server = None

        host, known = self._host, _known_hosts(self._environment)
        try:
            connection = _connection(host, self._environment)
            connection.open()
            connection.transport.set_keepalive(_KEEPALIVE)
        except paramiko.hostkeys.InvalidHostKey as error:
            raise HostFailed(host, f"{known} has a line that is no key: {error.line!r}.", "Mend that line.") from None
        except paramiko.BadHostKeyException as error:
            raise HostFailed(
                host,
                f"its host key is not the one known ({error.key.get_name()} {error.key.fingerprint}): another machine, "
                "or somebody in between. Nothing was sent to it.",
                f"If it was really made anew, correct {known}.",
            ) from None
        except paramiko.AuthenticationException as error:
            if _CUT in str(error):
                raise ConnectionLost(
                    host,
                    f"the connection was lost: it was cut while {self._environment.hosts.user} signed in",
                    "sshd also cuts who offers too many keys: HOSTS_KEY names the one to offer.",
                ) from None
            raise HostFailed(
                host,
                f"it refuses {self._environment.hosts.user}: {error}",
                "HOSTS_USER and HOSTS_KEY say who signs in, or ssh-add.",
            ) from None
        except paramiko.SSHException as error:
            unknown = "not found in known_hosts" in str(error)
            hint = f"Check its key (inv hosts.ping shows it) and add it to {known}."
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


def _connection(host: Host, environment: Environment) -> Any:
    import fabric

    # It tells of refused keys in lines of its own; we do in ours.
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    settings = environment.hosts
    connect: dict[str, Any] = {"banner_timeout": _CONNECT_TIMEOUT, "auth_timeout": _CONNECT_TIMEOUT}
    if settings.key:
        connect |= {"pkey": _key(host, paths.ROOT / settings.key), "look_for_keys": False, "allow_agent": False}
    common: dict[str, Any] = {
        "connect_timeout": _CONNECT_TIMEOUT,
        "config": fabric.Config(overrides={"load_ssh_configs": False}),
    }
    gateway: Any = None
    if settings.gateway == "ssm":
        gateway = _session_manager(host, environment)
    elif settings.gateway:
        gateway = fabric.Connection(settings.gateway, connect_kwargs=dict(connect), **common)
        _require_known(gateway, environment)
    connection = fabric.Connection(
        host.address, user=settings.user, port=host.port, gateway=gateway, connect_kwargs=connect, **common
    )
    _require_known(connection, environment)
    return connection


def _key(host: Host, path: Path) -> Any:
    """Return a private key. From its name alone paramiko would try it as each kind, and tell what the last try said.

    Raises
    ------
    HostFailed
        It cannot be read, is none, or has a passphrase.
    """
    import paramiko
    from cryptography.exceptions import UnsupportedAlgorithm

    hint = "HOSTS_KEY names a private key; without it those of the SSH agent are offered."
    try:
        return paramiko.PKey.from_path(path)
    except OSError as error:
        raise HostFailed(host, f"the key {path} cannot be read: {error.strerror}", hint) from None
    except TypeError:  # of cryptography: no passphrase was given, and one is needed
        raise HostFailed(
            host, f"the key {path} has a passphrase", f"ssh-add {path}, and leave HOSTS_KEY empty."
        ) from None
    except (ValueError, UnsupportedAlgorithm, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        raise HostFailed(host, f"{path} is no private key that can be used", hint) from None


def _session_manager(host: Host, environment: Environment) -> str:
    shell.find("aws")
    words = ["aws", "ssm", "start-session", "--target", host.address, "--document-name", "AWS-StartSSHSession"]
    words += ["--parameters", f"portNumber={host.port}", "--region", environment.aws.region]
    words += ["--profile", environment.aws.profile] if environment.aws.profile else []
    return shlex.join(words)


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


def _end(connection: Any) -> None:
    """End a connection and the way to it: Fabric leaves a jump host's open, and paramiko a command's process."""
    transport = connection.transport
    connection.close()
    if hasattr(connection.gateway, "close"):
        connection.gateway.close()
    process = getattr(getattr(transport, "sock", None), "process", None)
    if process is not None:
        transport.join(_CONNECT_TIMEOUT)  # it ends the process, too, and must find it
        process.kill()
        process.communicate()


def _channel(connection: Any) -> Any:
    return connection.transport.open_session(timeout=_CONNECT_TIMEOUT)


def _answered(channel: Any, order: str, *, anew: bool) -> tuple[int, str, str]:
    with suppress(OSError):  # it ended without reading, or was cut: that is read below
        channel.sendall(f"{order}\n".encode())
    said = b""
    while part := channel.recv(65536):
        said += part
        told = _told(said)
        if told:
            return told["code"], told["out"], told["err"]
    code = channel.recv_exit_status()
    err: bytes = channel.makefile_stderr("rb").read()
    channel.close()
    if code <= 0 or not anew:
        raise EOFError("what answers there ended")
    return code, said.decode(errors="replace"), err.decode(errors="replace")


def _told(said: bytes) -> dict[str, Any]:
    """Return a server's answer; empty: the last line is none yet. Before it a shell may say what its settings print."""
    if not said.endswith(b"\n"):
        return {}
    try:
        told = json.loads(said.splitlines()[-1])
    except ValueError:
        return {}
    return told if isinstance(told, dict) and "code" in told else {}


def _spoken(channel: Any, command: str, stdin: str) -> tuple[int, str, str]:
    channel.exec_command(command)
    threading.Thread(target=_feed, args=(channel, stdin.encode()), daemon=True).start()
    out: list[bytes] = []
    err: list[bytes] = []
    while True:
        # sshd may tell how a command ended before the last that it said: the end of that is told, too.
        ended = channel.closed or (channel.eof_received and channel.exit_status_ready())
        idle = True
        if channel.recv_ready():
            out.append(channel.recv(65536))
            idle = False
        if channel.recv_stderr_ready():
            err.append(channel.recv_stderr(65536))
            idle = False
        if idle and ended:
            break
        if idle:
            channel.status_event.wait(_POLL)
    code = channel.recv_exit_status()
    channel.close()
    if code < 0:
        raise EOFError("it was cut")
    return code, b"".join(out).decode(errors="replace"), b"".join(err).decode(errors="replace")


def _feed(channel: Any, data: bytes) -> None:
    try:
        channel.sendall(data)
        channel.shutdown_write()
    except (OSError, EOFError):
        pass  # it ended without reading, or was cut; whoever reads the answer says why

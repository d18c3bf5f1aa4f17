"""Registries to test with: Debian's docker-registry, and things that stand in front of one or in its place."""

from __future__ import annotations

import base64
import ctypes
import json
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

import httpx
import yaml

from soundbite import web
from tests.containers.conftest import installed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

_DEADLINE = 20.0
"""Seconds until a registry must answer."""


class RegistryServer:
    """A docker-registry of a test's own, on this machine's loopback only; a `with` statement starts and stops it.

    Parameters
    ----------
    folder:
        Where its settings, its log and (below `storage`) its images are.
    users:
        Passwords by user name; none: everybody may do everything.
    tokens:
        Who issues the tokens that it asks for, instead of users.
    storage:
        Another folder for its images, such as that of another registry.
    readonly:
        Whether it is under maintenance and takes nothing.
    deletes:
        Whether it deletes.
    port:
        0: one that is free, chosen by the system when it starts.
    """

    def __init__(
        self,
        folder: Path,
        *,
        users: dict[str, str] | None = None,
        tokens: TokenIssuer | None = None,
        storage: Path | None = None,
        readonly: bool = False,
        deletes: bool = True,
        port: int = 0,
    ) -> None:
        self.folder = folder
        self.storage = storage or folder / "storage"
        self.port = port
        self.users = users or {}
        self.log = folder / "registry.log"
        self._tokens = tokens
        self._readonly, self._deletes = readonly, deletes
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        """Its host as it stands in names of images."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its root."""
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = installed("docker-registry")
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = self.folder / "config.yml"
        settings.write_text(yaml.safe_dump(self._settings()), encoding="utf-8")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [program, "serve", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its settings can also be variables (REGISTRY_…): it gets none of ours.
                env={"PATH": "/usr/bin:/bin"},
                cwd=self.folder,
                start_new_session=True,
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; it is gone afterwards, whatever it was doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def blob(self, digest: str) -> Path:
        """Return the file of a blob or a manifest."""
        number = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / number[:2] / number / "data"

    def _settings(self) -> dict[str, object]:
        settings: dict[str, object] = {
            "version": 0.1,
            "log": {"level": "info", "formatter": "text", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.storage)},
                "delete": {"enabled": self._deletes},
                "maintenance": {"uploadpurging": {"enabled": False}, "readonly": {"enabled": self._readonly}},
            },
            # No `debug` here: that would be a second listener.
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": secrets.token_hex(16)},
            "validation": {"manifests": {"urls": {"allow": ["^https://example[.]com/"]}}},
        }
        if self.users:
            path = self.folder / "htpasswd"
            path.write_text("".join(f"{user}:{_bcrypt(word)}\n" for user, word in self.users.items()), encoding="utf-8")
            settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(path)}}
        if self._tokens is not None:
            settings["auth"] = {"token": self._tokens.settings()}
        return settings

    def _wait(self) -> None:
        until = time.monotonic() + _DEADLINE
        process = self._process
        assert process is not None
        while process.poll() is None and time.monotonic() < until:
            log = self.log.read_text(encoding="utf-8", errors="replace")
            found = re.search(r"listening on 127\.0\.0\.1:(\d+)", log)
            if found:
                self.port = int(found[1])
                with suppress(httpx.HTTPError):
                    if web.get(f"{self.url}/v2/", 5).status_code in {200, 401}:
                        return
            time.sleep(0.02)
        log = self.log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise AssertionError(f"docker-registry does not answer (exit code {process.poll()}):\n{log}")


class Asked(NamedTuple):
    """A request as a server of a test gets it."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]


class Told(NamedTuple):
    """What it answers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


class Scripted:
    """An http server that answers what a function of the test says; `asked` is what it was asked.

    Parameters
    ----------
    certificate:
        A file with a certificate and its key: with it the server speaks TLS.
    """

    def __init__(self, answer: Callable[[Asked], Told], certificate: Path | None = None) -> None:
        self.asked: list[Asked] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                url = urlsplit(self.path)
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.rfile.read(int(headers.get("content-length", 0)))
                asked = Asked(self.command, url.path, parse_qs(url.query), headers)
                outer.asked.append(asked)
                told = answer(asked)
                self.send_response(told.status)
                for name, value in ({"Content-Length": str(len(told.body))} | told.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(told.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a client that goes is no error
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # The handshake is made in the thread of its connection, not where all are accepted.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = int(self._server.server_address[1])
        self.host = f"127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class TokenIssuer(Scripted):
    """Issues tokens for a docker-registry, signed with a key that openssl made.

    Parameters
    ----------
    folder:
        Where the key and its certificate are.
    users:
        Passwords by user name; others get a token that allows nothing.
    only:
        The repositories that a user may use, by user name; one who is not named may use all.
    """

    def __init__(self, folder: Path, users: dict[str, str], only: dict[str, set[str]] | None = None) -> None:
        super().__init__(self._issue)
        folder.mkdir(parents=True, exist_ok=True)
        self._certificate = made_certificate(folder)
        self._users, self._only = users, only or {}

    def settings(self) -> dict[str, str]:
        """Return the registry's settings for it."""
        return {
            "realm": f"http://{self.host}/token",
            "service": "registry",
            "issuer": "tests",
            "rootcertbundle": str(self._certificate),
        }

    def _issue(self, asked: Asked) -> Told:
        given = base64.b64decode(asked.headers.get("authorization", "Basic ").removeprefix("Basic ")).decode()
        user, _, password = given.partition(":")
        if user and self._users.get(user) != password:
            return Told(401, b'{"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}')
        access = []
        for scope in asked.query.get("scope", []) if user else []:
            kind, name, actions = scope.split(":")
            if name in self._only.get(user, {name}):
                access.append({"type": kind, "name": name, "actions": actions.split(",")})
        now = int(time.time())
        certificate = ssl.PEM_cert_to_DER_cert(self._certificate.read_text().partition("-----BEGIN PRIVATE")[0])
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
        claims = {"iss": "tests", "sub": user, "aud": "registry", "exp": now + 300, "nbf": now - 60, "iat": now}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (head, {**claims, "access": access}))
        signature = _openssl("dgst", "-sha256", "-sign", str(self._certificate), stdin=signed.encode())
        return Told(200, json.dumps({"token": f"{signed}.{_base64(signature)}"}).encode())


class Stalling:
    """A TCP proxy that passes on so many bytes to its target, and then no more; `stalled` is set from then on."""

    def __init__(self, port: int, limit: int) -> None:
        self.stalled = threading.Event()
        self._target, self._left = port, limit
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def flow(self) -> None:
        """Break off the connections there are, and pass on everything from now on."""
        self._left = sys.maxsize
        for each in self._sockets[1:]:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while not self._over.is_set():
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    self._left -= len(data)
                    if self._left < 0:
                        self.stalled.set()
                        self._over.wait()
                        return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def made_certificate(folder: Path) -> Path:
    """Make a certificate of 127.0.0.1 that vouches for itself; return the file with it and its key."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=tests"),
        *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
    )
    certificate.write_text(certificate.read_text() + key.read_text())
    return certificate


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _openssl(*arguments: str, stdin: bytes = b"") -> bytes:
    done = subprocess.run([installed("openssl"), *arguments], input=stdin, capture_output=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def _bcrypt(password: str) -> str:
    """Hash a password as docker-registry wants it: with the C library's crypt, since Python has none any more."""
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed = crypt(password.encode(), b"$2y$05$" + secrets.token_hex(10).encode() + b"u.")
    assert isinstance(hashed, bytes)
    assert hashed.startswith(b"$2y$05$"), "this machine's crypt knows no bcrypt"
    return hashed.decode()

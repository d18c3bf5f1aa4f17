"""Questions over HTTP, as checks ask them: an answer, or in one plain line why there is none.

Nothing of the machine's own proxies or sign-ins is used, no redirect is followed, and nothing waits longer than 5 s.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from soundbite import waiting
from soundbite.errors import Inconclusive
from soundbite.parallel import Asked, Late

from . import tls
from .model import Failed, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

T = TypeVar("T")

CONNECT, READ = 3.0, 5.0
"""Seconds that a connection may take, and a whole answer."""

_LARGEST = 16 * 1024 * 1024
_SHOWN = 200
_PORTS = {"http": 80, "https": 443}


class Place(NamedTuple):
    """Where an address leads."""

    host: str
    port: int

    @property
    def to(self) -> str:
        """What is connected to: `*.localhost` is this machine (RFC 6761), whatever the resolver knows of it."""
        return "127.0.0.1" if self.host.endswith(".localhost") else self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Answer(NamedTuple):
    """A whole answer.

    Attributes
    ----------
    headers:
        By name in lower case; what came more than once is joined by commas.
    seconds:
        From the request to the last byte.
    """

    what: str
    status: int
    headers: Mapping[str, str]
    content: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Its body."""
        return self.content.decode("utf-8", "replace")

    @property
    def short(self) -> str:
        """Its body's beginning, in a line."""
        return short(self.text)

    def json(self) -> Any:
        """Return what its body says.

        Raises
        ------
        Failed
            It is not JSON.
        """
        try:
            return json.loads(self.content)
        except ValueError:
            raise Failed(f"{self.what} answered {self.status} without JSON: {self.short or 'nothing'}") from None

    def expect(self, status: int) -> Answer:
        """Return itself, if it has this status.

        Raises
        ------
        Failed
            It has another; of a redirect the message says where to.
        """
        if self.status != status:
            to = self.headers.get("location")
            redirected = 300 <= self.status < 400 and to  # noqa: PLR2004 - what HTTP calls redirects
            found = f"redirects ({self.status}) to {short(to or '')}" if redirected else f"answered {self.status}"
            body = f": {self.short}" if self.content and not redirected else ""
            raise Failed(f"{self.what} {found}, not {status}{body}")
        return self


def place(url: str) -> Place:
    """Return where an address leads."""
    parts = urlsplit(url)
    return Place(parts.hostname or "", parts.port or _PORTS[parts.scheme])


def resolved(scene: Scene) -> list[str]:
    """Return the addresses of the application's host, found once for all checks.

    Raises
    ------
    Failed
        It has none.
    """
    return scene.once("calling.addresses", lambda: _resolve(place(scene.url)))


def connected(scene: Scene) -> float:
    """Return the seconds of a TCP connection to the application, tried once for all checks.

    Raises
    ------
    Failed
        There is none.
    """
    resolved(scene)
    return scene.once("calling.connection", lambda: _connect(place(scene.url)))


def require_reachable(scene: Scene) -> None:
    """End a check that has nobody to ask: what it is about cannot be measured.

    Raises
    ------
    Inconclusive
        The application cannot be reached, which another check says.
    """
    for check, find in (("api.resolves", resolved), ("api.reachable", connected)):
        try:
            find(scene)
        except Failed:
            raise Inconclusive(f"{check} failed") from None


def call(scene: Scene, method: str, path: str, **arguments: Any) -> Answer:
    """Ask the application.

    Parameters
    ----------
    path:
        A path, or a whole address of somebody else.
    arguments:
        As for `httpx.request`: `json`, `headers`, `content`, `params`.

    Raises
    ------
    Failed
        There is no whole answer.
    Inconclusive
        The application cannot be reached, which another check says.
    """
    if scene.over.is_set():
        raise Inconclusive("the time for checks is over")
    elsewhere = "://" in path
    if not elsewhere:
        require_reachable(scene)
    url = path if elsewhere else scene.url.rstrip("/") + path
    what = f"{method} {urlsplit(url).path if elsewhere else path}"
    with waiting.on(what):
        return within(
            READ + 0.5,
            lambda: _request(scene, what, method, url, arguments),
            f"{what} got no whole answer within {READ:.0f} s",
        )


def within(seconds: float, work: Callable[[], T], late: str) -> T:
    """Return what some work gives, if it gives it in time: a resolver or a header that drips knows no timeout.

    Raises
    ------
    Failed
        It takes longer; `late` says what.
    """
    try:
        return Asked(work, late).result(time.monotonic() + seconds)
    except Late:
        raise Failed(late) from None


def client(scene: Scene, url: str = "") -> httpx.Client:
    """Return a client of httpx for the application or another address: with its timeouts and the machine's trust."""
    import httpx

    url = url or scene.url
    parts, to = urlsplit(url), place(url)

    def name(request: httpx.Request) -> None:
        """Tell the server which name was meant, where another address is connected to."""
        request.headers["Host"] = parts.netloc
        request.extensions = {**request.extensions, "sni_hostname": to.host}

    return httpx.Client(
        base_url=_directly(url),
        event_hooks={"request": [name] if to.to != to.host else []},
        verify=scene.once("calling.trust", tls.context) if parts.scheme == "https" else False,
        timeout=httpx.Timeout(READ, connect=CONNECT),
        trust_env=False,
    )


def short(text: str) -> str:
    """Return the beginning of a text, in one line that a terminal can show."""
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"


def explain(error: Exception) -> str:
    """Return in plain words why httpx got no answer."""
    import httpx

    trouble = tls.cause(error)
    text = short(str(error)) or type(error).__name__
    if trouble is not None:
        text = f"got no answer: {tls.explain(trouble)}"
    elif isinstance(error, httpx.ConnectTimeout):
        text = f"got no connection within {CONNECT:.0f} s"
    elif isinstance(error, httpx.TimeoutException):
        text = f"got no answer within {READ:.0f} s"
    elif not isinstance(error, httpx.RemoteProtocolError):
        text = (
            f"got an answer that cannot be read: {text}"
            if isinstance(error, httpx.DecodingError)
            else f"got no answer: {text}"
        )
    elif "complete message body" in text or "incomplete chunked" in text:
        text = f"got half an answer: {text}"
    elif "disconnected" in text:
        text = "got no answer: the connection was closed without one"
    else:
        text = f"got something that is not HTTP: {text}"
    return text


def _request(scene: Scene, what: str, method: str, url: str, arguments: dict[str, Any]) -> Answer:
    import httpx

    began = time.monotonic()
    try:
        with client(scene, url) as asking, asking.stream(method, _directly(url), **arguments) as response:
            content = bytearray()
            for part in response.iter_bytes():
                content += part
                if len(content) > _LARGEST:
                    raise Failed(f"{what} got an answer of more than {_LARGEST // 1024 // 1024} MB")
                if time.monotonic() - began > READ:
                    raise Failed(f"{what} got no whole answer within {READ:.0f} s")
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(what, response.status_code, found, bytes(content), time.monotonic() - began)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Failed(f"{what} {explain(error)}") from None


def _directly(url: str) -> str:
    """Return the address with the host that is connected to."""
    parts, to = urlsplit(url), place(url)
    return url if to.to == to.host else parts._replace(netloc=f"{to.to}:{to.port}").geturl()


def _resolve(to: Place) -> list[str]:
    import socket

    def find() -> list[str]:
        try:
            found = socket.getaddrinfo(to.to, to.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise Failed(f"{to.host} does not resolve: {why}") from None
        return list(dict.fromkeys(str(address[0]) for *_, address in found))

    return within(READ, find, f"{to.host}: no answer of the name server within {READ:.0f} s")


def _connect(to: Place) -> float:
    import socket

    began = time.monotonic()
    try:
        socket.create_connection((to.to, to.port), timeout=CONNECT).close()
    except TimeoutError:
        raise Failed(f"{to} does not answer: no connection within {CONNECT:.0f} s") from None
    except ConnectionRefusedError:
        raise Failed(f"{to} refuses connections: nothing listens there") from None
    except OSError as error:
        raise Failed(f"{to} cannot be reached: {error.strerror or error}") from None
    return time.monotonic() - began

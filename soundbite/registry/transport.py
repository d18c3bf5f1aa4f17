"""Calls of a registry: who we are, how long it may take, what is tried again, and what an answer may be."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from soundbite import console, web
from soundbite.errors import ConfigurationError, SoundbiteError

from .access import Credentials, challenges
from .failures import Transient, denial, refusal, unreachable
from .names import is_host, is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import httpx

    from .access import Challenge

T = TypeVar("T")

CONNECT_TIMEOUT, READ_TIMEOUT = 3.0, 30.0
"""Seconds until a connection stands, and between two signs of life on it."""
_WAITS = (0.2, 0.8)
"""Seconds before the second and the third try."""
LARGEST = 4 * 2**20
"""Bytes of a document (OCI distribution spec, "Pushing Manifests": the size that registries must take)."""
_UNAUTHORIZED = 401


class Call(NamedTuple):
    """One request.

    Parameters
    ----------
    method, url:
        The url may be relative to the registry's root.
    doing:
        What it does, for messages, for example `read the tags of soundbite`.
    scopes:
        What a token for it must allow (distribution, "Token scope documentation").
    content:
        The body; what is not bytes is sent as it comes, once.
    accepted:
        The statuses that are answers; all others are failures.
    """

    method: str
    url: str
    doing: str
    scopes: tuple[str, ...] = ()
    headers: Mapping[str, str] = MappingProxyType({})
    content: bytes | Iterable[bytes] | None = None
    accepted: frozenset[int] = frozenset({200})


class Answer(NamedTuple):
    """An accepted answer, read; `following`, `location`: the addresses that it names, empty if it names none."""

    status: int
    headers: httpx.Headers
    body: bytes
    following: str
    location: str


def repeated(work: Callable[[], T]) -> T:
    """Do something that may be done twice; after a transient failure again, three times in all."""
    for wait in _WAITS:
        try:
            return work()
        except Transient as failure:
            time.sleep(failure.wait or wait)
    return work()


class Transport:
    """The connections to one registry. Safe to use from threads.

    Parameters
    ----------
    host:
        The registry, with its port if it has one. On this machine it speaks plain http, elsewhere TLS.
    credentials:
        Whom it shall take us for; sent when it asks, and to nobody else.

    Raises
    ------
    ConfigurationError
        The host is not one, or this process's variables name authorities or a proxy that cannot be used.
    """

    def __init__(self, host: str, credentials: Credentials | None) -> None:
        import httpx

        if not is_host(host):
            raise ConfigurationError(f"{host!r} is not the host of a registry.", "It has the form host or host:port.")
        self.host = host
        self.credentials = credentials
        self._base = httpx.URL(f"{'http' if is_loopback(host) else 'https'}://{host}/")
        try:
            self._client = httpx.Client(
                timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
                trust_env=not is_loopback(host),
                verify=web.trust() if is_loopback(host) else True,
                headers={"Accept-Encoding": "identity", "User-Agent": "soundbite"},
            )
        except (OSError, ValueError, ImportError) as error:
            raise ConfigurationError(
                f"There can be no connection to {host}: {error}", "Check SSL_CERT_FILE, HTTPS_PROXY and ALL_PROXY."
            ) from None
        self._tokens: dict[tuple[str, ...], str] = {}
        self._basic = ""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, call: Call) -> Answer:
        """Send a call that may be sent twice, up to three times; the answer has been read.

        Raises
        ------
        SoundbiteError
            No answer, or none of the accepted ones.
        """
        return repeated(lambda: self.once(call))

    def once(self, call: Call) -> Answer:
        """Send a call once; the answer has been read."""
        response = self.open(call)
        try:
            following, location = (
                url and str(self.absolute(url, response.url))
                for url in (response.links.get("next", {}).get("url", ""), response.headers.get("Location", ""))
            )
            return Answer(response.status_code, response.headers, self._body(response, call), following, location)
        finally:
            response.close()

    def open(self, call: Call) -> httpx.Response:
        """Send a call once; the answer's body has not been read, and the answer must be closed."""
        response = self._authorized(call)
        if response.status_code in call.accepted:
            return response
        try:
            body = self._body(response, call)
        finally:
            response.close()
        raise refusal(response, body, self.host, call.doing, self.credentials)

    def absolute(self, url: str, seen_at: httpx.URL | None = None) -> httpx.URL:
        """Return a whole address for one that the registry gave, which may be relative to where it stood."""
        import httpx

        try:
            return (seen_at or self._base).join(url)
        except httpx.InvalidURL:
            raise SoundbiteError(
                f"The registry {self.host} gave an address that is none.", "Does a registry answer there?"
            ) from None

    def _authorized(self, call: Call) -> httpx.Response:
        used = self._tokens.get(call.scopes) or self._basic
        response = self._transmit(call, used)
        if response.status_code != _UNAUTHORIZED or not self._is_own(response.request.url):
            return response
        try:
            fresh = self._authorization(response, call)
        except BaseException:
            response.close()
            raise
        if not fresh or fresh == used:
            return response
        response.close()
        return self._again(call, fresh)

    def _again(self, call: Call, authorization: str) -> httpx.Response:
        if call.content is not None and not isinstance(call.content, bytes):
            # What streams has gone; whoever streams it begins anew, with the token that we have now.
            raise Transient(f"Could not {call.doing}: the registry {self.host} no longer takes our token.")
        return self._transmit(call, authorization)

    def _transmit(self, call: Call, authorization: str) -> httpx.Response:
        import httpx

        url = self.absolute(call.url)
        headers = dict(call.headers)
        if authorization and self._is_own(url):
            headers["Authorization"] = authorization
        try:
            request = self._client.build_request(call.method, url, headers=headers, content=call.content)
            # httpx takes the Authorization off when a redirection leaves this host.
            follow = call.method in {"GET", "HEAD"}
            return self._client.send(request, stream=True, follow_redirects=follow)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise unreachable(error, self.host, call.doing) from None

    def _body(self, response: httpx.Response, call: Call) -> bytes:
        import httpx

        body = bytearray()
        try:
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > LARGEST:
                    raise SoundbiteError(
                        f"Could not {call.doing}: the registry {self.host} sent more than {LARGEST // 2**20} MiB.",
                        "Such a document is no image's: look at what was pushed.",
                    )
        except httpx.HTTPError as error:
            raise unreachable(error, self.host, call.doing) from None
        return bytes(body)

    def _is_own(self, url: httpx.URL) -> bool:
        return (url.scheme, url.host, url.port) == (self._base.scheme, self._base.host, self._base.port)

    def _authorization(self, response: httpx.Response, call: Call) -> str:
        """Return the header that answers a challenge, from now on sent without being asked; empty: none does."""
        asked = {each.scheme: each for each in challenges(response.headers.get_list("WWW-Authenticate"))}
        if "bearer" in asked:
            self._tokens[call.scopes] = token = "Bearer " + self._token(asked["bearer"], call)
            return token
        if "basic" in asked and self.credentials is not None:
            self._basic = self.credentials.basic
        return self._basic

    def _token(self, challenge: Challenge, call: Call) -> str:
        """Get a token (distribution, "Token Authentication Specification")."""
        import httpx

        wanted = challenge.parameters
        scopes = _joined([*call.scopes, *wanted.get("scope", "").split()])
        doing = f"get a token to {call.doing}"
        try:
            realm = httpx.URL(wanted.get("realm", ""))
        except httpx.InvalidURL:
            realm = httpx.URL()
        if realm.scheme != "https" and not (realm.scheme == "http" and is_loopback(realm.host)):
            raise SoundbiteError(
                f"Could not {doing}: the registry {self.host} sends us to an address for it that is not https.",
                "The password was not sent there. Correct the realm in the registry's settings.",
            )
        service = (("service", wanted["service"]),) if "service" in wanted else ()
        url = realm.copy_merge_params((*service, *(("scope", scope) for scope in scopes)))
        headers = {"Authorization": self.credentials.basic} if self.credentials else {}
        response = self._transmit(Call("GET", str(url), doing, headers=headers), "")
        try:
            body = self._body(response, call)
        finally:
            response.close()
        if response.status_code != httpx.codes.OK:
            raise refusal(response, body, self.host, doing, self.credentials)
        try:
            answer = httpx.Response(httpx.codes.OK, content=body).json()
            token = str(answer.get("token") or answer.get("access_token") or "")
        except (ValueError, AttributeError):
            token = ""
        if not token:
            raise denial(_UNAUTHORIZED, f"Could not {doing}: the registry {self.host}", "", self.credentials)
        console.conceal(token)
        return token


def _joined(scopes: Iterable[str]) -> list[str]:
    """Return scopes with each resource once: registries give the actions in any order."""
    actions: dict[str, dict[str, None]] = {}
    for scope in scopes:
        resource, _, allowed = scope.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(allowed.split(",")))
    return [f"{resource}:{','.join(allowed)}" for resource, allowed in actions.items()]

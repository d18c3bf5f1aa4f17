"""What can go wrong between us and a registry, each as one message with what to do."""

from __future__ import annotations

import json
import re
import ssl
from typing import TYPE_CHECKING

from soundbite import console
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    import httpx

    from .access import Credentials

_SHOWN = 300
"""Characters of a registry's own words that a message shows."""
_LONGEST_WAIT = 5.0
"""Seconds that we wait at most because a registry asks for it."""
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _NOT_ALLOWED, _TOO_LARGE, _TOO_MANY = 401, 403, 404, 405, 413, 429
_FAILED, _FULL = 500, 507
_ENOSPC = re.compile(r'no space left|disk quota exceeded|"Err": ?28\b', re.IGNORECASE)
"""A full disk: in words, or as docker-registry's file system driver has it, by its number on Linux."""


class Transient(SoundbiteError):
    """A failure that may be gone at the next try; `wait`: seconds that the registry asks for, or 0."""

    def __init__(self, message: str, hint: str = "", wait: float = 0.0) -> None:
        super().__init__(message, hint)
        self.wait = wait


def unreachable(error: Exception, host: str, doing: str) -> SoundbiteError:
    """Explain why there is no answer.

    Parameters
    ----------
    error:
        What httpx raised.
    host:
        The registry, with its port.
    doing:
        What was being done, for example `read the tags of soundbite`.
    """
    import httpx

    could_not = f"Could not {doing}: the registry {host}"
    if _is_tls(error):
        return SoundbiteError(
            f"{could_not} has no certificate that we trust, or speaks no TLS: {_brief(error)}",
            "Check the host's name and its certificate; SSL_CERT_FILE names further authorities.",
        )
    if isinstance(error, httpx.ConnectTimeout):
        return Transient(f"{could_not} cannot be reached: no connection in time.", "Check its name and the network.")
    if isinstance(error, httpx.ConnectError):
        return Transient(f"{could_not} cannot be reached: {_brief(error)}", "Is it running? Check its name and port.")
    if isinstance(error, httpx.TimeoutException):
        return SoundbiteError(f"{could_not} did not answer in time.", "Is it overloaded? Try again later.")
    if isinstance(error, httpx.NetworkError | httpx.RemoteProtocolError):
        return Transient(f"{could_not} broke off the connection: {_brief(error)}", "Its log may say why; try again.")
    return SoundbiteError(f"{could_not} cannot be talked to: {_brief(error)}", "Does a registry answer there?")


def refusal(response: httpx.Response, body: bytes, host: str, doing: str, user: Credentials | None) -> SoundbiteError:
    """Explain an answer that is not the one asked for (OCI distribution spec, "Error Codes")."""
    status = response.status_code
    could_not = f"Could not {doing}: the registry {host}"
    words = _words(body)
    said = f" ({status}{f', {words}' if words else ''})"
    if status in {_UNAUTHORIZED, _FORBIDDEN}:
        return denial(status, could_not, said, user)
    if status == _NOT_FOUND:
        return SoundbiteError(f"{could_not} does not know it{said}.", "Check the repository's name; was it made?")
    if status == _NOT_ALLOWED or "UNSUPPORTED" in words:
        return SoundbiteError(f"{could_not} does not allow it{said}.", "Is it read-only, or under maintenance?")
    if status == _FULL or _ENOSPC.search(body.decode(errors="replace")):
        return SoundbiteError(
            f"{could_not} has no space left{said}.",
            "Give it more space, or delete old images; unfinished uploads also take some until it purges them.",
        )
    if status == _TOO_MANY or status >= _FAILED:
        hint = "Try again later." if status == _TOO_MANY else "Its log says why; a full disk is often the reason."
        return Transient(f"{could_not} failed{said}.", hint, wait=_asked_wait(response))
    if status == _TOO_LARGE:
        what, hint = "finds it too large", "Raise the limit of the registry, or of the proxy before it."
    else:
        what, hint = "gave an unexpected answer", ""
    return SoundbiteError(f"{could_not} {what}{said}.", hint)


def denial(status: int, could_not: str, said: str, user: Credentials | None) -> SoundbiteError:
    """Explain that a registry does not let us: it does not know us, or we may not."""
    if user is None:
        return SoundbiteError(f"{could_not} asks for a user and password, and there are none{said}.", "Set them.")
    if status == _FORBIDDEN:
        return SoundbiteError(f"{could_not} does not let {user.username} do that{said}.", "Give that user the right.")
    return SoundbiteError(
        f"{could_not} refused the user {user.username}{said}.", "Check the password, and the rights of that user."
    )


def no_such_image(host: str, repository: str, reference: str) -> SoundbiteError:
    """Say that an image is not in a registry."""
    mark = "@" if ":" in reference else ":"
    return SoundbiteError(
        f"There is no such image: {host}/{repository}{mark}{reference}.", "Was it pushed, and to this registry?"
    )


def damaged(host: str, repository: str, what: str) -> SoundbiteError:
    """Say that what a registry gave is not what it is called."""
    return SoundbiteError(
        f"{host}/{repository} is damaged: {what}. Nothing of it was used.",
        "Push the image to that registry again, from where it was built.",
    )


def _words(body: bytes) -> str:
    """Return the registry's own words, if it has any in the form that the spec gives errors."""
    try:
        first = json.loads(body)["errors"][0]
        text = ": ".join(str(first[key]) for key in ("code", "message") if first.get(key))
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        text = ""
    return _clean(text)


def _brief(error: Exception) -> str:
    return _clean(str(error) or type(error).__name__)


def _clean(text: str) -> str:
    return console.redact("".join(c if c.isprintable() else " " for c in text))[:_SHOWN]


def _is_tls(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _asked_wait(response: httpx.Response) -> float:
    asked = response.headers.get("Retry-After", "")
    return min(float(asked), _LONGEST_WAIT) if asked.isascii() and asked.isdigit() else 0.0

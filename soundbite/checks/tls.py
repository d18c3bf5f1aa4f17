"""Certificates as clients see them, with what is wrong of one told in plain words."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from .model import Failed

if TYPE_CHECKING:
    from .calling import Place

_EXPIRED = 10
_VERDICTS = {
    9: "the certificate is not valid yet",
    _EXPIRED: "the certificate has expired",
    62: "the certificate is for another name",
    64: "the certificate is for another address",
}
"""What OpenSSL's X509_V_ERR_… mean."""
_NO_CHECK_TIME = 0x200000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python does not name."""


class Certificate(NamedTuple):
    """A certificate that is valid, and the connection it was seen on."""

    ends: datetime
    protocol: str


def context() -> ssl.SSLContext:
    """Return what this machine trusts (or SSL_CERT_FILE), from TLS 1.2 on."""
    made = ssl.create_default_context()
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    return made


def examine(to: Place, timeout: float) -> Certificate:
    """Make a TLS connection and return the certificate, which is valid for the host's name.

    Raises
    ------
    Failed
        It is not valid, or there is no TLS; the message says why.
    """
    try:
        found, protocol = _shake_hands(to, timeout, context())
    except ssl.SSLError as error:
        ended = _end_of_expired(to, timeout) if getattr(error, "verify_code", 0) == _EXPIRED else None
        raise Failed(f"{to}: {explain(error)}{f', on {ended:%Y-%m-%d}' if ended else ''}") from None
    except TimeoutError:
        raise Failed(f"{to}: no TLS connection within {timeout:.0f} s") from None
    except OSError as error:
        raise Failed(f"{to}: no TLS connection: {error.strerror or error}") from None
    return Certificate(_end(found), protocol)


def cause(error: BaseException | None) -> ssl.SSLError | None:
    """Return what was wrong with TLS behind another exception; None: nothing."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error


def explain(error: ssl.SSLError) -> str:
    """Return in plain words what is wrong."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = _VERDICTS.get(error.verify_code)
        return known or f"the certificate is not trusted: {error.verify_message}"
    reason = (error.reason or str(error)).replace("_", " ").lower()
    if "unsupported protocol" in reason or "protocol version" in reason:
        return "it speaks no TLS 1.2"
    if "wrong version number" in reason or "record layer failure" in reason:
        return "it does not speak TLS"
    return f"TLS fails: {reason}"


def _shake_hands(to: Place, timeout: float, trusting: ssl.SSLContext) -> tuple[dict[str, Any], str]:
    import socket

    with (
        socket.create_connection((to.to, to.port), timeout=timeout) as plain,
        trusting.wrap_socket(plain, server_hostname=to.host) as secure,
    ):
        return dict(secure.getpeercert() or {}), secure.version() or ""


def _end_of_expired(to: Place, timeout: float) -> datetime | None:
    """Python shows a certificate only where it is trusted, so it is asked for once more, its dates left aside."""
    trusting = context()
    trusting.verify_flags |= _NO_CHECK_TIME
    trusting.check_hostname = False
    try:
        return _end(_shake_hands(to, timeout, trusting)[0])
    except OSError:
        return None


def _end(found: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(found["notAfter"]), UTC)

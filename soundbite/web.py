"""Asking an address once, directly, and what is trusted meanwhile; for what is asked again and again."""

from __future__ import annotations

import ssl
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


def get(url: str, timeout: float, **more: Any) -> httpx.Response:
    """Ask as `httpx.get`, past every proxy.

    Parameters
    ----------
    timeout:
        Seconds, for each part of the answer.

    Raises
    ------
    httpx.HTTPError
        There is no answer.
    """
    import httpx

    return httpx.get(url, timeout=timeout, trust_env=False, verify=trust(), **more)


@cache
def trust() -> ssl.SSLContext:
    """Return a context that trusts what httpx trusts where no variable says otherwise: certifi's authorities."""
    return _Trust(ssl.PROTOCOL_TLS_CLIENT)


class _Trust(ssl.SSLContext):
    """Reads the authorities for its first connection with TLS: plain http needs none, and it takes 20 ms of a core."""

    def wrap_socket(self, *arguments: Any, **more: Any) -> ssl.SSLSocket:
        import certifi

        if not self.cert_store_stats()["x509"]:
            self.load_verify_locations(certifi.where())
        return super().wrap_socket(*arguments, **more)

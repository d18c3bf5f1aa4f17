"""Whether an environment's application answers at its health path: asked once, from here."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from soundbite.checks import calling, tls

if TYPE_CHECKING:
    from collections.abc import Sequence

    import httpx

    from soundbite.environment import Environment

_CONNECT, _READ = 1.0, 1.5
"""Seconds."""


def client(environments: Sequence[Environment]) -> httpx.Client:
    """Return a client for the applications of environments; threads may share it."""
    import httpx

    encrypted = any(each.app_url.startswith("https:") for each in environments)
    # What to trust is read only where it is needed: it takes 20 ms.
    trust = tls.context() if encrypted else False
    return httpx.Client(timeout=httpx.Timeout(_READ, connect=_CONNECT), trust_env=False, verify=trust)


def ask(environment: Environment, web: httpx.Client) -> dict[str, Any]:
    """Return whether the application is `ok`, after how many `ms` it answered (or None), and the `problem`."""
    import httpx

    if environment.local and not _runs(environment):
        return {"ok": False, "ms": None, "problem": "not running"}
    url = urlsplit(f"{environment.app_url.rstrip('/')}{environment.app.health_path}")
    to = calling.place(url.geturl())
    # The address is that of `*.localhost` on this machine, too, where no resolver knows it.
    address = url if to.to == to.host else url._replace(netloc=f"{to.to}:{to.port}")
    began = time.monotonic()
    try:
        with web.stream("GET", address.geturl(), headers={"Host": url.netloc}) as response:
            status = response.status_code
    except httpx.TimeoutException:
        return {"ok": False, "ms": None, "problem": f"got no answer within {time.monotonic() - began:.1f} s"}
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return {"ok": False, "ms": None, "problem": calling.explain(error)}
    well = status == httpx.codes.OK
    took = round((time.monotonic() - began) * 1000)
    return {"ok": well, "ms": took, "problem": "" if well else f"answered {status}"}


def _runs(environment: Environment) -> bool:
    """Tell whether the application of an environment on this machine runs.

    Some share a port: what answers there could be another's.
    """
    from soundbite.platforms import room as rooms

    return rooms.runs(rooms.of(environment))

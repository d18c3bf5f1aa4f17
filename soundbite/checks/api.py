"""The application's address from here: its name, its connections, its health, its certificate, its headers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from soundbite.errors import Inconclusive

from . import tls
from .calling import READ, Answer, call, connected, place, require_reachable, resolved, within
from .model import DEPLOYED, Failed, Scene, Skipped, Warned, check

_SOON = 21
"""Days before a certificate's end from which on somebody should look at it."""


@check("api.resolves", quick=True)
def resolves(scene: Scene) -> str:
    """The application's name has an address."""
    host, found = place(scene.url).host, resolved(scene)
    return f"{host} is an address" if found == [host] else f"{host} is {', '.join(found)}"


@check("api.reachable", quick=True)
def reachable(scene: Scene) -> str:
    """The application's port takes connections."""
    try:
        resolved(scene)
    except Failed:
        raise Inconclusive("api.resolves failed") from None
    return f"{place(scene.url)}, connected in {1000 * connected(scene):.0f} ms"


@check("api.health", quick=True)
def health(scene: Scene) -> str:
    """The health path answers 200."""
    return _told(call(scene, "GET", scene.environment.app.health_path).expect(200))


@check("api.ready", quick=True)
def ready(scene: Scene) -> str:
    """The ready path answers 200: what the application depends on answers."""
    answer = call(scene, "GET", scene.environment.app.ready_path or scene.environment.app.health_path)
    if answer.status == 503:  # noqa: PLR2004 - Service Unavailable
        raise Failed(f"{answer.what} answered 503: {_missing(answer) or answer.short or 'nothing'}")
    return _told(answer.expect(200))


@check("api.tls")
def certificate(scene: Scene) -> str:
    """The certificate is trusted, for this name, and ends neither now nor soon."""
    if not scene.url.startswith("https:"):
        raise Skipped("APP_URL is http")
    require_reachable(scene)
    to = place(scene.url)
    found = within(READ + 1, lambda: tls.examine(to, READ), f"{to}: no TLS connection within {READ:.0f} s")
    days = (found.ends - datetime.now(UTC)).days
    if days <= _SOON:
        raise Warned(f"the certificate of {to.host} ends on {found.ends:%Y-%m-%d}, in {days} days")
    return f"valid until {found.ends:%Y-%m-%d}, {days} days; {found.protocol}"


@check("api.headers", environments=[DEPLOYED])
def headers(scene: Scene) -> str:
    """Answers tell browsers to guess no types and, with https, to come by https only."""
    answer = call(scene, "GET", scene.environment.app.health_path)
    found = [each.strip() for each in answer.headers.get("x-content-type-options", "").lower().split(",")]
    missing = [] if set(found) == {"nosniff"} else ["X-Content-Type-Options: nosniff"]
    if scene.url.startswith("https:") and "max-age=" not in answer.headers.get("strict-transport-security", "").lower():
        missing.append("Strict-Transport-Security")
    if missing:
        raise Failed(f"{answer.what} answered without {', '.join(missing)}")
    return "X-Content-Type-Options" + (", Strict-Transport-Security" if scene.url.startswith("https:") else "")


def _told(answer: Answer) -> str:
    return f"{answer.what} answered {answer.status} in {1000 * answer.seconds:.0f} ms"


def _missing(answer: Answer) -> str:
    """Return which of the body's dependencies do not answer; "" if the body does not say."""
    try:
        body: Any = answer.json()
    except Failed:
        return ""
    dependencies = body.get("dependencies") if isinstance(body, dict) else None
    if not isinstance(dependencies, dict):
        return ""
    return ", ".join(
        f"{name}: {each.get('error', 'not ok')}"
        for name, each in dependencies.items()
        if isinstance(each, dict) and not each.get("ok")
    )

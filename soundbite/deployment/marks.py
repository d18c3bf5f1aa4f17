"""What is said against a release: where it is to serve, and one stage before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import console
from soundbite.cloud import Patience
from soundbite.errors import SoundbiteError
from soundbite.releases import NoLedger

if TYPE_CHECKING:
    from .scene import Scene

_QUICK = Patience(connect=3, read=5, attempts=1)


def bad(here: Scene, release: str) -> str:
    """Return why a release must not go out; empty: nothing is said against it.

    Raises
    ------
    SoundbiteError
        That cannot be read, here or one stage before.
    """
    return _own(here, release) or _earlier(here.earlier(), release)


def bad_to_return_to(here: Scene, release: str) -> str:
    """Return why a release must not serve again; the way back needs no other environment's AWS, only asks it.

    Raises
    ------
    SoundbiteError
        That cannot be read here.
    """
    found = _own(here, release)
    if found:
        return found
    earlier = here.earlier(_QUICK)
    try:
        return _earlier(earlier, release)
    except SoundbiteError as error:
        assert earlier is not None, "it was asked"
        console.warn(f"What {earlier.environment.name} says of {release} is not known: {error.message}")
        return ""


def _own(here: Scene, release: str) -> str:
    try:
        return here.ledger.bad(release)
    except NoLedger:
        return ""


def _earlier(earlier: Scene | None, release: str) -> str:
    if earlier is None:
        return ""
    # Another account's credentials would find no ledger, which is not the same as nothing said.
    earlier.cloud.require_account()
    try:
        found = earlier.ledger.bad(release)
        verified = [each for each in earlier.ledger.deployments() if each.release == release and each.verified]
    except NoLedger:
        return ""
    if not found and verified and all(each.bad for each in verified):
        found = verified[0].bad
    return f"{found} (says {earlier.environment.name})" if found else ""

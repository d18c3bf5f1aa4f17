"""Who we are to a registry: user names and passwords, and the challenges that ask for them."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from soundbite import console
from soundbite.cloud import explained
from soundbite.errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from soundbite.cloud import Cloud

    from .names import Name

_ECR = re.compile(r"[0-9]{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
"""Amazon ECR user guide, "Private registry concepts"; the FIPS endpoints stand in "Service endpoints"."""

_PARAMETER = re.compile(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')


@dataclass(frozen=True)
class Credentials:
    """A user of a registry. The password is in no `repr`, and masked in all output from here on."""

    username: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        console.conceal(self.password)
        console.conceal(self.basic.removeprefix("Basic "))

    @property
    def basic(self) -> str:
        """The value of an Authorization header (RFC 7617)."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


class Challenge(NamedTuple):
    """What a registry asks for: `scheme` in lower case, and its parameters."""

    scheme: str
    parameters: dict[str, str]


def credentials(
    cloud: Cloud, name: Name, *, username: str = "", password: str = "", ecr: bool = False
) -> Credentials | None:
    """Return whom a registry shall take us for.

    Parameters
    ----------
    cloud:
        The AWS whose token opens the registry, if it is one of Amazon ECR.
    name:
        An image in the registry.
    username, password:
        A user of the registry; they go before everything else.
    ecr:
        Whether the registry is ECR although its host does not say so, as emulated AWS has it.

    Returns
    -------
    Credentials or None
        None: nobody in particular.

    Raises
    ------
    ConfigurationError
        A user name without a password or the reverse; a registry in another region than the environment.
    SoundbiteError
        AWS gives no token.
    """
    if username and password:
        return Credentials(username, password)
    if username or password:
        lacking = "password" if username else "user name"
        raise ConfigurationError(f"{name.registry} has a setting for a user, but no {lacking}.", "Set both or neither.")
    found = _ECR.fullmatch(name.registry)
    if found is None:
        return _from_ecr(cloud) if ecr else None
    region = cloud.environment.aws.region
    if found[1] != region:
        # A token is one region's: ECR takes that of another for one that has expired, and says so.
        raise ConfigurationError(
            f"{name.registry} is in {found[1]}, but {cloud.environment.name} is in {region}, whose token it refuses.",
            "Name a registry of the environment's own region.",
        )
    return _from_ecr(cloud)


def challenges(headers: Iterable[str]) -> list[Challenge]:
    """Read the WWW-Authenticate headers of an answer (RFC 9110, 11.6.1; one challenge a header)."""
    found = []
    for header in headers:
        scheme, _, rest = header.strip().partition(" ")
        parameters = {name.lower(): quoted or plain for name, quoted, plain in _PARAMETER.findall(rest)}
        found.append(Challenge(scheme.lower(), parameters))
    return found


def _from_ecr(cloud: Cloud) -> Credentials:
    with explained("ecr:GetAuthorizationToken", cloud.environment):
        answer = cloud.client("ecr").get_authorization_token()
    try:
        token = str(answer["authorizationData"][0]["authorizationToken"])
        console.conceal(token)
        username, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (KeyError, IndexError, TypeError, ValueError):
        colon = ""
    if not colon:
        raise SoundbiteError(
            f"AWS gave {cloud.environment.name} a token for ECR that is not one: it has no user and password."
        )
    return Credentials(username, password)

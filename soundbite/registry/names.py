"""What images are called: `host[:port]/repository[:tag][@sha256:…]`."""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

from soundbite.errors import ConfigurationError

# OCI distribution spec, "Pulling manifests": <name> and <reference>; image spec, "Digests".
_REPOSITORY = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"
_DIGEST = r"sha256:[a-f0-9]{64}"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:.]+\])(?::[0-9]{{1,5}})?"
_LONGEST = 255
"""Characters of a registry and a repository together: "Pulling manifests" of the OCI distribution spec."""
_LAST_PORT = 65535


class Name(NamedTuple):
    """The name of an image in a registry; `str()` gives it as docker takes it.

    Parameters
    ----------
    registry:
        The registry's host, with its port if it has one.
    repository:
        The repository in it; may have several parts, such as `team/soundbite`.
    tag:
        A name for one of its images; None: not named.
    digest:
        The hash of the image's manifest, `sha256:` and 64 digits; None: not named.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read a name. The registry must stand in it: nothing is ever taken from a registry by default.

        Raises
        ------
        ConfigurationError
            It is not of the form; the message says which part.
        """
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            raise _wrong(text, f"{digest!r} is not a digest: sha256: and 64 digits 0-9a-f")
        registry, slash, path = rest.partition("/")
        # As docker tells a host from the first part of a repository (distribution/reference, "familiar names").
        if not slash or not ({".", ":", "["} & set(registry) or registry == "localhost"):
            raise _wrong(text, "there is no registry in it")
        if not is_host(registry):
            raise _wrong(text, f"{registry!r} is not a host with or without a port")
        repository, colon, tag = path.partition(":")
        if not is_repository(repository):
            raise _wrong(text, f"{repository!r} is not a repository: lower case letters, digits and single . _ - /")
        if colon and not is_tag(tag):
            raise _wrong(text, f"{tag!r} is not a tag: letters, digits and . _ -, at most 128")
        if len(registry) + 1 + len(repository) > _LONGEST:
            raise _wrong(text, f"the registry and repository have more than {_LONGEST} characters")
        return cls(registry, repository, tag or None, digest or None)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def is_digest(text: str) -> bool:
    """Tell whether a text is a SHA-256 digest, the one algorithm that every registry has to know."""
    return re.fullmatch(_DIGEST, text) is not None


def is_repository(text: str) -> bool:
    """Tell whether a text can name a repository."""
    return re.fullmatch(_REPOSITORY, text) is not None


def is_tag(text: str) -> bool:
    """Tell whether a text can be a tag."""
    return re.fullmatch(_TAG, text) is not None


def is_host(text: str) -> bool:
    """Tell whether a text is a host, with or without a port."""
    if re.fullmatch(_HOST, text) is None:
        return False
    name, port = _split(text)
    if name.startswith("["):
        try:
            ipaddress.IPv6Address(name[1:-1])
        except ValueError:
            return False
    return 0 < int(port or 1) <= _LAST_PORT


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine: localhost, 127.0.0.0/8 or ::1."""
    name = _split(host)[0].strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _split(host: str) -> tuple[str, str]:
    name, colon, port = host.rpartition(":")
    return (name, port) if colon and not port.endswith("]") else (host, "")


def _wrong(text: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{text!r} is not the name of an image: {why}.",
        "It has the form host[:port]/repository[:tag][@sha256:...], for example 127.0.0.1:5000/soundbite:1.2.0.",
    )

"""The documents that name an image's parts."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from soundbite.errors import SoundbiteError

from .names import is_digest

IMAGES = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")


class Part(NamedTuple):
    """A part of an image: its digest, its size in bytes, and its media type."""

    digest: str
    size: int
    media_type: str


class Manifest(NamedTuple):
    """An image's manifest, or the index of several: its media type, its bytes as they came, and their digest."""

    media_type: str
    body: bytes
    digest: str

    @property
    def document(self) -> dict[str, Any]:
        """What it says.

        Raises
        ------
        SoundbiteError
            It is no JSON object.
        """
        try:
            said = json.loads(self.body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise SoundbiteError(f"The manifest {self.digest} is not a JSON object.", "Push the image again.")
        return said

    @property
    def is_index(self) -> bool:
        """Whether it is an index of several images."""
        return self.media_type in INDEXES

    def parts(self, key: str) -> list[Part]:
        """Return what it names under a key: `config`, `layers`, or `manifests` (image spec, "Descriptors").

        Raises
        ------
        SoundbiteError
            That is not there, or one of it has no SHA-256 digest, size or media type.
        """
        entries: Any = self.document.get(key)
        if isinstance(entries, dict):
            entries = [entries]
        try:
            found = [Part(str(each["digest"]), int(each["size"]), str(each["mediaType"])) for each in entries]
        except (KeyError, TypeError, ValueError):
            found = [Part("", 0, "")]
        if not all(is_digest(part.digest) and part.size >= 0 for part in found):
            raise SoundbiteError(
                f"The manifest {self.digest} does not say what its {key} are.", "Push the image again."
            )
        return found

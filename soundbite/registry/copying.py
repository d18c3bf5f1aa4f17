"""Images copied from one registry to another, byte for byte, so that their digest stays what it is."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from soundbite.errors import ConfigurationError, Refused

from .failures import damaged
from .names import is_digest
from .transport import repeated

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from .client import Registry
    from .manifests import Manifest, Part

_KEPT_ELSEWHERE = ("application/vnd.docker.image.rootfs.foreign.", "application/vnd.oci.image.layer.nondistributable.")
"""Layers that no registry has to have: image spec, "Non-Distributable Layers", and Docker's older name."""


class Copied(NamedTuple):
    """A copied image.

    Parameters
    ----------
    digest:
        The image's, in both registries.
    blobs_copied:
        How many blobs went from one registry to the other.
    blobs_present:
        How many did not have to: the target had them, in this repository or in the source's.
    bytes:
        The size of the copied blobs.
    """

    digest: str
    blobs_copied: int = 0
    blobs_present: int = 0
    bytes: int = 0


def copy(
    source: Registry,
    source_repository: str,
    digest: str,
    target: Registry,
    target_repository: str,
    tag: str | None = None,
) -> Copied:
    """Copy an image, or an index with all its images, to a repository of another or the same registry.

    Its parts come first and its name last, so that an interrupted copy leaves nothing that can be pulled;
    doing it again takes it up where it was. Everything is verified by its hash while it passes.

    Parameters
    ----------
    digest:
        The image's; what it is called in the source may have moved meanwhile.
    tag:
        What it shall be called in the target; None: nothing but its digest.

    Returns
    -------
    Copied
        With no blobs at all if the tag is there already and means this image.

    Raises
    ------
    ConfigurationError
        `digest` is not a digest.
    Refused
        The tag is there already and means another image: tags never move here.
    SoundbiteError
        There is no such image, a part of it is damaged, or one of the registries fails.
    """
    if not is_digest(digest):
        raise ConfigurationError(f"{digest!r} is not a digest.", "Images are copied by their digest, not a tag.")
    if tag is not None and _is_there(target, target_repository, tag, digest):
        return Copied(digest)
    copying = _Copying(source, source_repository, target, target_repository)
    manifest = copying.parts_of(digest)
    # Once more: in the time that the parts took, somebody else may have used the tag.
    if tag is None or not _is_there(target, target_repository, tag, digest):
        target.put(target_repository, tag or digest, manifest)
    return Copied(digest, copying.copied, copying.present, copying.size)


def _is_there(target: Registry, repository: str, tag: str, digest: str) -> bool:
    found = target.digest(repository, tag)
    if found not in {None, digest}:
        raise Refused(
            f"{target.host}/{repository}:{tag} is already there and is {found}, not {digest}. Nothing was changed.",
            "Tags never move: use another tag.",
        )
    return found is not None


@dataclass
class _Copying:
    """A copy under way; `seen` are the parts that the target has by now."""

    source: Registry
    source_repository: str
    target: Registry
    target_repository: str
    copied: int = 0
    present: int = 0
    size: int = 0
    seen: set[str] = field(default_factory=set)

    def parts_of(self, digest: str) -> Manifest:
        """Copy everything that a manifest names, and return the manifest, which is not copied yet."""
        manifest = self.source.manifest(self.source_repository, digest)
        if manifest.is_index:
            for child in manifest.parts("manifests"):
                if child.digest not in self.seen:
                    self.target.put(self.target_repository, child.digest, self.parts_of(child.digest))
                    self.seen.add(child.digest)
            return manifest
        for blob in (*manifest.parts("config"), *manifest.parts("layers")):
            if not blob.media_type.startswith(_KEPT_ELSEWHERE) and blob.digest not in self.seen:
                self._bring(blob)
                self.seen.add(blob.digest)
        return manifest

    def _bring(self, blob: Part) -> None:
        there = self.target.has_blob(self.target_repository, blob.digest, blob.size)
        if not there and repeated(lambda: self._transfer(blob)):
            self.copied += 1
            self.size += blob.size
        else:
            self.present += 1

    def _transfer(self, blob: Part) -> bool:
        """Bring one blob over; return whether its bytes had to come from the source."""
        same = self.source.host.lower() == self.target.host.lower()
        address = self.target.begin(self.target_repository, blob.digest, self.source_repository if same else None)
        if address is None:
            return False
        with (
            self.source.blob(self.source_repository, blob.digest) as chunks,
            closing(self._verified(blob, chunks)) as verified,
        ):
            self.target.upload(self.target_repository, blob.digest, blob.size, verified, address)
        return True

    def _verified(self, blob: Part, chunks: Iterator[bytes]) -> Generator[bytes]:
        """Pass bytes on, the last of them only if all of them are what the blob is called."""
        total, size, held = sha256(), 0, b""
        for chunk in chunks:
            total.update(chunk)
            size += len(chunk)
            if size > blob.size:
                break
            if held:
                yield held
            held = chunk
        if size != blob.size or f"sha256:{total.hexdigest()}" != blob.digest:
            what = f"the blob {blob.digest} is there with other bytes"
            raise damaged(self.source.host, self.source_repository, what)
        if held:
            yield held

"""One registry: what is in it, and what can be put into it."""

from __future__ import annotations

import json
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from soundbite.errors import ConfigurationError, SoundbiteError

from .failures import damaged, no_such_image, unreachable
from .manifests import IMAGES, INDEXES, Manifest
from .names import is_digest, is_repository, is_tag
from .transport import Call, Transport

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from .access import Credentials

_ACCEPT = {"Accept": ", ".join((*IMAGES, *INDEXES))}
_CHUNK = 256 * 1024
"""Bytes of a blob that are in memory at a time, twice."""
_PAGE = 1000
_OK, _CREATED, _ACCEPTED, _NO_CONTENT, _NOT_FOUND, _NOT_ALLOWED = 200, 201, 202, 204, 404, 405
_DENIED = (401, 403)
_FOUND_OR_NOT = frozenset({_OK, _NOT_FOUND})


class Registry:
    """A registry. Safe to use from threads; to be closed, or used in a `with` statement.

    Reading calls, and those that may be done twice, are tried up to three times if the connection fails or
    the registry does (5xx, 429). All methods raise SoundbiteError where the registry is out of reach, is
    too slow, refuses us, or answers what it should not; no message has the password.

    Parameters
    ----------
    host:
        The registry, with its port if it has one. On this machine it speaks plain http, elsewhere TLS.
    credentials:
        Whom it shall take us for, if it asks; None: nobody.

    Raises
    ------
    ConfigurationError
        The host is not one.
    """

    def __init__(self, host: str, credentials: Credentials | None = None) -> None:
        self.host = host
        self._transport = Transport(host, credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def digest(self, repository: str, reference: str) -> str | None:
        """Return the digest of an image ("Checking if content exists in the registry").

        Parameters
        ----------
        reference:
            A tag or a digest.

        Returns
        -------
        str or None
            None: there is no such image, or no such repository.

        Raises
        ------
        SoundbiteError
            The registry does not answer, or refuses.
        """
        call = self._call("HEAD", repository, f"manifests/{_reference(reference)}", f"look for {reference} in")
        answer = self._transport.send(call._replace(headers=_ACCEPT, accepted=_FOUND_OR_NOT))
        if answer.status == _NOT_FOUND:
            return None
        found = str(answer.headers.get("Docker-Content-Digest", ""))
        if not is_digest(found):
            return self.manifest(repository, reference).digest
        if is_digest(reference) and found != reference:
            raise damaged(self.host, repository, f"it has {found} in the place of {reference}")
        return found

    def manifest(self, repository: str, reference: str) -> Manifest:
        """Return an image's manifest ("Pulling manifests").

        Parameters
        ----------
        reference:
            A tag or a digest.

        Raises
        ------
        SoundbiteError
            There is no such image, its bytes are not those of the digest asked for, or it is of a kind
            that is neither an image nor an index.
        """
        call = self._call("GET", repository, f"manifests/{_reference(reference)}", f"read the manifest {reference} of")
        answer = self._transport.send(call._replace(headers=_ACCEPT, accepted=_FOUND_OR_NOT))
        if answer.status == _NOT_FOUND:
            raise no_such_image(self.host, repository, reference)
        digest = f"sha256:{sha256(answer.body).hexdigest()}"
        if is_digest(reference) and digest != reference:
            raise damaged(self.host, repository, f"the manifest {reference} is there with other bytes ({digest})")
        media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        manifest = Manifest(media_type, answer.body, digest)
        if media_type not in {*IMAGES, *INDEXES}:
            media_type = str(manifest.document.get("mediaType"))
        if media_type not in {*IMAGES, *INDEXES}:
            raise SoundbiteError(
                f"{self.host}/{repository}@{digest} is neither an image nor an index of images, but {media_type}.",
                "Push it again with a docker of this decade.",
            )
        return manifest._replace(media_type=media_type)

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository, sorted ("Listing Tags"); none if there is no such repository.

        Raises
        ------
        SoundbiteError
            The registry does not answer, or refuses.
        """
        call = self._call("GET", repository, f"tags/list?n={_PAGE}", "read the tags of")._replace(
            accepted=_FOUND_OR_NOT
        )
        found: set[str] = set()
        seen: set[str] = set()
        while True:
            answer = self._transport.send(call)
            if answer.status == _NOT_FOUND:
                return sorted(found)
            try:
                found.update(map(str, json.loads(answer.body)["tags"] or ()))
            except (ValueError, KeyError, TypeError):
                raise SoundbiteError(
                    f"The registry {self.host} gave something else for the tags of {repository}.",
                    "Does a registry answer there?",
                ) from None
            if not answer.following or answer.following in seen:
                return sorted(found)
            seen.add(answer.following)
            call = call._replace(url=answer.following)

    def delete(self, repository: str, digest: str) -> None:
        """Delete an image, and with it all its tags ("Deleting Manifests").

        Raises
        ------
        SoundbiteError
            There is no such image, or the registry deletes nothing.
        """
        if not is_digest(digest):
            raise ConfigurationError(f"{digest!r} is not a digest.", "Images are deleted by their digest, not a tag.")
        accepted = frozenset({_ACCEPTED, _NOT_FOUND, _NOT_ALLOWED})
        call = self._call("DELETE", repository, f"manifests/{digest}", f"delete {digest} from", "delete")
        status = self._transport.send(call._replace(accepted=accepted)).status
        if status == _NOT_FOUND:
            raise no_such_image(self.host, repository, digest)
        if status == _NOT_ALLOWED:
            raise SoundbiteError(
                f"The registry {self.host} refuses to delete anything; {repository}@{digest} is still there.",
                "Deleting is a setting of the registry (docker-registry: storage.delete.enabled).",
            )

    def config(self, repository: str, digest: str) -> dict[str, Any]:
        """Return the configuration of an image (OCI image spec, "Image Configuration"), for example its labels.

        Raises
        ------
        SoundbiteError
            There is no such image, its configuration is damaged, or it is an index of several.
        """
        manifest = self.manifest(repository, digest)
        if manifest.is_index:
            raise SoundbiteError(
                f"{self.host}/{repository}@{digest} is an index of several images, each with a configuration.",
                "Name one of its images by its digest.",
            )
        (wanted, *_), *_ = manifest.parts("config")
        call = self._call("GET", repository, f"blobs/{wanted}", "read the configuration of an image of")
        body = self._transport.send(call).body
        if f"sha256:{sha256(body).hexdigest()}" != wanted:
            raise damaged(self.host, repository, f"the configuration {wanted} is there with other bytes")
        try:
            said = json.loads(body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise damaged(self.host, repository, f"the configuration {wanted} is no JSON object")
        return said

    def has_blob(self, repository: str, digest: str, size: int) -> bool:
        """Tell whether a repository has a blob ("Checking if content exists in the registry").

        Raises
        ------
        SoundbiteError
            It has another size there, in bytes, than it should.
        """
        call = self._call("HEAD", repository, f"blobs/{digest}", f"look for the blob {digest} in")
        answer = self._transport.send(call._replace(accepted=_FOUND_OR_NOT))
        if answer.status == _NOT_FOUND:
            return False
        found = answer.headers.get("Content-Length", str(size))
        if found != str(size):
            raise damaged(self.host, repository, f"the blob {digest} has {found} bytes there instead of {size}")
        return True

    @contextmanager
    def blob(self, repository: str, digest: str) -> Iterator[Iterator[bytes]]:
        """Give the bytes of a blob as they come ("Pulling blobs"); whoever takes them has to verify them."""
        import httpx

        call = self._call("GET", repository, f"blobs/{digest}", f"read the blob {digest} of")
        response = self._transport.open(call)

        def chunks() -> Iterator[bytes]:
            try:
                yield from response.iter_raw(_CHUNK)
            except httpx.HTTPError as error:
                raise unreachable(error, self.host, call.doing) from None

        try:
            yield chunks()
        finally:
            response.close()

    def begin(self, repository: str, digest: str, mounted_from: str | None = None) -> str | None:
        """Begin to put a blob into a repository ("POST then PUT", "Mounting a blob from another repository").

        Parameters
        ----------
        mounted_from:
            Another repository of this registry that has the blob; None: it comes from elsewhere.

        Returns
        -------
        str or None
            The address where `upload` sends it. None: it is there now, from the other repository.
        """
        query = "?" + urlencode({"mount": digest, "from": mounted_from}) if mounted_from else ""
        call = self._call("POST", repository, f"blobs/uploads/{query}", f"put the blob {digest} into", "pull,push")
        scopes = (*call.scopes, f"repository:{mounted_from}:pull") if mounted_from else call.scopes
        accepted = frozenset({_CREATED, _ACCEPTED, *_DENIED} if mounted_from else {_ACCEPTED})
        answer = self._transport.once(call._replace(scopes=scopes, accepted=accepted))
        if answer.status in _DENIED:
            # We may write here, but not read there: the bytes have to go through us.
            return self.begin(repository, digest)
        if answer.status == _CREATED:
            return None
        if not answer.location:
            raise SoundbiteError(f"The registry {self.host} does not say where the blob {digest} shall go.")
        return answer.location

    def upload(self, repository: str, digest: str, size: int, chunks: Iterator[bytes], address: str) -> None:
        """Send a blob, once, to where `begin` said ("POST then PUT").

        If it fails, the registry keeps what was sent until it purges unfinished uploads by itself, a week
        in docker-registry: it takes no DELETE for an upload that is further than the address says.
        """
        call = self._call("PUT", repository, "", f"put the blob {digest} into", "pull,push")
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        joint = "&" if "?" in address else "?"
        self._transport.once(
            call._replace(
                url=f"{address}{joint}{urlencode({'digest': digest})}",
                headers=headers,
                content=chunks,
                accepted=frozenset({_CREATED, _NO_CONTENT}),
            )
        )

    def put(self, repository: str, reference: str, manifest: Manifest) -> None:
        """Put a manifest into a repository, under a tag or its digest ("Pushing Manifests").

        Raises
        ------
        SoundbiteError
            It was refused, or the registry has something else under that name afterwards.
        """
        call = self._call("PUT", repository, f"manifests/{_reference(reference)}", f"put {reference} into", "pull,push")
        headers = {"Content-Type": manifest.media_type}
        self._transport.send(call._replace(headers=headers, content=manifest.body, accepted=frozenset({_CREATED})))
        found = self.digest(repository, reference)
        if found != manifest.digest:
            raise damaged(self.host, repository, f"{reference} is {found} there, and not {manifest.digest}")

    def _call(self, method: str, repository: str, path: str, doing: str, actions: str = "pull") -> Call:
        if not is_repository(repository):
            raise ConfigurationError(f"{repository!r} is not a repository.", "Lower case letters, digits, . _ - and /.")
        scopes = (f"repository:{repository}:{actions}",)
        return Call(method, f"v2/{repository}/{path}", f"{doing} {repository}", scopes)


def _reference(text: str) -> str:
    if not is_tag(text) and not is_digest(text):
        raise ConfigurationError(f"{text!r} is neither a tag nor a digest of an image.")
    return text

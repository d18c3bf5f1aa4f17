"""Publishing: an image of this machine gets into an environment's registry, and a digest that names it everywhere."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import tarfile
import tempfile
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from . import console, engine, images, registry, secrets
from .environment import Reference
from .errors import ConfigurationError, SoundbiteError
from .registry import Name, Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .building import Built
    from .cloud import Cloud
    from .environment import Environment
    from .registry import Credentials

_PUSH_TIMEOUT = 1800.0


class Published(NamedTuple):
    """An image in a registry: `repository@sha256:…` is `str()` of `name`, and `how` it came there."""

    name: Name
    how: str


def place(cloud: Cloud, output: Callable[[str], str]) -> str:
    """Return an environment's repository, bound.

    Raises
    ------
    ConfigurationError
        It has none, or the stack that gives it is not deployed.
    """
    environment = cloud.environment
    repository = environment.image.repository
    if repository is None:
        raise ConfigurationError(
            f"{environment.name} has no registry: IMAGE_REPOSITORY is empty ({_origin(environment)}).",
            "Its images stay on this machine; set IMAGE_REPOSITORY to push them.",
        )
    if not isinstance(repository, Reference):
        return repository
    found = output(repository.target)
    if environment.emulated:
        # The emulator is its own registry, and answers where it answers everything else.
        return f"{urlsplit(environment.endpoint_url or '').netloc}/{found.partition('/')[2]}"
    return found


def digest(built: Built, repository: str) -> str | None:
    """Return the digest that an image of this machine has in a repository; None if it never was there."""
    known = engine.image(built.id) or {}
    for each in known.get("RepoDigests") or []:
        name, _, found = each.partition("@")
        if name == repository:
            return str(found)
    return None


def publish(
    built: Built, tag: str, cloud: Cloud, repository: str, elsewhere: list[tuple[Published, Cloud]]
) -> Published:
    """Bring an image into a repository under a tag that never moves, unless it is there.

    Parameters
    ----------
    elsewhere:
        Where the same image was published before, and whose AWS opens that registry: from there it is copied,
        byte for byte, so that its digest is the same.

    Raises
    ------
    SoundbiteError
        The registry refuses, fails, or is out of reach; it then has no tag of it.
    """
    name = Name.parse(f"{repository}:{tag}")
    known = _credentials(cloud, name)
    with Registry(name.registry, known) as target:
        digest = target.digest(name.repository, tag)
        if digest is not None:
            return Published(name._replace(tag=None, digest=digest), "was there")
        for earlier, its_cloud in elsewhere:
            source_name = earlier.name
            assert source_name.digest is not None, "a published image has a digest"
            with Registry(source_name.registry, _credentials(its_cloud, source_name)) as source:
                copied = registry.copy(source, source_name.repository, source_name.digest, target, name.repository, tag)
            how = f"copied, {copied.blobs_copied} blobs, {copied.bytes / 1e6:.0f} MB"
            return Published(name._replace(tag=None, digest=copied.digest), how)
        _push(built, name, known)
        digest = target.digest(name.repository, tag)
    if digest is None:
        raise SoundbiteError(f"docker pushed {name}, but the registry does not have it.", "Push again.")
    return Published(name._replace(tag=None, digest=digest), "pushed")


def carry(digest: str, tag: str, source: tuple[Cloud, str], target: tuple[Cloud, str]) -> Published:
    """Bring an image by its digest from one environment's repository into another's, unless it is there.

    Parameters
    ----------
    tag:
        What it is called there, so that no clean-up takes it for forgotten.
    source, target:
        Whose AWS opens the registry, and the repository.

    Raises
    ------
    SoundbiteError
        The source does not have it, or a registry refuses.
    """
    from_name, to_name = Name.parse(f"{source[1]}@{digest}"), Name.parse(f"{target[1]}@{digest}")
    with Registry(to_name.registry, _credentials(target[0], to_name)) as to:
        if to.digest(to_name.repository, digest) is not None:
            return Published(to_name, "was there")
        with Registry(from_name.registry, _credentials(source[0], from_name)) as origin:
            copied = registry.copy(origin, from_name.repository, digest, to, to_name.repository, tag)
    return Published(to_name, f"copied, {copied.blobs_copied} blobs, {copied.bytes / 1e6:.0f} MB")


def require(cloud: Cloud, image: str) -> None:
    """Refuse where an image is not in its registry.

    Parameters
    ----------
    image:
        `repository@sha256:…`.

    Raises
    ------
    ConfigurationError
        It is gone.
    """
    name = Name.parse(image)
    assert name.digest is not None, "images of deployments have digests"
    with Registry(name.registry, _credentials(cloud, name)) as target:
        if target.digest(name.repository, name.digest) is None:
            raise ConfigurationError(
                f"The image {image} is no longer in its registry. Nothing was changed.", "Deploy another release."
            )


def unpacked(cloud: Cloud, image: str, folder: Path) -> Path:
    """Return a folder with the files of an image that holds nothing but files, fetched once.

    Parameters
    ----------
    image:
        `repository@sha256:…`.
    folder:
        Where such folders are kept.

    Raises
    ------
    SoundbiteError
        The registry does not have it, or its bytes are not those of the digest.
    """
    name = Name.parse(image)
    assert name.digest is not None, "what is fetched has a digest"
    place = folder / name.digest.removeprefix("sha256:")[:16]
    if place.is_dir():
        return place
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as unfinished,
        Registry(name.registry, _credentials(cloud, name)) as source,
    ):
        files_of = Path(unfinished) / "files"
        files_of.mkdir()
        for part in source.manifest(name.repository, name.digest).parts("layers"):
            archive = Path(unfinished) / "layer"
            with source.blob(name.repository, part.digest) as chunks, archive.open("wb") as stream:
                stream.writelines(chunks)
            if f"sha256:{sha256(archive.read_bytes()).hexdigest()}" != part.digest:
                raise SoundbiteError(f"A layer of {image} came with other bytes than its digest says.", "Try again.")
            unpack(archive, files_of)
        try:
            files_of.replace(place)
        except OSError:
            if not place.is_dir():  # else another process was faster
                raise
    return place


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of a tar archive into a folder; Python has a filter for that since 3.11.4, and Debian 12 3.11.2.

    Raises
    ------
    SoundbiteError
        There is something else in it than files and folders, or one whose place is not within the folder.
    """
    root = folder.resolve()
    with tarfile.open(archive) as layer:
        for member in layer:
            place = (root / member.name).resolve()
            content = layer.extractfile(member) if member.isfile() else None
            if not place.is_relative_to(root) or not (content or member.isdir()):
                raise SoundbiteError(
                    f"An image that should hold files alone has {member.name!r} in it, which is none within it.",
                    "Build it anew: inv build; then deploy what was built.",
                )
            if content is None:
                place.mkdir(parents=True, exist_ok=True)
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with content, place.open("wb") as stream:
                shutil.copyfileobj(content, stream)


def signed_in(cloud: Cloud, repository: str) -> dict[str, str] | None:
    """Return what docker on a host needs to pull from a repository, `host` and `auth`; None: nothing."""
    name = Name.parse(f"{repository}:any")
    known = _credentials(cloud, name)
    if known is None:
        return None
    auth = base64.b64encode(f"{known.username}:{known.password}".encode()).decode()
    console.conceal(auth)
    return {"host": name.registry, "auth": auth}


def _push(built: Built, name: Name, known: Credentials | None) -> None:
    engine.run(images.tag(built.id, str(name)))
    with _signed_in(name.registry, known) as variables:
        try:
            engine.run(images.push(str(name)), timeout=_PUSH_TIMEOUT, variables=variables)
        except BaseException as error:
            engine.run(images.remove(str(name)), check=False)  # here it means "is in that registry"
            if not isinstance(error, SoundbiteError):
                raise
            raise SoundbiteError(
                f"{name} could not be pushed; the registry has no such tag.\n{error.message}",
                error.hint or _mend(error.message),
            ) from None


def _mend(message: str) -> str:
    """Return what to do where docker gives little more than a registry's status."""
    if re.search(r"HTTP 405|method not allowed|unsupported", message, re.IGNORECASE):
        return "Is the registry read-only, or under maintenance?"
    if re.search(r"status: 50\d|no space left", message):
        return "The registry's log says why; a full disk is often the reason. Then push again."
    return "What had arrived is used by the next try: push again."


@contextmanager
def _signed_in(host: str, known: Credentials | None) -> Iterator[dict[str, str]]:
    """Give variables with which docker is signed in to one registry; the password is in no argument, and gone after."""
    if known is None:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="soundbite-docker-") as folder:
        entry = base64.b64encode(f"{known.username}:{known.password}".encode()).decode()
        path = Path(folder) / "config.json"
        path.touch(mode=0o600)
        settings = {"auths": {host: {"auth": entry}}, **_context(Path(folder))}
        path.write_text(json.dumps(settings), encoding="utf-8")
        yield {"DOCKER_CONFIG": folder}


def _context(folder: Path) -> dict[str, str]:
    """Link the user's contexts into a folder of docker's settings, and return the one in use: which engine is meant."""
    own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
    if (own / "contexts").is_dir():
        (folder / "contexts").symlink_to((own / "contexts").absolute())
    try:
        current = json.loads((own / "config.json").read_text(encoding="utf-8"))["currentContext"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {"currentContext": str(current)}


def _credentials(cloud: Cloud, name: Name) -> Credentials | None:
    environment = cloud.environment
    password = ""
    if environment.image.password:
        setting = {"IMAGE_PASSWORD": environment.settings["IMAGE_PASSWORD"]}
        password = secrets.bind(setting, cloud, _no_output)["IMAGE_PASSWORD"]
    emulated = environment.emulated and name.registry == urlsplit(environment.endpoint_url or "").netloc
    return registry.credentials(cloud, name, username=environment.image.username or "", password=password, ecr=emulated)


def _no_output(name: str) -> str:
    raise AssertionError(f"a password is no output: {name}")


def _origin(environment: Environment) -> str:
    return str(environment.settings["IMAGE_REPOSITORY"].origin)

"""Building: an image, or the processor's code, once for each content."""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import checkout, engine, files, images, locks, paths
from .errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .environment import Environment
    from .images import Recipe

_TIMEOUT = 1200.0
_ARTIFACTS = paths.CACHE / "processors"
_KEPT = 10


class Built(NamedTuple):
    """An image of this machine.

    Attributes
    ----------
    name:
        Its name here, for example soundbite/api:production-1f0c…
    id:
        The hash of its configuration, `sha256:…`: what names it exactly until a registry gives it a digest.
    revision:
        The commit that it was built from, `-dirty` behind it if the files differed.
    size:
        In bytes, as the engine counts.
    fresh:
        Whether it was built now.
    """

    name: str
    id: str
    content: str
    revision: str
    size: int
    fresh: bool


class Artifact(NamedTuple):
    """The processor's code.

    Attributes
    ----------
    digest:
        The hash of its files' paths and contents, `sha256:…`.
    folder:
        Where it is kept.
    fresh:
        Whether it was built now.
    """

    digest: str
    folder: Path
    fresh: bool


def find(recipe: Recipe) -> Built | None:
    """Return the image of a recipe's content as it is now, if this machine has it."""
    content = recipe.content()
    found = engine.image(recipe.name(content))
    if found is None:
        return None
    labels = found["Config"]["Labels"] or {}
    revision = labels.get(images.REVISION_LABEL, checkout.UNKNOWN)
    return Built(recipe.name(content), found["Id"], content, revision, found["Size"], fresh=False)


def image(recipe: Recipe, on_line: Callable[[str], None] | None = None) -> Built:
    """Build an image, unless this machine has it with the same content.

    One that was built from a dirty tree is labelled anew when the tree is clean: its layers are there already.

    Raises
    ------
    SoundbiteError
        There is no engine, or the build failed; the end of its output is in the message. An older image stays.
    """
    revision = checkout.revision()
    found = find(recipe)
    if found is not None and _says_enough(found.revision, revision):
        return found
    if not (recipe.folder / recipe.dockerfile).is_file():
        raise SoundbiteError(
            f"There is no {recipe.dockerfile} in {recipe.folder}.", "APP_DOCKERFILE names it, relative to APP_DIR."
        )
    with locks.held(_lock(recipe), f"building {recipe.repository}:{recipe.target}", _TIMEOUT):
        found = find(recipe)
        if found is not None and _says_enough(found.revision, revision):
            return found
        content = recipe.content()
        argv = images.build(
            recipe,
            content,
            revision=revision,
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            secrets=images.build_secrets(os.environ),
        )
        engine.run(argv, timeout=_TIMEOUT, on_line=on_line)
        if recipe.content() != content:
            engine.run(images.remove(recipe.name(content)))
            raise SoundbiteError(
                f"The files of {recipe.folder} changed while {recipe.name(content)} was built of them.", "Build again."
            )
    built = find(recipe)
    if built is None:
        raise SoundbiteError(f"docker built {recipe.name(content)}, and then it was gone.", "Build again.")
    return built._replace(fresh=True)


def processor(environment: Environment, on_line: Callable[[str], None] | None = None) -> Artifact | None:
    """Build the processor's code in the image's own build, where neither place nor machine change its bytes.

    Returns
    -------
    Artifact
        None if the application has no processor.

    Raises
    ------
    SoundbiteError
        There is no engine, or the build failed.
    """
    if environment.processor.artifact is None:
        return None
    recipe = images.api(environment)._replace(target="processor")
    folder = _ARTIFACTS / recipe.content()[:16]
    fresh = False
    if not folder.is_dir():
        with locks.held(_lock(recipe), "building the processor", _TIMEOUT):
            fresh = not folder.is_dir()
            if fresh:
                _export(recipe, folder, on_line)
    if not fresh:
        os.utime(folder)
    return Artifact(f"sha256:{files.digest(folder, ['*'])}", folder, fresh)


def _export(recipe: Recipe, folder: Path, on_line: Callable[[str], None] | None) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished:
        made = Path(unfinished) / "processor"
        argv = images.export(recipe, recipe.target, made, secrets=images.build_secrets(os.environ))
        engine.run(argv, timeout=_TIMEOUT, on_line=on_line)
        if not made.is_dir() or not any(made.iterdir()):
            raise SoundbiteError(
                f"The stage `processor` of {recipe.dockerfile} is empty.",
                "It holds what Lambda gets; see app/Dockerfile.",
            )
        made.replace(folder)
    kept = sorted((each for each in folder.parent.iterdir() if each.is_dir()), key=lambda each: -each.stat().st_mtime)
    for old in kept[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


def _says_enough(labelled: str, now: str) -> bool:
    return checkout.is_clean(labelled) or not checkout.is_clean(now)


def _lock(recipe: Recipe) -> Path:
    return paths.CACHE / "builds" / f"{recipe.repository.replace('/', '-')}-{recipe.target}.lock"

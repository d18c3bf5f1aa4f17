"""Images: their names by content, and the docker commands that make, name, send and remove them. Nothing runs here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from . import files, paths, plugins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .environment import Environment

CONTENT_LABEL = "soundbite.content"
TARGET_LABEL = "soundbite.target"
REVISION_LABEL = "org.opencontainers.image.revision"
"""OCI image spec, annotations: the revision of what was packaged."""
CREATED_LABEL = "org.opencontainers.image.created"

PROCESSOR_TARGET = "processor"
_TAG_DIGITS = 16
_EXECUTABLE = 0o100
_CA_VARIABLES = ("NODE_EXTRA_CA_CERTS", "PIP_CERT", "SSL_CERT_FILE")


class Recipe(NamedTuple):
    """How an image is built.

    Attributes
    ----------
    repository:
        Its name without a registry, for example `soundbite/api`.
    folder:
        The build's context.
    inputs:
        Globs in the folder: what the image is made of.
    """

    repository: str
    folder: Path
    dockerfile: str
    target: str
    inputs: Sequence[str]

    def content(self) -> str:
        """Return the hash of what the image is made of and how: SHA-256, 64 hexadecimal digits.

        Of a file count its path, its content, and whether it can be run: what git keeps, and COPY.

        The commit is no part of it: the same content is the same image, whatever the commit is called.
        """
        inputs = self.inputs or ["*"]
        programs = [
            path.relative_to(self.folder).as_posix()
            for path in files.matching(self.folder, inputs)
            if path.stat().st_mode & _EXECUTABLE
        ]
        return files.digest(self.folder, inputs, self.dockerfile, self.target, *programs)

    def tag(self, content: str) -> str:
        """Return the tag of a content; in a registry it never moves."""
        return f"{self.target}-{content[:_TAG_DIGITS]}"

    def name(self, content: str) -> str:
        """Return the name that an image has on this machine, for example soundbite/api:production-1f0c."""
        return f"{self.repository}:{self.tag(content)}"


def api(environment: Environment) -> Recipe:
    """Return the recipe of an environment's application."""
    app = environment.app
    repository = f"{environment.workflow.project.lower()}/api"
    return Recipe(repository, environment.app_dir, app.dockerfile, app.docker_target, app.image_inputs)


def processor(environment: Environment) -> Recipe:
    """Return the recipe of the processor's code, as an image that holds nothing else: so registries keep it."""
    return api(environment)._replace(
        repository=f"{environment.workflow.project.lower()}/processor", target=PROCESSOR_TARGET
    )


def tools(environment: Environment) -> Recipe:
    """Return the recipe of what stands beside the application in `dev.* --containers`: emulated AWS, the follower."""
    repository = f"{environment.workflow.project.lower()}/tools"
    return Recipe(repository, paths.COMPOSE / "tools", "Dockerfile", "tools", ["*"])


def host(environment: Environment) -> Recipe:
    """Return the recipe of a rehearsal's hosts; the registry beside them is started from it too."""
    repository = f"{environment.workflow.project.lower()}/host"
    return Recipe(repository, paths.COMPOSE / "host", "Dockerfile", "host", ["*"])


def build(recipe: Recipe, content: str, *, revision: str, created: str, secrets: Mapping[str, Path]) -> list[str]:
    """Return the command that builds an image.

    Parameters
    ----------
    revision, created:
        The commit, and the time (RFC 3339), for the image's labels.
    secrets:
        Files that steps of the build may read and no layer keeps, by BuildKit's id of each.
    """
    labels = {
        CONTENT_LABEL: content,
        TARGET_LABEL: recipe.target,
        REVISION_LABEL: revision,
        CREATED_LABEL: created,
    }
    return [
        *_build(recipe, recipe.target, secrets),
        *(word for name, value in labels.items() for word in ("--label", f"{name}={value}")),
        *("--tag", recipe.name(content)),
        str(recipe.folder),
    ]


def export(recipe: Recipe, target: str, folder: Path, *, secrets: Mapping[str, Path]) -> list[str]:
    """Return the command that builds a stage and leaves its files in a folder instead of an image."""
    return [*_build(recipe, target, secrets), "--output", f"type=local,dest={folder}", str(recipe.folder)]


def tag(image: str, name: str) -> list[str]:
    """Return the command that gives an image another name."""
    return ["docker", "tag", image, name]


def push(name: str) -> list[str]:
    """Return the command that sends an image to the registry that its name begins with."""
    return ["docker", "push", "--quiet", name]


def remove(*names: str) -> list[str]:
    """Return the command that removes images' names, and the images with their last one."""
    return ["docker", "image", "rm", *names]


def listed(environment: Environment) -> list[str]:
    """Return the command that lists the project's images, one JSON object a line."""
    what = ["--filter", f"label={CONTENT_LABEL}", "--filter", f"reference={environment.workflow.project.lower()}/*"]
    return ["docker", "image", "ls", "--no-trunc", *what, "--format", "{{json .}}"]


def build_secrets(variables: Mapping[str, str]) -> dict[str, Path]:
    """Return the files that a build behind a company's proxy needs: its certificates, and npm's own settings.

    Parameters
    ----------
    variables:
        This process's variables.
    """
    found: dict[str, Path] = {}
    for name in _CA_VARIABLES:
        if variables.get(name) and Path(variables[name]).is_file():
            found.setdefault("ca", Path(variables[name]))
    npmrc = Path(variables.get("NPM_CONFIG_USERCONFIG") or Path(variables.get("HOME", "/")) / ".npmrc")
    if npmrc.is_file():
        found["npmrc"] = npmrc
    return found


def _build(recipe: Recipe, target: str, secrets: Mapping[str, Path]) -> list[str]:
    return [
        *(*plugins.build(), "--progress=plain", "--file", str(recipe.folder / recipe.dockerfile)),
        *("--target", target),
        *(word for name, path in sorted(secrets.items()) for word in ("--secret", f"id={name},src={path}")),
    ]

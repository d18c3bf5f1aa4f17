"""Which release goes out: built from the working tree, named, or the newest verified one stage before."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from soundbite import building, checkout, console, engine, files, images, paths, publishing
from soundbite.errors import ConfigurationError, Refused, SoundbiteError
from soundbite.infrastructure import stacks
from soundbite.parallel import workers
from soundbite.releases import NoLedger, Release
from soundbite.releases.records import release_id

from .scene import Scene, now

if TYPE_CHECKING:
    from pathlib import Path

    from soundbite.environment import Environment

    from .scene import Scene as Stage

_AT_ONCE = 2
_FETCHED = paths.CACHE / "processors"


class Candidate(NamedTuple):
    """A release that is to go out.

    Attributes
    ----------
    release:
        As it is known; its image is "" while it was never in a registry.
    origin:
        Where its images come from: another environment's scene, or None for this machine or this environment itself.
    contents:
        Of a release that is built: the contents of its recipes, by `api` and `processor`.
    """

    release: Release
    origin: Scene | None
    contents: dict[str, str]

    @property
    def built(self) -> bool:
        """Whether it comes from the working tree."""
        return bool(self.contents)


def choose(scene: Scene, wanted: str, *, build: bool) -> Candidate:
    """Choose the release that goes out; nothing is built yet. What is said against one that was named, `marks` tells.

    Parameters
    ----------
    wanted:
        The id of a release, or empty.
    build:
        Take what the working tree is.

    Raises
    ------
    Refused
        The environment takes only what was verified one stage before.
    ConfigurationError
        There is no such release.
    """
    environment = scene.environment
    origin = scene.earlier()
    if wanted and build:
        raise ConfigurationError("--release and --build are two different releases.", "Give one of them.")
    if build or (origin is None and not wanted):
        _require_buildable(scene, first_stage=origin is None)
        return _remembered(scene, of_tree(scene))
    known = _known(scene, wanted) if wanted else None
    if known is not None and any(each.release == wanted and each.verified for each in scene.ledger.deployments()):
        return Candidate(known, None, {})
    if origin is None:
        raise ConfigurationError(
            f"{environment.name} never verified a release {wanted}.", f"inv history --env={environment.name}"
        )
    origin.who = origin.cloud.require_account()
    earlier = origin.environment
    verified = (each.release for each in origin.ledger.deployments() if each.verified and (wanted or not each.bad))
    fit = (each for each in verified if (each == wanted if wanted else not origin.ledger.bad(each)))
    chosen = next(fit, None)
    if chosen is None:
        what = f"release {wanted}" if wanted else "release"
        raise Refused(
            f"{environment.name} takes what was verified in {earlier.name}, and {earlier.name} has no verified {what}.",
            f"inv deploy.{earlier.name} first. A first deployment of {environment.name} may also be built: --build."
            if environment.workflow.build
            else f"inv deploy.{earlier.name} first.",
        )
    newest = origin.ledger.release(chosen)
    if newest is None:
        raise SoundbiteError(f"The ledger of {earlier.name} lacks the release {chosen}.")
    return Candidate(newest, origin, {})


def folder(scene: Stage, candidate: Candidate) -> Path | None:
    """Return the folder with the processor's code of a release; None if there is no processor."""
    if scene.environment.processor.artifact is None:
        return None
    if candidate.built:
        with console.step("processor") as step:
            made = building.processor(scene.environment, step.tell)
            assert made is not None, "the environment has a processor"
            step.detail = f"{made.digest[:19]}, {'built' if made.fresh else 'unchanged'}"
        return made.folder
    source = candidate.origin or scene
    image = f"{_repository(source)}@{candidate.release.processor}"
    return publishing.unpacked(source.cloud, image, _FETCHED)


def require_there(scene: Stage, candidate: Candidate) -> None:
    """Refuse, before anything is changed, where a release could not be brought: its images, or what builds them.

    Raises
    ------
    ConfigurationError
        An image is in neither registry.
    SoundbiteError
        No engine runs here, and it is to be built.
    """
    if candidate.built:
        engine.require_running()
        return
    for digest in (candidate.release.image, candidate.release.processor):
        if digest:
            _require_image(scene, candidate.origin or scene, digest)


def bring(scene: Stage, candidate: Candidate) -> Release:
    """Bring a release's images into the environment's registry, and return it with their digests.

    Raises
    ------
    SoundbiteError
        A build failed, or a registry refuses.
    """
    repository = _repository(scene)
    release = candidate.release
    with console.step("artifacts") as step:
        if candidate.built:
            recipes = _recipes(scene.environment)
            with workers(_AT_ONCE) as submit:
                coming = {name: submit(partial(building.image, recipe, step.tell)) for name, recipe in recipes.items()}
            built = {name: future.result() for name, future in coming.items()}
            if {name: each.content for name, each in built.items()} != candidate.contents:
                raise SoundbiteError(
                    "The working tree changed since the plan was made. Nothing was switched.", "Again."
                )
            found = {
                name: publishing.publish(each, recipes[name].tag(each.content), scene.cloud, repository, [])
                for name, each in built.items()
            }
        elif candidate.origin is not None:
            source = (candidate.origin.cloud, _repository(candidate.origin))
            wanted = {"api": release.image} | ({"processor": release.processor} if release.processor else {})
            found = {
                name: publishing.carry(digest, f"{release.id}-{name}", source, (scene.cloud, repository))
                for name, digest in wanted.items()
            }
        else:
            publishing.require(scene.cloud, f"{repository}@{release.image}")
            step.detail = f"{release.id} is in {repository}"
            return release
        step.detail = f"{release.id}: " + ", ".join(f"{name} {each.how}" for name, each in found.items())
    digests = {name: str(each.name.digest) for name, each in found.items()}
    return replace(release, image=digests["api"], processor=digests.get("processor"))


def repository(scene: Stage) -> str:
    """Return the environment's repository."""
    return _repository(scene)


def of_tree(scene: Stage) -> Candidate:
    """Return what the working tree is, as a release; nothing is built yet."""
    contents = {name: recipe.content() for name, recipe in _recipes(scene.environment).items()}
    id_ = release_id(contents["api"], contents.get("processor"))
    trees = {
        "cdk": files.digest(paths.CDK, ["*.py", "stacks", "cdk.json"]),
        "envs": files.digest(paths.ENVS, ["*.env"]),
    }
    return Candidate(Release(id_, "", None, checkout.revision(), trees, now()), None, contents)


def _require_image(scene: Stage, source: Stage, digest: str) -> None:
    try:
        publishing.require(source.cloud, f"{_repository(source)}@{digest}")
    except ConfigurationError as gone:
        # What was brought before is not fetched again.
        try:
            publishing.require(scene.cloud, f"{_repository(scene)}@{digest}")
        except SoundbiteError:
            raise gone from None


def _remembered(scene: Stage, built: Candidate) -> Candidate:
    """Return what was built as it is known: what was said of it when it was deployed before holds."""
    known = _known(scene, built.release.id)
    if known is None:
        return built
    return built._replace(release=replace(built.release, irreversible=known.irreversible))


def _known(scene: Stage, id_: str) -> Release | None:
    try:
        return scene.ledger.release(id_)
    except NoLedger:
        return None


def _recipes(environment: Environment) -> dict[str, images.Recipe]:
    recipes = {"api": images.api(environment)}
    if environment.processor.artifact is not None:
        recipes["processor"] = images.processor(environment)
    return recipes


def _require_buildable(scene: Stage, *, first_stage: bool) -> None:
    environment = scene.environment
    if not environment.workflow.build:
        raise Refused(
            f"{environment.name} takes only what was verified before, never what is built from a working tree "
            f"({environment.settings['BUILD'].origin}).",
            f"inv deploy.{environment.workflow.promoted_from} first.",
        )
    try:
        begun = scene.ledger.serving() is not None
    except NoLedger:
        begun = False
    if begun and not first_stage:
        raise Refused(
            f"{environment.name} has deployments, so it takes what was verified in "
            f"{environment.workflow.promoted_from}; --build is for its first.",
            f"inv deploy.{environment.workflow.promoted_from} first, then inv deploy.{environment.name}.",
        )


def _repository(scene: Stage) -> str:
    repository = scene.environment.image.repository
    output = stacks.outputs(scene.cloud) if repository is not None and not isinstance(repository, str) else _no_output
    return publishing.place(scene.cloud, output)


def _no_output(name: str) -> str:
    raise AssertionError(f"only a reference asks for {name}")

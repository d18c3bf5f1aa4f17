"""`inv build` and `inv images.*`: from the checkout to images that have a name, and away with those nobody needs."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from . import building, checkout, console, engine, images, publishing
from . import environment as environments
from .cloud import Cloud
from .environment import Reference
from .errors import Refused
from .infrastructure import stacks
from .parallel import workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .building import Artifact, Built
    from .environment import Environment
    from .images import Recipe
    from .publishing import Published

_AT_ONCE = 2


def build(
    names: Sequence[str], *, push: bool = False, plan: bool = False, rehearsal: bool = False
) -> list[dict[str, Any]]:
    """Build what environments run, each content once, and push it if asked to.

    Parameters
    ----------
    names:
        The environments.
    push:
        Bring each image into its environment's registry; the second registry gets a copy from the first.
    plan:
        Say what would be done, and change nothing.
    rehearsal:
        Load the environments with the rehearsal layer.

    Returns
    -------
    list
        By environment: its image (`repository@sha256:…` where it was pushed, else the image's id), whether it was
        built now, and the processor's digest.

    Raises
    ------
    Refused
        The tree has changes, and an environment is a deployed one: what deploys must be what is in the repository.
    SoundbiteError
        No engine, a failed build, a registry that refuses.
    """
    loaded = [environments.load(name, rehearsal=rehearsal) for name in names]
    revision = checkout.revision()
    deployed = [each.name for each in loaded if not each.local]
    if deployed and not rehearsal and not checkout.is_clean(revision):
        raise Refused(
            f"The tree has changes that no commit has ({revision}), and {', '.join(deployed)} "
            "must get what is in the repository. Nothing was built.",
            "Commit or stash them; `git status` shows them. inv build alone builds for dev-localstack from any tree.",
        )
    engine.require()
    recipes = {images.api(each): each for each in loaded}
    if plan:
        return [_planned(each, push=push) for each in loaded]
    with workers(_AT_ONCE) as submit:
        coming = {recipe: submit(partial(_image, recipe)) for recipe in recipes}
        artifacts = {each.app.dir: each for each in loaded}
        processors = {key: submit(partial(_processor, each)) for key, each in artifacts.items()}
    built = {recipe: future.result() for recipe, future in coming.items()}
    published = _publish(loaded, built) if push else {}
    return [
        _report(each, built[images.api(each)], published.get(each.name), processors[each.app.dir].result())
        for each in loaded
    ]


def listing() -> list[dict[str, Any]]:
    """Return the images of ours that this machine has, newest first."""
    environment = environments.load("dev-localstack")
    used = _used()
    found: dict[str, dict[str, Any]] = {}
    for line in engine.run(images.listed(environment)).stdout.splitlines():
        entry = json.loads(line)
        known = engine.image(entry["ID"])
        if known is None:
            continue
        labels = known["Config"]["Labels"]
        found[entry["ID"]] = {
            "name": f"{entry['Repository']}:{entry['Tag']}",
            "id": known["Id"],
            "names": sorted({*(known.get("RepoTags") or []), *(known.get("RepoDigests") or [])}),
            "target": labels.get(images.TARGET_LABEL, ""),
            "revision": labels.get(images.REVISION_LABEL, ""),
            "created": labels.get(images.CREATED_LABEL, known["Created"]),
            "size": known["Size"],
            "in_use": known["Id"] in used,
        }
    return sorted(found.values(), key=lambda each: str(each["created"]), reverse=True)


def prune(keep: int, *, plan: bool = False) -> list[str]:
    """Remove old images of ours from this machine: all but the newest of each kind, those in use, and today's content.

    Parameters
    ----------
    keep:
        How many of each repository and target stay.
    plan:
        Only say which.

    Returns
    -------
    list
        The names of the images that were, or would be, removed.
    """
    current = {
        recipe.name(recipe.content())
        for name in environments.names()
        for make in (images.api, images.processor, images.tools, images.host)
        for recipe in [make(environments.load(name))]
    }
    seen: dict[tuple[str, str], int] = {}
    doomed: list[dict[str, Any]] = []
    for each in listing():
        kind = (each["name"].partition(":")[0], each["target"])
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] > keep and not each["in_use"] and each["name"] not in current:
            doomed.append(each)
    if not plan:
        for each in doomed:
            engine.run(images.remove(*_removable(each["names"])))
    return [each["name"] for each in doomed]


def _removable(names: Sequence[str]) -> list[str]:
    """Return the names to remove: with a repository's last tag docker removes the digests that it has there."""
    tagged = {name.rpartition(":")[0] for name in names if "@" not in name}
    return [name for name in names if name.partition("@")[0] not in tagged]


def _image(recipe: Recipe) -> Built:
    with console.step(recipe.target) as step:
        built = building.image(recipe, step.tell)
        step.detail = f"{built.name}, {built.size / 1e6:.0f} MB, {'built' if built.fresh else 'unchanged'}"
        return built


def _processor(environment: Environment) -> Artifact | None:
    with console.step("processor") as step:
        made = building.processor(environment, step.tell)
        step.detail = "there is none" if made is None else f"{made.digest}, {'built' if made.fresh else 'unchanged'}"
        return made


def _publish(loaded: Sequence[Environment], built: dict[Recipe, Built]) -> dict[str, Published]:
    published: dict[str, Published] = {}
    earlier: dict[Recipe, list[tuple[Published, Cloud]]] = {}
    for environment in loaded:
        recipe = images.api(environment)
        cloud = Cloud(environment)
        if isinstance(environment.image.repository, Reference):
            cloud.require_account()
            output = stacks.outputs(cloud)
        else:
            output = _no_output
        with console.step("push") as step:
            repository = publishing.place(cloud, output)
            tag = recipe.tag(built[recipe].content)
            step.progress = f"{repository}:{tag}"
            known = earlier.setdefault(recipe, [])
            found = publishing.publish(built[recipe], tag, cloud, repository, known)
            known.append((found, cloud))
            published[environment.name] = found
            step.detail = f"{environment.name}: {found.name}, {found.how}"
    return published


def _no_output(name: str) -> str:
    raise AssertionError(f"only a reference asks for {name}")


def _planned(environment: Environment, *, push: bool) -> dict[str, Any]:
    recipe = images.api(environment)
    content = recipe.content()
    there = building.find(recipe) is not None
    plan = {
        "environment": environment.name,
        "image": recipe.name(content),
        "would": "be taken as it is" if there else "be built",
    }
    if push:
        plan["push"] = str(environment.image.repository or "nowhere: IMAGE_REPOSITORY is empty")
    return plan


def _report(
    environment: Environment, built: Built, published: Published | None, processor: Artifact | None
) -> dict[str, Any]:
    return {
        "environment": environment.name,
        "image": str(published.name) if published else built.id,
        "name": built.name,
        "revision": built.revision,
        "built": built.fresh,
        "processor": processor.digest if processor else None,
    }


def _used() -> set[str]:
    ids = engine.run(["docker", "ps", "--all", "--quiet", "--no-trunc"]).stdout.split()
    if not ids:
        return set()
    return set(engine.run(["docker", "inspect", "--format", "{{.Image}}", *ids], check=False).stdout.split())

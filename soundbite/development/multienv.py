"""`inv dev.multienv`: all environments side by side on this machine, behind one nginx, on emulated AWS.

Each is what it is when deployed, but for the rehearsal layer: the production image by its digest, its own compose
files, network, settings and account.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import application, building, compose, console, emulator, engine, images, locks, publishing, secrets, web
from soundbite import environment as environments
from soundbite.cloud import Cloud
from soundbite.errors import ConfigurationError, SoundbiteError
from soundbite.infrastructure import assembly, functions, stacks
from soundbite.parallel import workers
from soundbite.platforms.fleet import Fleet, Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from soundbite.building import Built
    from soundbite.environment import Environment

_LOCK_WAIT = 600
_AT_ONCE = 2


def up() -> list[dict[str, Any]]:
    """Bring all environments up, and see through the proxy that each is what it says.

    What this run started is taken down again if it fails.

    Returns
    -------
    list
        By environment: its addresses, its account, its image, and what it says of itself.

    Raises
    ------
    SoundbiteError
        A step failed. For a container that never gets ready, the message has its log and what its health check says.
    ConfigurationError
        The rehearsal layer's guard, or two environments that claim the same place.
    """
    fleet = _fleet()
    engine.require()
    clouds = [Cloud(each) for each in fleet.environments]
    with locks.held(fleet.folder / "lock", "bringing all environments up", _LOCK_WAIT), _undone_on_failure(fleet):
        fleet.require_place()
        image = _ground(fleet.environments, clouds[0])
        outputs = _infrastructure(clouds)
        with console.step("environments") as step, workers(_AT_ONCE) as submit:
            for job in [submit(partial(fleet.start, each, outputs[each.environment.name], image)) for each in clouds]:
                job.result()
            step.detail = ", ".join(each.name for each in fleet.environments)
        with console.step("proxy") as step:
            fleet.start_proxy()
            step.detail = f"http://127.0.0.1:{fleet.port}"
        with console.step("ready") as step:
            for each in fleet.environments:
                step.progress = f"waiting for {each.name}"
                fleet.await_ready(each)
            said = [_said(fleet, each, image) for each in fleet.environments]
            step.detail = "each answers through the proxy, as what it is"
    return said


def down() -> list[str]:
    """Take everything of `up` down; emulated AWS saves its state.

    Returns
    -------
    list
        What ran.
    """
    fleet = _fleet()
    engine.require()
    with locks.held(fleet.folder / "lock", "taking all environments down", _LOCK_WAIT):
        return _take_down(fleet, set())


def _fleet() -> Fleet:
    return Fleet([environments.load(name, rehearsal=True) for name in environments.order()])


def _ground(loaded: Sequence[Environment], cloud: Cloud) -> Image:
    """Make what all need, at once: emulated AWS, the image, the processor's code, aws-cdk."""
    first = loaded[0]
    with workers(_AT_ONCE) as submit:
        cli = submit(lambda: application.cdk_cli().ensure())
        image = submit(partial(_image, loaded))
        with console.step("emulator") as step:
            started = emulator.start(first, cloud, emulator.process(first))
            step.detail = f"{first.endpoint_url}, {'started' if started.fresh else 'was running'}"
        if started.lost:
            console.warn(started.lost)
        for name, work in (("dependencies", application.dependencies(first)), ("build", application.build(first))):
            if work is not None:
                with console.step(name) as step:
                    step.detail = "done" if work.ensure(step.tell) else "unchanged"
        cli.result()
        return image.result()


def _image(loaded: Sequence[Environment]) -> Image:
    recipes = {images.api(each) for each in loaded}
    if len(recipes) > 1:
        targets = ", ".join(sorted(f"{each.dockerfile} {each.target}" for each in recipes))
        raise ConfigurationError(f"The environments would run different images: {targets}.", "See APP_DOCKER_TARGET.")
    with console.step("image") as step:
        built = building.image(recipes.pop(), step.tell)
        found = _named(built, loaded[0])
        step.detail = f"{found.name}, {'built' if built.fresh else 'unchanged'}"
        return found


def _named(built: Built, environment: Environment) -> Image:
    """Return the image by its digest where it was pushed to the environments' registry, and by its id elsewhere."""
    repository = environment.image.repository
    digest = publishing.digest(built, repository) if isinstance(repository, str) else None
    if digest is None:
        return Image(built.id, built.id, built.revision)
    return Image(f"{repository}@{digest}", digest, built.revision)


def _infrastructure(clouds: Sequence[Cloud]) -> dict[str, stacks.Output]:
    """Bring every environment's stacks up to date: accounts at once, environments of one account in turn."""
    accounts: dict[str, list[Cloud]] = {}
    for cloud in clouds:
        accounts.setdefault(cloud.environment.aws.account_id, []).append(cloud)
    found: dict[str, stacks.Output] = {}

    def deploy(of_account: Sequence[Cloud]) -> None:
        for cloud in of_account:
            found[cloud.environment.name] = _deployed(cloud)

    with workers(_AT_ONCE) as submit:
        for job in [submit(partial(deploy, of_account)) for of_account in accounts.values()]:
            job.result()
    return found


def _deployed(cloud: Cloud) -> stacks.Output:
    name, account = cloud.environment.name, cloud.environment.aws.account_id
    with console.step("infrastructure") as step:
        step.progress = name
        cloud.require_account()
        made = assembly.synth(cloud.environment)
        waiting = stacks.pending(cloud, made)
        if waiting:
            stacks.bootstrap(cloud, step.tell)
            stacks.deploy(cloud, made, step.tell)
        secrets.make_missing(cloud.environment.app_env, cloud)
        _point(cloud)
        done = f"{len(waiting)} stacks deployed" if waiting else "unchanged"
        step.detail = f"{name} in account {account}, {done}"
    return stacks.outputs(cloud)


def _point(cloud: Cloud) -> None:
    """Let the processor's newest code run: elsewhere a deployment's switch does."""
    function = functions.name(cloud, stacks.outputs(cloud))
    if function and not cloud.environment.local:
        functions.point(cloud, function, functions.publish(cloud, function))


def _said(fleet: Fleet, environment: Environment, image: Image) -> dict[str, Any]:
    url = fleet.url(environment)
    answer = web.get(f"{url}{environment.app.health_path}", 5)
    try:
        health = dict(answer.json())
    except (ValueError, TypeError):
        health = {}  # another application may say no more than 200
    for name, wanted in (("environment", environment.name), ("release", image.release)):
        if health.get(name, wanted) != wanted:
            raise SoundbiteError(
                f"{url} says that its {name} is {health[name]}, not {wanted}.", "inv dev.multienv --down"
            )
    return {
        "environment": environment.name,
        "url": url,
        "host": environment.app.url,
        "account": environment.aws.account_id,
        "image": image.name,
        "answers": {name: health.get(name) for name in ("environment", "release", "revision")},
    }


@contextmanager
def _undone_on_failure(fleet: Fleet) -> Iterator[None]:
    emulated = emulator.process(fleet.environments[0]).pid() is not None
    before = fleet.running() | ({emulator.NAME} if emulated else set())
    try:
        yield
    except BaseException:
        try:
            _take_down(fleet, before)
        except SoundbiteError as error:  # what led here says more
            console.warn(f"Not everything could be taken down again: {error.message}")
        raise


def _take_down(fleet: Fleet, but: set[str]) -> list[str]:
    first = fleet.environments[0]
    with console.step("containers") as step:
        ran = fleet.take_down(but)
        step.detail = f"{', '.join(ran) or 'none'} taken down"
    rehearsed = engine.containers(f"{compose.OWNER_LABEL}={fleet.folder}", compose.REHEARSAL_LABEL)
    if rehearsed:
        console.say("  emulated AWS goes on: the hosts of inv rehearse.up use it.")
    elif emulator.NAME not in but and emulator.process(first).pid() is not None:
        with console.step("stop emulator") as step:
            step.detail = emulator.stop(first, emulator.process(first)) or "state saved"
        ran.append(emulator.NAME)
    return ran

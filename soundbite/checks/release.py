"""What runs is what the ledger says: on every host, and behind the processor's alias.

On this machine, where no ledger knows of it: what was built.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import secrets
from soundbite.errors import ConfigurationError, Inconclusive, SoundbiteError
from soundbite.infrastructure import functions
from soundbite.parallel import Asked, Late
from soundbite.platforms import hosts, platform
from soundbite.releases import Ledger, Lock
from soundbite.releases.lock import HELD, INTERRUPTED

from .model import DEPLOYED, LOCAL, Failed, Scene, Skipped, Warned, check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.platforms.hosts import Remote
    from soundbite.releases import Deployment

_ONLY = (DEPLOYED,)
_HOST_TIMEOUT = 15.0
_WATCHED = 30.0
"""Seconds that a lock is watched."""
_POLL = 0.5
_LAST_WORD = 0.3
"""Seconds before the end of all checks that are needed to say what there was no answer to."""
_LEAST_FREE = 2 * 2**30
"""Bytes that an image of SoundBite's kind, and the one before it, take with room to unpack."""
_MEND = "--resume finishes it, --abort takes it back"


def serving(scene: Scene) -> Deployment:
    """Return the deployment that serves, as the ledger has it.

    Raises
    ------
    Failed
        Nothing was deployed yet.
    """

    def find() -> Deployment | None:
        ledger = Ledger(scene.cloud)
        id_ = ledger.serving()
        return ledger.deployment(id_) if id_ else None

    found = scene.once("serving", find)
    if found is None:
        raise Failed("nothing was deployed yet")
    return found


@check("release.recorded", environments=_ONLY)
def recorded(scene: Scene) -> str:
    """The deployment that serves was verified, and its release is not marked bad."""
    found = serving(scene)
    if not found.verified:
        raise Failed(f"{found.id} serves, and was never verified (it {found.outcome or 'is unfinished'})")
    bad = found.bad or Ledger(scene.cloud).bad(found.release)
    if bad:
        raise Warned(f"{found.id} serves, although {found.release} was marked bad: {bad}")
    return f"{found.id}: {found.release}, commit {found.commit}, by {found.who}, {found.started}"


@check("release.lock", deadline=40, environments=_ONLY)
def lock(scene: Scene) -> str:
    """No operation was left half done."""
    watched = Lock(Ledger(scene.cloud), scene.environment.workflow.lock_lease)
    seen = watched.look()
    began = time.monotonic()
    while seen.state == HELD:
        # Whoever was killed left it as it was: that its holder lives is told by the beat alone.
        stood = time.monotonic() - began
        if stood > seen.lease:
            raise Failed(f"its holder has not moved for {seen.lease:.0f} s: {seen.told()}; {_MEND}")
        if stood > _WATCHED or time.monotonic() > scene.until - _LAST_WORD:
            raise Inconclusive(f"not known whether its holder lives, it stood still for {stood:.0f} s: {seen.told()}")
        time.sleep(_POLL)
        now = watched.look()
        if now.state == HELD and (now.token, now.beat) != (seen.token, seen.beat):
            raise Warned(f"somebody is at work: {now.told()}")
        seen = now
    if seen.state == INTERRUPTED:
        raise Failed(f"interrupted: {seen.told()}; {_MEND}")
    return seen.state


@check("release.hosts", environments=_ONLY)
def on_hosts(scene: Scene) -> str:
    """Every host, or the ECS service, serves the deployment that the ledger says, and is healthy."""
    wanted = serving(scene).id
    problems = _missing(scene)
    asked = _statuses(scene)
    for name, told in asked.told.items():
        found = told.get("serving") or {}
        if found.get("deployment") != wanted:
            problems.append(f"{name} serves {found.get('deployment') or 'nothing'}, not {wanted}")
        elif found.get("state") != "running":
            code = f" (exit code {found['exit_code']})" if found.get("exit_code") is not None else ""
            problems.append(
                f"{name}: its {'container' if 'proxy' in told else 'service'} is {found.get('state')}{code}"
            )
        if told.get("proxy", "running") != "running":
            problems.append(f"{name}: its proxy is {told['proxy']}")
    asked.judge(problems)
    return f"{', '.join(asked.told)} serve {wanted}"


@check("release.digest", environments=_ONLY)
def digest(scene: Scene) -> str:
    """Every host, or the ECS service, runs the image whose digest the ledger says."""
    wanted = serving(scene).image.rpartition("@")[2]
    problems = []
    asked = _statuses(scene)
    for name, told in asked.told.items():
        image = str((told.get("serving") or {}).get("image") or "nothing")
        if image.rpartition("@")[2] != wanted:
            problems.append(f"{name} runs {image}, not {wanted}")
    asked.judge(problems)
    return wanted


@check("release.restarts", environments=_ONLY)
def restarts(scene: Scene) -> str:
    """No host's container was restarted since it was deployed."""
    _require_hosts(scene, "ECS replaces tasks and restarts none")
    asked = _statuses(scene)
    counts = {name: int((told.get("serving") or {}).get("restarts") or 0) for name, told in asked.told.items()}
    told = ", ".join(f"{name}: {count} restarts" for name, count in counts.items() if count)
    asked.require_all(told)
    if told:
        raise Warned(told)
    return "none"


@check("release.room", environments=_ONLY)
def room(scene: Scene) -> str:
    """Every host has room for the next image."""
    _require_hosts(scene, "every task has a disk of its own")
    asked = _statuses(scene)
    free = {name: int(told["free"]) for name, told in asked.told.items()}
    low = {name: bytes_ for name, bytes_ in free.items() if bytes_ < _LEAST_FREE}
    told = ", ".join(f"{name} {bytes_ / 2**30:.1f} GiB free" for name, bytes_ in (low or free).items())
    asked.require_all(told if low else "")
    if low:
        raise Warned(told)
    return told


@check("release.processor", environments=_ONLY)
def processor(scene: Scene) -> str:
    """The processor's alias points at the version of the deployment that serves."""
    wanted = serving(scene).processor_version
    function = functions.name(scene.cloud, scene.output)
    if function is None:
        raise Skipped("there is no processor (PROCESSOR_ARTIFACT is empty)")
    found = functions.pointed(scene.cloud, function)
    if found != wanted:
        raise Failed(f"the alias points at version {found}, and {serving(scene).id} has version {wanted}")
    return f"version {found}"


@check("release.secrets", environments=_ONLY)
def current_secrets(scene: Scene) -> str:
    """The application has the newest version of each secret."""
    had = serving(scene).secrets
    if not had:
        raise Skipped("the application is given no secrets")
    now = scene.once("secrets", lambda: secrets.versions(scene.environment.app_env, scene.cloud))
    older = [name for name, (reference, version) in had.items() if list(now.get(name, ())) != [reference, version]]
    if older:
        raise Warned(f"changed since {serving(scene).id}: {', '.join(older)}; a deployment brings the newest")
    return f"{len(had)} secrets"


@check("release.container", environments=(LOCAL,))
def in_container(scene: Scene) -> str:
    """The application's container runs the image that was built for it."""
    from soundbite.platforms import room as rooms
    from soundbite.platforms.containers import Containers

    room = rooms.of(scene.environment)
    if not isinstance(room, Containers):
        raise Skipped("it runs from its source, without containers")
    name, built, runs = room.images()
    again = f"inv dev.down --env={scene.environment.name}, and bring it up again"
    if not runs:
        raise Failed(f"there is no container of {name}: {again}")
    if not built:
        raise Failed(f"the image {name} is gone, and its container runs {runs}: {again}")
    if runs != built:
        raise Failed(f"the container runs {runs}, and {name} is {built}: {again}")
    return f"{name}, {runs}"


def _require_hosts(scene: Scene, why: str) -> None:
    if scene.environment.workflow.platform != "hosts":
        raise Skipped(f"PLATFORM={scene.environment.workflow.platform}: {why}")


def _missing(scene: Scene) -> list[str]:
    """Return which hosts there should be that do not run: nothing can be asked of them, and they serve nobody.

    Raises
    ------
    Failed
        None runs.
    """
    if scene.environment.workflow.platform != "hosts" or scene.environment.hosts.listed:
        return []
    problems = [f"{name} is {state}" for name, state in hosts.astray(scene.cloud)]
    try:
        found = len(hosts.find(scene.cloud))
    except ConfigurationError as error:
        raise Failed("; ".join([error.message, *problems])) from None
    wanted = scene.environment.hosts.count
    if found < wanted:
        problems.insert(0, f"{found} of the {wanted} hosts that HOSTS_COUNT asks for run")
    return problems


class _Asked(NamedTuple):
    """What each host, or the ECS service, tells of itself by its name, and of whom there is no answer, and why."""

    told: dict[str, dict[str, Any]]
    silent: Sequence[str] = ()
    hint: str = ""

    def judge(self, problems: Sequence[str]) -> None:
        """Refuse what is wrong with those that answered, whoever else is silent.

        Raises
        ------
        Failed
            Something is; the silent ones are named, too.
        Inconclusive
            Nothing is known to be, but not all have answered.
        """
        if problems:
            raise Failed("; ".join([*problems, *self.silent]))
        self.require_all()

    def require_all(self, found: str = "") -> None:
        """Refuse to judge by some of them only.

        Parameters
        ----------
        found:
            What the others told that somebody should look at.

        Raises
        ------
        Inconclusive
            Not all have answered.
        """
        if self.silent:
            raise Inconclusive("; ".join([*self.silent, *([found] if found else [])]), self.hint)


def _statuses(scene: Scene) -> _Asked:
    on_hosts = scene.environment.workflow.platform == "hosts"
    return scene.once("statuses", lambda: _asked(scene) if on_hosts else _looked(scene))


def _looked(scene: Scene) -> _Asked:
    with platform.of(scene.cloud) as found:
        found.find()
        return _Asked(found.look())


def _asked(scene: Scene) -> _Asked:
    began = time.monotonic()
    until = min(began + _HOST_TIMEOUT, scene.until - _LAST_WORD)
    remotes = hosts.Remotes(hosts.find(scene.cloud), scene.environment)
    asked = {each.host.name: Asked(partial(_look, each), each.host.name) for each in remotes.all}
    found: dict[str, dict[str, Any]] = {}
    problems, late = [], []
    for name, each in asked.items():
        try:
            found[name] = each.result(until)
        except Late:
            late.append(name)
        except SoundbiteError as error:
            problems.append(error.message)
    if late:
        problems.append(f"no answer of {', '.join(late)} within {until - began:.0f} s")
    return _Asked(dict(sorted(found.items())), problems, f"inv hosts.ping --env={scene.environment.name}")


def _look(remote: Remote) -> dict[str, Any]:
    try:
        return remote.look()
    finally:
        remote.close()

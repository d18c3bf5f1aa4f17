"""When hosts are ready: sshd and engine of each answer, and each has the image of the proxy."""

from __future__ import annotations

import shlex
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from soundbite import engine
from soundbite.errors import SoundbiteError
from soundbite.parallel import workers
from soundbite.platforms.hosts import HostFailed, Remotes
from soundbite.waiting import pause

from . import place as places
from .hosts import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from soundbite.environment import Environment
    from soundbite.platforms.hosts import Host, Remote

    from .place import Place

_TIMEOUT = 60.0
_ASK_TIMEOUT = 8.0
_LOAD_TIMEOUT = 300.0
_POLL = 0.1
_TAIL = 15
_AT_ONCE = 4


def wait(environment: Environment, hosts: Sequence[Host], tell: Callable[[str], None]) -> None:
    """Wait until every host's sshd and engine answer, and see that each has the proxy's image.

    Raises
    ------
    SoundbiteError
        One does not within 60 s; the message says why, and has the end of its engine's log.
    """
    place = places.of(environment)
    deadline = time.monotonic() + _TIMEOUT
    with Remotes(hosts, environment) as remotes:
        waiting = remotes.all
        while waiting:
            tell(f"waiting for {', '.join(each.host.name for each in waiting)}")
            looked = time.monotonic()
            answers, failures = remotes.each(_engine, waiting)
            waiting = [each for each in waiting if each.host.id not in answers]
            if waiting and time.monotonic() > deadline:
                raise _not_ready(waiting[0].host, failures)
            if waiting:
                pause(looked, _POLL)
        wanted = environment.hosts.proxy_image
        # One that is named by its digest is pulled: what is loaded from a file has none.
        lacking = [] if "@" in wanted else _lacking(remotes, wanted)
        if lacking:
            tell(f"loading {wanted}")
            _load(place, wanted, [each.host.name for each in lacking])


def _engine(remote: Remote) -> dict[str, Any]:
    """Ask a host for the version of its engine."""
    asked = "sudo -n docker version --format '{{.Server.Version}}'"
    code, out, err = remote.run(asked, timeout=_ASK_TIMEOUT)
    if code:
        raise HostFailed(remote.host, f"its engine does not answer: {(err + out).strip()[-300:]}")
    return {"engine": out.strip()}


def _not_ready(host: Host, failures: Sequence[SoundbiteError]) -> SoundbiteError:
    why = next((each.message for each in failures if isinstance(each, HostFailed) and each.host == host), "")
    log = engine.run(["docker", "exec", host.name, "tail", f"--lines={_TAIL}", "/var/log/dockerd.log"], check=False)
    return SoundbiteError(
        f"{host.name} is not ready after {_TIMEOUT:.0f} s: {why}\nThe end of its engine's log:\n"
        f"{(log.stdout + log.stderr).rstrip()}",
        "Try again. inv rehearse.down first, where a host broke that was there already.",
    )


def _lacking(remotes: Remotes, image: str) -> list[Remote]:
    """Return the hosts that do not have an image."""

    def has(remote: Remote) -> dict[str, Any]:
        code, _, _ = remote.run(f"sudo -n docker image inspect {shlex.quote(image)}", timeout=_ASK_TIMEOUT)
        return {"lacks": bool(code)}

    answers, failures = remotes.each(has)
    if failures:
        raise failures[0]
    return [each for each in remotes.all if answers[each.host.id]["lacks"]]


def _load(place: Place, image: str, names: Sequence[str]) -> None:
    """Give an image of this machine to hosts, which elsewhere pull it."""
    if engine.image(image) is None:
        engine.run(["docker", "pull", "--quiet", image], timeout=_LOAD_TIMEOUT)
    file = place.shared / "proxy.tar"
    try:
        engine.run(["docker", "save", "--output", str(file), image], timeout=_LOAD_TIMEOUT)
        file.chmod(0o644)
        with workers(_AT_ONCE) as submit:
            load = ["docker", "load", "--quiet", "--input", f"{SHARED}/{file.name}"]
            jobs = [submit(partial(_inside, each, load)) for each in names]
            for job in jobs:
                job.result()
    finally:
        file.unlink(missing_ok=True)


def _inside(host: str, argv: Sequence[str]) -> None:
    engine.run(["docker", "exec", host, *argv], timeout=_LOAD_TIMEOUT)

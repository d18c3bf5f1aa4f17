"""A deployment brought onto all hosts: staged everywhere, switched first on one, then in batches; or taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.platforms.platform import StageFailed, SwitchFailed

from . import bundle
from .remote import require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from soundbite.errors import SoundbiteError

    from .remote import Remote, Remotes

_PULL_TIMEOUT, _STEP = 660.0, 120.0
_GRACE = 45.0
"""Seconds beyond the drain that stopping and cleaning may take."""


class Rollout:
    """One deployment on an environment's hosts.

    Parameters
    ----------
    plan:
        The operation's frozen plan: `deployment`, `before`, `bundle`, `proxy`, `unit`, `drain`, `batch`; `offline`
        where the ledger will not know of it.
    token:
        That of the environment's lock; hosts refuse a lower one than they have seen.
    tell:
        Takes a line of progress.
    """

    def __init__(self, remotes: Remotes, plan: Mapping[str, Any], token: int, tell: Callable[[str], None]) -> None:
        self._remotes = remotes
        self._plan = plan
        self._token = token
        self._tell = tell

    def stage(self, secrets: Mapping[str, str], registry: Mapping[str, str] | None) -> None:
        """Start the deployment beside what serves: on the first host alone, then on the others at once.

        Raises
        ------
        StageFailed
            It did not get ready; each host's reason is in the message.
        """
        ground = bundle.ground_of(self._plan)
        order = self._order(**self._plan["bundle"], **ground, secrets=dict(secrets), registry=registry)

        first, rest = self._remotes.all[:1], self._remotes.all[1:]
        for chosen in (first, rest):
            self._tell(f"{', '.join(each.host.name for each in chosen)}")
            _, failures = self._each("stage", order, chosen, timeout=_PULL_TIMEOUT)
            require(failures, StageFailed)

    def switch(self) -> None:
        """Let it serve: on the first host, and when that proves it, on the others in batches.

        Raises
        ------
        SwitchFailed
            A host failed; those after it were not switched.
        """
        order = self._order(**({"offline": True} if self._plan.get("offline") else {}))
        size = int(self._plan["batch"])
        hosts = self._remotes.all
        batches = [hosts[:1], *(hosts[at : at + size] for at in range(1, len(hosts), size))]
        for batch in batches:
            self._tell(f"{', '.join(each.host.name for each in batch)}")
            _, failures = self._each("switch", order, batch)
            require(failures, SwitchFailed)

    def prove(self) -> str:
        """See that every host serves it, and that proxy and application answer there.

        Raises
        ------
        SwitchFailed
            One does not.
        """
        answers, failures = self._each("prove", self._order())
        require(failures, SwitchFailed)
        return f"{len(answers)} hosts serve {self._plan['deployment']}"

    def back(self) -> list[SoundbiteError]:
        """Let serve again what served before, on every host; return what failed.

        Hosts have all that it takes: no secret that was deleted since, and no registry, keeps them from it.
        """
        order = self._order(deployment=self._plan["before"]["deployment"], leave=self._plan["deployment"])

        def one(remote: Remote) -> dict[str, Any]:
            remote.ensure_agent()
            remote.call("back", order, timeout=_PULL_TIMEOUT)
            return remote.call("abandon", order)

        return self._remotes.each(one)[1]

    def drain(self) -> list[SoundbiteError]:
        """Stop what served before, after the time it has; return what failed, which harms nobody."""
        seconds = float(self._plan["drain"])
        order = self._order(seconds=seconds)
        return self._each("drain", order, timeout=seconds + _GRACE)[1]

    def abandon(self) -> list[SoundbiteError]:
        """Stop what was started beside what serves, and take its files away; return what failed."""
        return self._each("abandon", self._order(leave=self._plan["deployment"]))[1]

    def _order(self, **more: Any) -> dict[str, Any]:
        return {"token": self._token, "deployment": self._plan["deployment"], **more}

    def _each(
        self, verb: str, order: Mapping[str, Any], chosen: Sequence[Remote] | None = None, *, timeout: float = _STEP
    ) -> tuple[dict[str, dict[str, Any]], list[SoundbiteError]]:
        """Have hosts do a step at once, each with this version's agent."""

        def one(remote: Remote) -> dict[str, Any]:
            remote.ensure_agent()
            return remote.call(verb, order, timeout=timeout)

        return self._remotes.each(one, chosen)

"""A deployment brought onto all hosts: staged everywhere, switched first on one, then in batches; or taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.errors import Locked, SoundbiteError
from soundbite.platforms.platform import StageFailed, SwitchFailed

from . import bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .remote import Remote, Remotes

_PULL_TIMEOUT = 660.0
_GRACE = 45.0
"""Seconds beyond the drain that stopping and cleaning may take."""


class Rollout:
    """One deployment on an environment's hosts.

    Parameters
    ----------
    plan:
        The operation's frozen plan: `deployment`, `before`, `bundle`, `proxy`, `unit`, `drain`, `batch`.
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

        def one(remote: Remote) -> dict[str, Any]:
            remote.ensure_agent()
            return remote.call("stage", order, timeout=_PULL_TIMEOUT)

        first, rest = self._remotes.all[:1], self._remotes.all[1:]
        for chosen in (first, rest):
            self._tell(f"{', '.join(each.host.name for each in chosen)}")
            _, failures = self._remotes.each(one, chosen)
            self._raise(failures, StageFailed)

    def switch(self) -> None:
        """Let it serve: on the first host, and when that proves it, on the others in batches.

        Raises
        ------
        SwitchFailed
            A host failed; those after it were not switched.
        """
        size = int(self._plan["batch"])
        hosts = self._remotes.all
        batches = [hosts[:1], *(hosts[at : at + size] for at in range(1, len(hosts), size))]
        for batch in batches:
            self._tell(f"{', '.join(each.host.name for each in batch)}")
            _, failures = self._remotes.each(lambda remote: remote.call("switch", self._order()), batch)
            self._raise(failures, SwitchFailed)

    def prove(self) -> str:
        """See that every host serves it, and that proxy and application answer there.

        Raises
        ------
        SwitchFailed
            One does not.
        """
        answers, failures = self._remotes.each(lambda remote: remote.call("prove", self._order()))
        self._raise(failures, SwitchFailed)
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
        return self._remotes.each(lambda remote: remote.call("drain", order, timeout=seconds + _GRACE))[1]

    def abandon(self) -> list[SoundbiteError]:
        """Stop what was started beside what serves, and take its files away; return what failed."""
        return self._remotes.each(lambda remote: remote.call("abandon", self._order(leave=self._plan["deployment"])))[1]

    def _order(self, **more: Any) -> dict[str, Any]:
        return {"token": self._token, "deployment": self._plan["deployment"], **more}

    @staticmethod
    def _raise(failures: Sequence[SoundbiteError], kind: type[SoundbiteError]) -> None:
        for failure in failures:
            if isinstance(failure, Locked):
                raise failure
        if failures:
            raise kind("\n".join(each.message for each in failures), next((e.hint for e in failures if e.hint), ""))

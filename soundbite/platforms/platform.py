"""What a deployment asks of where it runs, whichever platform PLATFORM names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self

    from soundbite.cloud import Cloud


class StageFailed(SoundbiteError):
    """A deployment did not get ready; nothing was switched."""


class SwitchFailed(SoundbiteError):
    """A deployment does not serve as it should, everywhere."""


class Rollout(Protocol):
    """One deployment brought there or taken back; each step may be done again."""

    def stage(self, secrets: Mapping[str, str], registry: Mapping[str, str] | None) -> None:
        """Bring it there, beside what serves; raises StageFailed."""

    def switch(self) -> None:
        """Let it serve; raises SwitchFailed."""

    def prove(self) -> str:
        """See that it serves everywhere, and return that in a few words; raises SwitchFailed."""

    def back(self) -> list[SoundbiteError]:
        """Let serve again what served before; return what failed."""

    def drain(self) -> list[SoundbiteError]:
        """Stop what served before, after the time it has; return what failed, which harms nobody."""

    def abandon(self) -> list[SoundbiteError]:
        """Take away what was staged; return what failed."""


class Platform(Protocol):
    """Where the deployments of an environment run; a `with` statement ends what is open."""

    name: str
    """As PLATFORM says it."""

    def find(self) -> None:
        """Find its parts, which asks AWS and nothing else; raises ConfigurationError where there are none."""

    def look(self) -> dict[str, dict[str, Any]]:
        """Return what each part of it tells of itself.

        Returns
        -------
        dict
            By the part's id: `serving` (`deployment`, `release`, `image`, `state`), whether anything is `live`, and
            what else the platform tells.

        Raises
        ------
        SoundbiteError
            A part is out of reach: all that are, in one message.
        """

    def told(self) -> str:
        """Return what it consists of, in a few words: `3 hosts`."""

    def variables(self, bound: Mapping[str, str]) -> dict[str, str]:
        """Return an application's variables there: its own, none of them secret, and where its AWS is."""

    def digest(self, given: Mapping[str, str]) -> str:
        """Return the hash of all that is given there but release and secrets."""

    def ground(self) -> dict[str, Any]:
        """Return what a plan says for every deployment of the environment."""

    def bundle(
        self,
        deployment: str,
        given: Mapping[str, str],
        secrets: Mapping[str, Sequence[str]],
        release: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return what is given there for one deployment, but for the secrets themselves.

        Parameters
        ----------
        given:
            As `variables` returns it.
        secrets:
            By variable, the reference and version of a secret.
        release:
            `id`, `commit` and `image` (`repository@sha256:…`).
        """

    def renamed(self, bundle: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
        """Return the bundle of a deployment for another one that is the same but for its id."""

    def rollout(self, plan: Mapping[str, Any], token: int, tell: Callable[[str], None]) -> Rollout:
        """Return the rollout of an operation.

        Parameters
        ----------
        plan:
            The operation's frozen plan.
        token:
            That of the environment's lock; a lower one than was seen there is refused.
        tell:
            Takes a line of progress.
        """

    def close(self) -> None:
        """End what is open; what was begun goes on to its own end."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def of(cloud: Cloud, without: Sequence[str] = ()) -> Platform:
    """Return the platform of an environment; nothing is open yet.

    Parameters
    ----------
    without:
        Hosts that are left out, by name, id or address.

    Raises
    ------
    ConfigurationError
        Only hosts can be left out.
    """
    if cloud.environment.workflow.platform == "ecs":
        from .ecs import Ecs

        return Ecs(cloud, without)
    from .hosts import Hosts

    return Hosts(cloud, without)


def served(statuses: Iterable[Mapping[str, Any]]) -> set[str | None]:
    """Return which deployments serve, of what parts told of themselves; one, where all is well."""
    return {(each.get("serving") or {}).get("deployment") if each.get("live") else None for each in statuses}

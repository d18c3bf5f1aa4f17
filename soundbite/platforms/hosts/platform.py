"""Hosts as a platform: found at the first look, and then connected to until the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite import console
from soundbite.errors import ConfigurationError, SoundbiteError
from soundbite.platforms import variables

from . import archive, bundle
from .inventory import find
from .remote import RESTART, Remotes
from .rollout import Rollout
from .ssh import HostFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from soundbite.cloud import Cloud

    from .inventory import Host
    from .remote import Remote


class Hosts:
    """The hosts of an environment; see `soundbite.platforms.platform.Platform`."""

    name = "hosts"

    def __init__(self, cloud: Cloud, without: Sequence[str] = ()) -> None:
        self._cloud = cloud
        self._environment = cloud.environment
        self._without = without
        self._remotes = Remotes([], cloud.environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self) -> None:
        """Find the hosts, by their tags or as they are listed."""
        self._remotes = Remotes(self._chosen(find(self._cloud)), self._environment)

    def look(self) -> dict[str, dict[str, Any]]:
        """Return what each host tells of itself, by its id; their engines must run."""
        found, failures = self._remotes.each(_status)
        if failures:
            self.close()
            hint = next((each.hint for each in failures if each.hint), "")
            raise SoundbiteError(
                "\n".join(each.message for each in failures) + "\nNothing was changed.",
                f"{hint} --without=HOST leaves a host out.".strip(),
            )
        return found

    @property
    def names(self) -> dict[str, str]:
        """What each host is called, by its id."""
        return self._remotes.names

    def told(self) -> str:
        """Return how many there are."""
        return f"{len(self._remotes.all)} hosts"

    def variables(self, bound: Mapping[str, str]) -> dict[str, str]:
        """Return an application's variables there."""
        # Not so that anything listens there: who reads SOCKET does not; who cannot puts a relay between.
        return variables.deployed(self._cloud, bound, listening="127.0.0.1")

    def digest(self, given: Mapping[str, str]) -> str:
        """Return the hash of all that hosts are given but release and secrets."""
        return bundle.digest(self._environment, given)

    def ground(self) -> dict[str, Any]:
        """Return what a plan says of their proxy, how a host starts by itself, and how they are switched."""
        settings = self._environment.hosts
        return {
            **bundle.ground(self._environment),
            "home": bundle.home(self._environment),
            "agent": archive.text(),
            "drain": settings.drain,
            "batch": settings.batch,
        }

    def bundle(
        self,
        deployment: str,
        given: Mapping[str, str],
        secrets: Mapping[str, Sequence[str]],
        release: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return compose files, values, and what the agent is told."""
        return bundle.make(self._environment, deployment, given, secrets, release)

    def renamed(self, bundle: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
        """Return a bundle for another deployment's folder on the hosts: where its secrets' files lie."""
        values = bundle["files"]["values.json"].replace(f"/deployments/{old}/", f"/deployments/{new}/")
        return {**bundle, "files": {**bundle["files"], "values.json": values}}

    def rollout(self, plan: Mapping[str, Any], token: int, tell: Callable[[str], None]) -> Rollout:
        """Return the rollout of an operation on these hosts."""
        return Rollout(self._remotes, plan, token, tell)

    def close(self) -> None:
        """End every connection."""
        self._remotes.close()

    def _chosen(self, found: list[Host]) -> list[Host]:
        name = self._environment.name
        for each in self._without:
            if not any(each in {host.name, host.id, host.address} for host in found):
                known = ", ".join(host.name for host in found)
                raise ConfigurationError(f"{name} has no host {each!r}.", f"It has {known}.")
        chosen = [each for each in found if not {each.name, each.id, each.address} & set(self._without)]
        if not chosen:
            raise ConfigurationError("--without leaves no host over.")
        if len(chosen) < len(found):
            out = ", ".join(self._without)
            console.warn(f"Left out: {out}. They come to what serves at their next boot, or by inv hosts.converge.")
        return chosen


def _status(remote: Remote) -> dict[str, Any]:
    told = remote.look()
    if not told["engine"]:
        raise HostFailed(remote.host, "its engine does not run", RESTART)
    return told

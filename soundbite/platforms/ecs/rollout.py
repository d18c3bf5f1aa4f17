"""A deployment brought into the service and waited for; or taken back, which AWS may have done by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from soundbite import web
from soundbite.errors import Locked, SoundbiteError
from soundbite.platforms.platform import StageFailed, SwitchFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from soundbite.environment import Environment

    from .service import Service

_POLL = 1.0
_PROOFS = 3
"""Answers a task that are wanted through the load balancer, which shares requests out."""


class Rollout:
    """One deployment in an environment's service; see `soundbite.platforms.platform.Rollout`.

    Parameters
    ----------
    plan:
        The operation's frozen plan: `deployment`, `before`, `bundle`.
    token:
        That of the environment's lock; the service keeps the newest.
    """

    def __init__(
        self,
        service: Service,
        environment: Environment,
        plan: Mapping[str, Any],
        token: int,
        tell: Callable[[str], None],
    ) -> None:
        self._service = service
        self._environment = environment
        self._plan = plan
        self._bundle: Mapping[str, Any] = plan["bundle"]
        self._wanted: Mapping[str, Any] = self._bundle["service"]
        self._token = token
        self._tell = tell

    def stage(self, secrets: Mapping[str, str], registry: Mapping[str, str] | None) -> None:
        """Register the task definition; its tasks start at the switch, beside those that serve."""
        del secrets, registry  # ECS reads the one and signs in to the other by itself
        try:
            self._service.register(self._bundle["task"])
        except SoundbiteError as error:
            raise StageFailed(error.message, error.hint) from None

    def switch(self) -> None:
        """Roll the service over to it, and wait until that is done or AWS has given it up."""
        try:
            arn = self._service.register(self._bundle["task"])
            now = self._service.rolling(arn)
            if not now.primary or now.state == "FAILED":
                self._service.run(arn, self._wanted, self._token)
            self._await(arn)
        except (Locked, SwitchFailed):
            raise
        except SoundbiteError as error:
            raise SwitchFailed(error.message, error.hint) from None

    def prove(self) -> str:
        """See that every task of the service is this deployment's, and that it answers behind the load balancer."""
        arn = self._service.known(self._plan["deployment"])
        count = self._service.running(arn) if arn else -1
        if arn is None or count < 1:
            raise SwitchFailed(f"the service does not run {self._plan['deployment']} alone")
        try:
            self._answered(count * _PROOFS)
        except SwitchFailed as failed:
            endings = self._service.endings(arn, self._wanted["log_group"])
            raise SwitchFailed("\n".join([failed.message, *endings]), failed.hint) from None
        return f"{count} tasks serve {self._plan['deployment']}"

    def back(self) -> list[SoundbiteError]:
        """Have the service run what served before, if it does not already; without such a thing, remove it."""
        try:
            found = self._service.describe()
            if found is None:
                return []
            self._service.fence(found, self._token)
            before = self._plan["before"]["deployment"]
            arn = self._service.known(before) if before else None
            if arn is None:
                self._service.remove()
            else:
                now = self._service.rolling(arn)
                if not now.primary:
                    self._service.run(arn, self._wanted, self._token)
                self._await(arn)
            self.abandon()
        except SoundbiteError as error:
            return [error]
        return []

    def drain(self) -> list[SoundbiteError]:
        """Do nothing: the load balancer has drained what served before, and ECS has stopped it."""
        return []

    def abandon(self) -> list[SoundbiteError]:
        """Deregister the task definition, unless it serves."""
        try:
            arn = self._service.known(self._plan["deployment"])
            if arn is not None and not self._service.rolling(arn).primary:
                self._service.forget(arn)
        except SoundbiteError as error:
            return [error]
        return []

    def _await(self, arn: str) -> None:
        until = time.monotonic() + self._wanted["timeout"]
        while True:
            now = self._service.rolling(arn)
            if now.stable:
                return
            given_up = now.state == "FAILED" or not now.primary
            if given_up or time.monotonic() > until:
                why = (
                    now.reason or "AWS took it back"
                    if given_up
                    else f"{now.running} of {now.desired} tasks run after {self._wanted['timeout']:.0f} s"
                )
                endings = self._service.endings(arn, self._wanted["log_group"])
                raise SwitchFailed("\n".join([why, *endings]))
            self._tell(f"{now.running} of {now.desired} tasks run")
            time.sleep(_POLL)

    def _answered(self, times: int) -> None:
        """Ask through the load balancer until so many answers in a row were right."""
        import httpx

        environment = self._environment
        url = httpx.URL(environment.app.url)
        https = bool(environment.ecs.certificate)
        address = environment.ecs.address or self._wanted["address"]
        path = environment.app.ready_path or environment.app.health_path
        until = time.monotonic() + environment.app.start_timeout
        well = 0
        with httpx.Client(timeout=5, trust_env=False, verify=web.trust()) as client:
            while well < times:
                problem = ""
                try:
                    answer = client.get(
                        f"{'https' if https else 'http'}://{address}{path}",
                        headers={"Host": url.netloc.decode()},
                        extensions={"sni_hostname": url.host} if https else {},
                    )
                    if answer.status_code != httpx.codes.OK:
                        problem = f"{answer.status_code}: {answer.text[:200]}"
                except httpx.HTTPError as error:
                    problem = f"{type(error).__name__}: {error}"
                well = 0 if problem else well + 1
                if problem and time.monotonic() > until:
                    raise SwitchFailed(
                        f"{path} does not answer through the load balancer ({address}) after "
                        f"{environment.app.start_timeout:.0f} s: {problem}"
                    )
                if problem:
                    self._tell(problem)
                    time.sleep(_POLL / 4)

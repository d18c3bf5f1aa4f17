"""ECS as a platform: what a service is given, and what it tells of itself."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from soundbite.environment import naming
from soundbite.errors import ConfigurationError
from soundbite.infrastructure import stacks
from soundbite.platforms import variables

from . import task
from .rollout import Rollout
from .service import Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Self

    from soundbite.cloud import Cloud

_NOTHING: dict[str, Any] = {"serving": None, "live": None}


class Ecs:
    """The service of an environment; see `soundbite.platforms.platform.Platform`.

    CloudFormation makes what it stands in (the stack Service). The service itself and its task definitions are made
    here, at deployments: a change of the stack could otherwise take back what serves.
    """

    name = "ecs"

    def __init__(self, cloud: Cloud, without: Sequence[str] = ()) -> None:
        if without:
            raise ConfigurationError(
                f"--without leaves out hosts, and {cloud.environment.name} has PLATFORM=ecs "
                f"({cloud.environment.settings['PLATFORM'].origin})."
            )
        self._cloud = cloud
        self._environment = cloud.environment
        self._cluster = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self) -> None:
        """Find the cluster; there is none before the first deployment."""
        described = stacks.describe(self._cloud)
        try:
            self._cluster = stacks.outputs_of(self._environment, described)("Service.ClusterName")
        except ConfigurationError:
            self._cluster = ""

    def look(self) -> dict[str, dict[str, Any]]:
        """Return what the service tells of itself, by its name."""
        if not self._cluster:
            return {naming.SERVICE: dict(_NOTHING)}
        service = Service(self._cloud, self._cluster)
        found = service.describe()
        primary = next((each for each in (found or {}).get("deployments", []) if each["status"] == "PRIMARY"), None)
        if found is None or primary is None or not found["desiredCount"]:
            return {naming.SERVICE: dict(_NOTHING)}
        definition = service.definition(primary["taskDefinition"])
        well = primary["rolloutState"] == "COMPLETED" and primary["runningCount"] == primary["desiredCount"]
        state = f"{primary['rolloutState']}, {primary['runningCount']} of {primary['desiredCount']} tasks"
        return {
            naming.SERVICE: {
                "live": naming.SERVICE,
                "tasks": sum(each["runningCount"] for each in found["deployments"]),
                "serving": {
                    "deployment": task.label(definition),
                    "release": task.label(definition, task.RELEASE),
                    "image": definition["containerDefinitions"][0]["image"],
                    "state": "running" if well else state,
                },
            }
        }

    def remove(self) -> None:
        """Delete the service, if there is one: its cluster could not be deleted with it."""
        self.find()
        service = Service(self._cloud, self._cluster)
        if self._cluster and service.describe() is not None:
            service.remove()

    def told(self) -> str:
        """Return what serves there, in a few words."""
        return "its ECS service"

    def variables(self, bound: Mapping[str, str]) -> dict[str, str]:
        """Return an application's variables in a task."""
        return variables.deployed(self._cloud, bound, listening="0.0.0.0")  # noqa: S104 - in its own network

    def digest(self, given: Mapping[str, str]) -> str:
        """Return the hash of variables and of the settings of tasks."""
        settings = self._environment.ecs
        sizes = [settings.count, settings.max_count, settings.cpu, settings.memory_mb]
        return sha256(json.dumps([dict(given), sizes], sort_keys=True).encode()).hexdigest()[:16]

    def ground(self) -> dict[str, Any]:
        """Return nothing: a service has no proxy and no unit of its own."""
        return {}

    def bundle(
        self,
        deployment: str,
        given: Mapping[str, str],
        secrets: Mapping[str, Sequence[str]],
        release: Mapping[str, str],
    ) -> dict[str, Any]:
        """Return the task definition, and how the service is to run it."""
        output = stacks.outputs(self._cloud)
        settings = self._environment.ecs
        self._cluster = output("Service.ClusterName")
        return {
            "task": task.definition(self._cloud, output, deployment, given, secrets, release),
            "service": {
                "count": settings.count,
                "most": settings.max_count,
                "timeout": settings.timeout,
                "grace": self._environment.app.start_timeout,
                "port": naming.PORT,
                "target_group": output("Service.TargetGroupArn"),
                "address": output("Service.LoadBalancerDnsName"),
                "log_group": output("Service.LogGroupName"),
                "alarms": [each for each in output("Service.AlarmNames").split(",") if each],
                "network": {
                    "awsvpcConfiguration": {
                        "subnets": output("Service.SubnetIds").split(","),
                        "securityGroups": [output("Service.SecurityGroupId")],
                        # Without a NAT gateway, the way to registry and AWS. What reaches a task, its group says.
                        "assignPublicIp": "ENABLED",
                    }
                },
            },
        }

    def renamed(self, bundle: Mapping[str, Any], old: str, new: str) -> dict[str, Any]:
        """Return a bundle whose task definition is another deployment's."""
        del old
        container = bundle["task"]["containerDefinitions"][0]
        labels = {**container["dockerLabels"], task.DEPLOYMENT: new}
        renamed = {**container, "dockerLabels": labels}
        return {**bundle, "task": {**bundle["task"], "containerDefinitions": [renamed]}}

    def rollout(self, plan: Mapping[str, Any], token: int, tell: Callable[[str], None]) -> Rollout:
        """Return the rollout of an operation in the service."""
        return Rollout(Service(self._cloud, self._cluster), self._environment, plan, token, tell)

    def close(self) -> None:
        """Do nothing: nothing is open."""

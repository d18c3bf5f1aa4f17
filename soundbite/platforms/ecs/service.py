"""The service as AWS has it: which task definition serves, how far a rollout is, and why tasks ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import console
from soundbite.cloud import explained
from soundbite.environment import naming
from soundbite.errors import Locked
from soundbite.infrastructure import stacks

from . import task

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soundbite.cloud import Cloud


TOKEN = "soundbite:token"  # noqa: S105 - a tag's name
"""The tag with the newest lock's token that the service has seen."""

_TARGET_CPU = 60.0
"""Percent of CPU that autoscaling aims at."""
_LOG_LINES = 15
_STOPPED = 3
"""Stopped tasks that are told."""
_KNOWN = 20
"""Task definitions that are looked through, newest first: what serves and what is to serve are among them."""


class Rolling(NamedTuple):
    """How far a task definition is in the service.

    Attributes
    ----------
    state:
        `rolloutState` of its deployment: IN_PROGRESS, COMPLETED or FAILED; "" where the service has none of it.
    primary:
        Whether the service is to run it.
    """

    state: str
    primary: bool
    running: int
    desired: int
    reason: str

    @property
    def stable(self) -> bool:
        """Whether all its tasks run, and nothing else serves."""
        return self.primary and self.state == "COMPLETED" and self.running == self.desired


class Service:
    """One environment's service, in its cluster.

    Parameters
    ----------
    cluster:
        The cluster's name.
    """

    def __init__(self, cloud: Cloud, cluster: str) -> None:
        self._cloud = cloud
        self._environment = cloud.environment
        self._ecs = cloud.client("ecs")
        self._cluster = cluster

    def describe(self) -> dict[str, Any] | None:
        """Return what DescribeServices says of it; None while there is none."""
        with explained("ecs:DescribeServices", self._environment):
            found = self._ecs.describe_services(cluster=self._cluster, services=[naming.SERVICE], include=["TAGS"])[
                "services"
            ]
        return next((dict(each) for each in found if each["status"] == "ACTIVE"), None)

    def definition(self, arn: str) -> dict[str, Any]:
        """Return a task definition."""
        with explained("ecs:DescribeTaskDefinition", self._environment):
            return dict(self._ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"])

    def known(self, deployment: str) -> str | None:
        """Return the ARN of the task definition of a deployment; None where there is none any more."""
        with explained("ecs:ListTaskDefinitions", self._environment):
            arns = self._ecs.list_task_definitions(
                familyPrefix=task.family(self._cloud), status="ACTIVE", sort="DESC", maxResults=_KNOWN
            )["taskDefinitionArns"]
        return next((str(arn) for arn in arns if task.label(self.definition(arn)) == deployment), None)

    def register(self, definition: Mapping[str, Any]) -> str:
        """Register a task definition, unless that was done already; return its ARN."""
        known = self.known(task.label(definition))
        if known is not None:
            return known
        with explained("ecs:RegisterTaskDefinition", self._environment):
            return str(self._ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"])

    def forget(self, arn: str) -> None:
        """Deregister a task definition that does not serve."""
        with explained("ecs:DeregisterTaskDefinition", self._environment):
            self._ecs.deregister_task_definition(taskDefinition=arn)

    def run(self, arn: str, wanted: Mapping[str, Any], token: int) -> None:
        """Have the service run a task definition; AWS rolls it out, and takes it back where its tasks fail.

        Parameters
        ----------
        wanted:
            `count`, `most`, `network`, `target_group`, `port`, `grace` (s), `alarms`.

        Raises
        ------
        Locked
            The service has seen a newer token.
        """
        found = self.describe()
        arguments = {
            "cluster": self._cluster,
            "taskDefinition": arn,
            "networkConfiguration": wanted["network"],
            "healthCheckGracePeriodSeconds": int(wanted["grace"]),
            "deploymentConfiguration": _deployment_configuration(wanted),
        }
        tags = {**stacks.tags(self._environment), TOKEN: str(token)}
        if found is None:
            with explained("ecs:CreateService", self._environment):
                self._ecs.create_service(
                    **arguments,
                    serviceName=naming.SERVICE,
                    launchType="FARGATE",
                    desiredCount=wanted["count"],
                    loadBalancers=[
                        {
                            "targetGroupArn": wanted["target_group"],
                            "containerName": task.CONTAINER,
                            "containerPort": wanted["port"],
                        }
                    ],
                    propagateTags="SERVICE",
                    tags=[{"key": name, "value": value} for name, value in tags.items()],
                )
        else:
            self.fence(found, token)
            # What autoscaling made of the count stays.
            count = {} if wanted["most"] and found["desiredCount"] else {"desiredCount": wanted["count"]}
            with explained("ecs:UpdateService", self._environment):
                self._ecs.update_service(**arguments, service=naming.SERVICE, **count)
        self._scale(wanted)

    def fence(self, found: Mapping[str, Any], token: int) -> None:
        """Leave the token of our lock at the service, and refuse where a newer one was left.

        Raises
        ------
        Locked
            Somebody else has the environment's lock.
        """
        tags = {each["key"]: each["value"] for each in found.get("tags", [])}
        if int(tags.get(TOKEN, 0)) > token:
            raise Locked(
                f"The service has seen token {tags[TOKEN]}, newer than {token}: somebody else has the lock.",
                f"inv lock.status --env={self._environment.name}",
            )
        if tags.get(TOKEN) != str(token):
            with explained("ecs:TagResource", self._environment):
                self._ecs.tag_resource(resourceArn=found["serviceArn"], tags=[{"key": TOKEN, "value": str(token)}])

    def remove(self) -> None:
        """Delete the service and its tasks, and wait until they are gone (DescribeServices, ten minutes at most)."""
        with explained("ecs:DeleteService", self._environment):
            self._ecs.delete_service(cluster=self._cluster, service=naming.SERVICE, force=True)
            self._ecs.get_waiter("services_inactive").wait(cluster=self._cluster, services=[naming.SERVICE])

    def rolling(self, arn: str) -> Rolling:
        """Return how far a task definition is in the service."""
        found = self.describe() or {"deployments": []}
        for each in found["deployments"]:
            if each["taskDefinition"] == arn:
                return Rolling(
                    each["rolloutState"],
                    each["status"] == "PRIMARY",
                    each["runningCount"],
                    each["desiredCount"],
                    each.get("rolloutStateReason", ""),
                )
        return Rolling("", primary=False, running=0, desired=0, reason="the service has no deployment of it any more")

    def running(self, arn: str) -> int:
        """Return how many tasks of the service run a task definition; others that run count against it.

        Returns
        -------
        int
            -1 where a task of another definition runs.
        """
        described = self._tasks("RUNNING")
        if any(each["taskDefinitionArn"] != arn for each in described):
            return -1
        return sum(each["lastStatus"] == "RUNNING" for each in described)

    def endings(self, arn: str, log_group: str) -> list[str]:
        """Return why tasks of a definition ended, and the last lines that they printed."""
        stopped = [each for each in self._tasks("STOPPED") if each["taskDefinitionArn"] == arn]
        stopped.sort(key=lambda each: str(each.get("stoppedAt", "")), reverse=True)
        told = []
        for each in stopped[:_STOPPED]:
            name = each["taskArn"].rpartition("/")[2]
            container = each["containers"][0]
            code = f" with exit code {container['exitCode']}" if container.get("exitCode") is not None else ""
            reason = container.get("reason") or each.get("stoppedReason") or "no reason given"
            told.append(f"  task {name[:8]} ended{code}: {reason}")
        if stopped:
            told += [f"    {line}" for line in self.log(stopped[0]["taskArn"], log_group)]
        return told

    def log(self, task_arn: str, log_group: str) -> list[str]:
        """Return the last lines that a task printed; none where there is no log."""
        logs = self._cloud.client("logs")
        stream = f"{task.CONTAINER}/{task.CONTAINER}/{task_arn.rpartition('/')[2]}"
        with explained("logs:GetLogEvents", self._environment):
            try:
                events = logs.get_log_events(logGroupName=log_group, logStreamName=stream, limit=_LOG_LINES)["events"]
            except logs.exceptions.ResourceNotFoundException:
                return []
        return [console.redact(str(each["message"]).rstrip()) for each in events]

    def _tasks(self, status: str) -> list[dict[str, Any]]:
        with explained("ecs:ListTasks", self._environment):
            arns = self._ecs.list_tasks(cluster=self._cluster, serviceName=naming.SERVICE, desiredStatus=status)[
                "taskArns"
            ]
        if not arns:
            return []
        with explained("ecs:DescribeTasks", self._environment):
            return [dict(each) for each in self._ecs.describe_tasks(cluster=self._cluster, tasks=arns)["tasks"]]

    def _scale(self, wanted: Mapping[str, Any]) -> None:
        """Have AWS start more tasks when they are busy, where ECS_MAX_COUNT allows it."""
        if not wanted["most"]:
            return
        scaling = self._cloud.client("application-autoscaling")
        which = {
            "ServiceNamespace": "ecs",
            "ResourceId": f"service/{self._cluster}/{naming.SERVICE}",
            "ScalableDimension": "ecs:service:DesiredCount",
        }
        with explained("application-autoscaling:RegisterScalableTarget", self._environment):
            scaling.register_scalable_target(
                **which, MinCapacity=wanted["count"], MaxCapacity=max(wanted["count"], wanted["most"])
            )
        with explained("application-autoscaling:PutScalingPolicy", self._environment):
            scaling.put_scaling_policy(
                **which,
                PolicyName="cpu",
                PolicyType="TargetTrackingScaling",
                TargetTrackingScalingPolicyConfiguration={
                    "TargetValue": _TARGET_CPU,
                    "PredefinedMetricSpecification": {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
                },
            )


def _deployment_configuration(wanted: Mapping[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] = {
        # As many anew as there are, and none of those stopped before.
        "maximumPercent": 200,
        "minimumHealthyPercent": 100,
        "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    }
    if wanted["alarms"]:
        configuration["alarms"] = {"alarmNames": wanted["alarms"], "enable": True, "rollback": True}
    return configuration

"""What a task runs, as ECS takes it: a task definition for one deployment. All of it is values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.cloud import explained
from soundbite.environment import references
from soundbite.environment.naming import PORT
from soundbite.errors import ConfigurationError
from soundbite.infrastructure import stacks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from soundbite.cloud import Cloud
    from soundbite.infrastructure.stacks import Output

CONTAINER = "api"
DEPLOYMENT, RELEASE = "soundbite.deployment", "soundbite.release"
"""Labels of the container: by them a task definition is known again."""

_STOP_TIMEOUT = 30
"""Seconds between SIGTERM and SIGKILL; ECS's own default."""


def family(cloud: Cloud) -> str:
    """Return what an environment's task definitions are called."""
    return cloud.environment.stack_name("api")


def definition(
    cloud: Cloud,
    output: Output,
    deployment: str,
    given: Mapping[str, str],
    secrets: Mapping[str, Sequence[str]],
    release: Mapping[str, str],
) -> dict[str, Any]:
    """Return the arguments of RegisterTaskDefinition for a deployment.

    Parameters
    ----------
    given:
        The container's variables, none of them secret.
    secrets:
        By variable, the reference and the version of a secret; ECS itself reads them, as its execution role may.
    release:
        `id`, `commit` and `image` (`repository@sha256:…`).

    Raises
    ------
    ConfigurationError
        A secret is one that ECS cannot read.
    """
    settings = cloud.environment.ecs
    own = {**given, "RELEASE": release["id"], "REVISION": release["commit"]}
    container = {
        "name": CONTAINER,
        "image": release["image"],
        "essential": True,
        "portMappings": [{"containerPort": PORT, "protocol": "tcp"}],
        "environment": [{"name": name, "value": value} for name, value in sorted(own.items())],
        "secrets": [
            {"name": name, "valueFrom": _value_from(cloud, name, *pinned)} for name, pinned in sorted(secrets.items())
        ],
        "dockerLabels": {DEPLOYMENT: deployment, RELEASE: release["id"]},
        "linuxParameters": {"initProcessEnabled": True},
        "stopTimeout": _STOP_TIMEOUT,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": output("Service.LogGroupName"),
                "awslogs-region": cloud.environment.aws.region,
                "awslogs-stream-prefix": CONTAINER,
            },
        },
    }
    return {
        "family": family(cloud),
        "cpu": str(settings.cpu),
        "memory": str(settings.memory_mb),
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "executionRoleArn": output("Service.ExecutionRoleArn"),
        "taskRoleArn": output("Service.TaskRoleArn"),
        "containerDefinitions": [container],
        "tags": [{"key": name, "value": value} for name, value in stacks.tags(cloud.environment).items()],
    }


def label(described: Mapping[str, Any], name: str = DEPLOYMENT) -> str:
    """Return a label of a task definition that was described; "" where it is not one of ours."""
    return str((described["containerDefinitions"][0].get("dockerLabels") or {}).get(name, ""))


def _value_from(cloud: Cloud, name: str, text: str, version: str) -> str:
    """Return a secret as ECS names it (its `valueFrom`), in the version that is pinned where ECS can pin one."""
    reference = references.parse(text)
    assert reference is not None, "what is no reference was not kept as one"
    environment = cloud.environment
    if reference.kind == "ssm":
        return f"arn:aws:ssm:{environment.aws.region}:{environment.aws.account_id}:parameter{reference.target}"
    if reference.kind != "secretsmanager":
        raise ConfigurationError(
            f"{name}={text} cannot be given to ECS, which reads secrets itself.",
            f"Keep it in Secrets Manager: {name}=secretsmanager:NAME#key.",
        )
    secret, _, key = reference.target.partition("#")
    with explained("secretsmanager:DescribeSecret", environment):
        arn = cloud.client("secretsmanager").describe_secret(SecretId=secret)["ARN"]
    return f"{arn}:{key}::{version}"

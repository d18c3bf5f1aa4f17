"""Which hosts an environment has: listed in its env file, or EC2 instances found by their tags."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import files
from soundbite.cloud import explained
from soundbite.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment

SSH_PORT = 22
ROLE = "api"
ADDRESS_TAG = "soundbite:address"
"""A tag that says at which `address:port` sshd is, where that is not the instance's private address."""

_RUNNING = ("running",)
_ASTRAY = ("pending", "stopping", "stopped")
"""States of an instance that is the environment's and does not serve; one that is being terminated is no longer."""


class Host(NamedTuple):
    """A host: what it is called, and where its sshd is.

    `id` is the instance's, or the address of one that is listed.
    """

    id: str
    name: str
    address: str
    port: int


def find(cloud: Cloud) -> list[Host]:
    """Return the hosts of an environment, by name; what was found is remembered for when AWS is away.

    Raises
    ------
    ConfigurationError
        There are none, or one that is listed is no `address:port`.
    """
    environment = cloud.environment
    listed = environment.hosts.listed
    found = (
        [_listed(each, environment) for each in listed]
        if listed
        else sorted(
            (_instance(each, environment) for each in _tagged(cloud, _RUNNING)), key=lambda each: (each.name, each.id)
        )
    )
    if not found:
        tags = f"Project={environment.workflow.project}, Environment={environment.name}, Role={ROLE}"
        raise ConfigurationError(
            f"{environment.name} has no hosts: HOSTS is empty, and no running EC2 instance in "
            f"{environment.aws.region} has the tags {tags}.",
            f"inv cdk.deploy --env={environment.name} makes them; inv rehearse.up those of a rehearsal.",
        )
    with suppress(OSError):  # where nothing can be kept, they are found all the same
        files.write(_memory(environment), json.dumps([each._asdict() for each in found]))
    return found


def astray(cloud: Cloud) -> list[tuple[str, str]]:
    """Return the name and the state of each instance with the environment's tags that does not run.

    Where HOSTS lists the hosts, there are none.
    """
    if cloud.environment.hosts.listed:
        return []
    return sorted((_name(each), str(each["State"]["Name"])) for each in _tagged(cloud, _ASTRAY))


def remembered(environment: Environment) -> list[Host]:
    """Return the hosts as they were found last from this checkout.

    Raises
    ------
    ConfigurationError
        They never were.
    """
    try:
        return [Host(**each) for each in json.loads(_memory(environment).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        raise ConfigurationError(
            f"This checkout never saw the hosts of {environment.name}.",
            f'List them in envs/{environment.name}.env: HOSTS="10.0.0.5 10.0.0.6".',
        ) from None


def _memory(environment: Environment) -> Path:
    return environment.state / "hosts.json"


def _tagged(cloud: Cloud, states: Sequence[str]) -> list[dict[str, Any]]:
    environment = cloud.environment
    wanted = {"Project": environment.workflow.project, "Environment": environment.name, "Role": ROLE}
    filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in wanted.items()]
    filters.append({"Name": "instance-state-name", "Values": list(states)})
    with explained("ec2:DescribeInstances", environment):
        pages = cloud.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
        return [one for page in pages for each in page["Reservations"] for one in each["Instances"]]


def _instance(instance: dict[str, Any], environment: Environment) -> Host:
    tags, name = _tags(instance), _name(instance)
    if ADDRESS_TAG in tags:
        host = _listed(tags[ADDRESS_TAG], environment)
        return host._replace(id=instance["InstanceId"], name=name)
    # Session Manager knows an instance by its id.
    address = instance["InstanceId"] if environment.hosts.gateway == "ssm" else instance["PrivateIpAddress"]
    return Host(instance["InstanceId"], name, address, SSH_PORT)


def _tags(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


def _name(instance: dict[str, Any]) -> str:
    return _tags(instance).get("Name") or str(instance["InstanceId"])


def _listed(text: str, environment: Environment) -> Host:
    address, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    if not address or (port and not (port.isdigit() and 0 < int(port) < 65536)):  # noqa: PLR2004 - ports end there
        raise ConfigurationError(
            f"{environment.settings['HOSTS'].origin}: {text!r} is not an address or address:port of a host."
        )
    return Host(text, text, address, int(port or SSH_PORT))

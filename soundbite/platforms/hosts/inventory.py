"""Which hosts an environment has: listed in its env file, or EC2 instances found by their tags."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import files
from soundbite.cloud import explained
from soundbite.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment

SSH_PORT = 22
ROLE = "api"
ADDRESS_TAG = "soundbite:address"
"""A tag that says at which `address:port` sshd is, where that is not the instance's private address."""


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
    found = [_listed(each, environment) for each in listed] if listed else _tagged(cloud)
    if not found:
        tags = f"Project={environment.workflow.project}, Environment={environment.name}, Role={ROLE}"
        raise ConfigurationError(
            f"{environment.name} has no hosts: HOSTS is empty, and no running EC2 instance in "
            f"{environment.aws.region} has the tags {tags}.",
            f"inv cdk.deploy --env={environment.name} makes them; inv rehearse.up those of a rehearsal.",
        )
    files.write(_memory(environment), json.dumps([each._asdict() for each in found]))
    return found


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


def _tagged(cloud: Cloud) -> list[Host]:
    environment = cloud.environment
    wanted = {"Project": environment.workflow.project, "Environment": environment.name, "Role": ROLE}
    filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in wanted.items()]
    filters.append({"Name": "instance-state-name", "Values": ["running"]})
    found = []
    with explained("ec2:DescribeInstances", environment):
        for page in cloud.client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
            for reservation in page["Reservations"]:
                found += [_instance(each, environment) for each in reservation["Instances"]]
    return sorted(found, key=lambda each: (each.name, each.id))


def _instance(instance: dict[str, Any], environment: Environment) -> Host:
    tags = {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}
    name = tags.get("Name") or instance["InstanceId"]
    if ADDRESS_TAG in tags:
        host = _listed(tags[ADDRESS_TAG], environment)
        return host._replace(id=instance["InstanceId"], name=name)
    # Session Manager knows an instance by its id.
    address = instance["InstanceId"] if environment.hosts.gateway == "ssm" else instance["PrivateIpAddress"]
    return Host(instance["InstanceId"], name, address, SSH_PORT)


def _listed(text: str, environment: Environment) -> Host:
    address, _, port = text.rpartition(":") if text.count(":") == 1 else (text, "", "")
    if not address or (port and not (port.isdigit() and 0 < int(port) < 65536)):  # noqa: PLR2004 - ports end there
        raise ConfigurationError(
            f"{environment.settings['HOSTS'].origin}: {text!r} is not an address or address:port of a host."
        )
    return Host(text, text, address, int(port or SSH_PORT))

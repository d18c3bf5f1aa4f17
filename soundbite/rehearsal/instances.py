"""The hosts as EC2 has them: one instance each, whose tags say where its sshd is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.cloud import explained
from soundbite.errors import SoundbiteError
from soundbite.platforms import hosts as platform
from soundbite.platforms.hosts.inventory import ADDRESS_TAG, ROLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.cloud import Cloud
    from soundbite.platforms.hosts import Host

_IMAGE = "ami-00000000"
_ENDED = {"shutting-down", "terminated"}


def match(cloud: Cloud, hosts: Sequence[Host]) -> str:
    """Make the environment's instances exactly its hosts, and see that they are found; return what was done.

    Raises
    ------
    SoundbiteError
        EC2 refuses, or others are found.
    """
    free = {each["InstanceId"]: each for each in _listed(cloud)}
    made = 0
    for host in hosts:
        tags = _tags(cloud, host)
        # A name alone is enough: the address may have changed.
        own = next((each for each in free.values() if _is(each, host)), None)
        if own is None:
            made += 1
            _run(cloud, tags)
            continue
        del free[own["InstanceId"]]
        if _told(own) != tags:
            with explained("ec2:CreateTags", cloud.environment):
                cloud.client("ec2").create_tags(Resources=[own["InstanceId"]], Tags=_pairs(tags))
    _terminate(cloud, list(free))
    found = {(each.name, each.address, each.port) for each in platform.find(cloud)}
    wanted = {(each.name, each.address, each.port) for each in hosts}
    if found != wanted:
        others = ", ".join(sorted(name for name, _, _ in found ^ wanted))
        raise SoundbiteError(
            f"EC2 has other hosts of {cloud.environment.name} than were made: {others}.",
            f"inv rehearse.down --env={cloud.environment.name}",
        )
    done = [f"{count} {what}" for count, what in ((made, "made"), (len(free), "terminated")) if count]
    return ", ".join(done) or "unchanged"


def terminate(cloud: Cloud) -> int:
    """Terminate the environment's instances; return how many there were."""
    ids = [each["InstanceId"] for each in _listed(cloud)]
    _terminate(cloud, ids)
    return len(ids)


def _listed(cloud: Cloud) -> list[dict[str, Any]]:
    filters = [{"Name": f"tag:{name}", "Values": [value]} for name, value in _tags(cloud).items()]
    with explained("ec2:DescribeInstances", cloud.environment):
        pages = cloud.client("ec2").get_paginator("describe_instances").paginate(Filters=filters)
        every = [one for page in pages for each in page["Reservations"] for one in each["Instances"]]
    return [each for each in every if each["State"]["Name"] not in _ENDED]


def _run(cloud: Cloud, tags: dict[str, str]) -> None:
    environment = cloud.environment
    with explained("ec2:RunInstances", environment):
        cloud.client("ec2").run_instances(
            ImageId=_IMAGE,
            InstanceType=environment.hosts.instance_type,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[{"ResourceType": "instance", "Tags": _pairs(tags)}],
        )


def _terminate(cloud: Cloud, ids: Sequence[str]) -> None:
    if ids:
        with explained("ec2:TerminateInstances", cloud.environment):
            cloud.client("ec2").terminate_instances(InstanceIds=list(ids))


def _tags(cloud: Cloud, host: Host | None = None) -> dict[str, str]:
    environment = cloud.environment
    tags = {"Project": environment.workflow.project, "Environment": environment.name, "Role": ROLE}
    return tags if host is None else tags | {"Name": host.name, ADDRESS_TAG: f"{host.address}:{host.port}"}


def _told(instance: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])}


def _is(instance: dict[str, Any], host: Host) -> bool:
    return _told(instance).get("Name") == host.name and instance["State"]["Name"] == "running"


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": name, "Value": value} for name, value in tags.items()]

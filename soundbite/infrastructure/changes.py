"""Old templates against what is deployed: what going back to them would do, as CloudFormation itself tells it."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from soundbite.cloud import explained
from soundbite.errors import SoundbiteError

from . import stacks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soundbite.cloud import Cloud

_KEEP_DATA = (
    *("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable", "AWS::S3::Bucket", "AWS::SQS::Queue"),
    *("AWS::ECR::Repository", "AWS::Logs::LogGroup", "AWS::RDS::", "AWS::EFS::", "AWS::SecretsManager::Secret"),
)
"""What keeps data: never replaced or deleted by going back."""

_TIMEOUT = 900.0
_LARGEST = 51_200
"""Bytes of a template that a call may carry (CloudFormation, "Quotas")."""


@dataclass(frozen=True)
class Difference:
    """What going back would change.

    Attributes
    ----------
    stacks:
        The stacks that differ.
    unsafe:
        What would be lost: a line for each resource that keeps data and would be replaced or deleted.
    """

    stacks: dict[str, Any] = field(default_factory=dict)
    unsafe: list[str] = field(default_factory=list)


def compare(cloud: Cloud, templates: Mapping[str, Any]) -> Difference:
    """Compare old templates with what is deployed; changes nothing.

    A stack that was not there then, or is not there now, is left as it is.
    """
    deployed = stacks.describe(cloud)
    found: dict[str, Any] = {}
    unsafe: list[str] = []
    for name, template in templates.items():
        if name not in deployed or stacks.template(cloud, name) == template:
            continue
        found[name] = template
        unsafe += _lost(name, stacks.template(cloud, name), template)
        unsafe += [each for each in _told(cloud, name, template) if each not in unsafe]
    return Difference(found, unsafe)


def go_back(cloud: Cloud, difference: Difference) -> None:
    """Deploy the old templates of the stacks that differ, each by a change set.

    Raises
    ------
    SoundbiteError
        CloudFormation refused one; it has taken that stack back to what it was.
    """
    client = cloud.client("cloudformation")
    for name, template in difference.stacks.items():
        change_set = _make(cloud, name, template)
        with explained("cloudformation:ExecuteChangeSet", cloud.environment):
            client.execute_change_set(StackName=name, ChangeSetName=change_set)
        status = _await(cloud, name)
        if status != "UPDATE_COMPLETE":
            raise SoundbiteError(f"{name} could not be taken back: {status}.", "Its events say why; the rest stayed.")


def _lost(stack: str, now: Any, then: Any) -> list[str]:
    """Tell, from the templates alone, what that keeps data would be deleted or be another kind of thing."""
    after = then.get("Resources", {})
    return [
        f"{stack}: {name} ({resource['Type']}) would be deleted"
        for name, resource in now.get("Resources", {}).items()
        if resource["Type"].startswith(_KEEP_DATA) and after.get(name, {}).get("Type") != resource["Type"]
    ]


def _told(cloud: Cloud, stack: str, template: Any) -> list[str]:
    """Tell, from a change set, what CloudFormation would replace or delete of what keeps data."""
    client = cloud.client("cloudformation")
    name = _make(cloud, stack, template)
    try:
        with explained("cloudformation:DescribeChangeSet", cloud.environment):
            changes = [
                change["ResourceChange"]
                for change in client.describe_change_set(StackName=stack, ChangeSetName=name).get("Changes", [])
            ]
    finally:
        with explained("cloudformation:DeleteChangeSet", cloud.environment):
            client.delete_change_set(StackName=stack, ChangeSetName=name)
    unsafe = []
    for each in changes:
        kept, replaced = each["ResourceType"].startswith(_KEEP_DATA), each.get("Replacement", "False")
        what = f"{stack}: {each['LogicalResourceId']} ({each['ResourceType']})"
        if kept and each["Action"] == "Remove":
            unsafe.append(f"{what} would be deleted")
        elif kept and replaced in {"True", "Conditional"}:
            unsafe.append(f"{what} would{' perhaps' if replaced == 'Conditional' else ''} be replaced")
    return unsafe


def _make(cloud: Cloud, stack: str, template: Any) -> str:
    body = json.dumps(template, separators=(",", ":"))
    if len(body.encode()) > _LARGEST:
        raise SoundbiteError(
            f"The template of {stack} is too large to be taken back by itself ({len(body)} bytes).",
            "Check out the commit of that deployment and use inv cdk.deploy.",
        )
    name = f"inv-{uuid.uuid4().hex[:12]}"
    client = cloud.client("cloudformation")
    with explained("cloudformation:CreateChangeSet", cloud.environment):
        client.create_change_set(
            StackName=stack,
            ChangeSetName=name,
            TemplateBody=body,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
            Parameters=[
                {"ParameterKey": each, "UsePreviousValue": True} for each in _known_parameters(cloud, stack, template)
            ],
        )
        until = time.monotonic() + _TIMEOUT
        while True:
            found = client.describe_change_set(StackName=stack, ChangeSetName=name)
            if found["Status"] in {"CREATE_COMPLETE", "FAILED"} or time.monotonic() > until:
                break
            time.sleep(0.2)
    reason = found.get("StatusReason", "")
    if found["Status"] == "FAILED" and "didn't contain changes" not in reason and "No updates" not in reason:
        raise SoundbiteError(f"CloudFormation refuses the old template of {stack}: {reason}.")
    return name


def _known_parameters(cloud: Cloud, stack: str, template: Any) -> list[str]:
    now = {each["ParameterKey"] for each in stacks.describe(cloud)[stack].get("Parameters", [])}
    return sorted(now & set(template.get("Parameters", {})))


def _await(cloud: Cloud, stack: str) -> str:
    until = time.monotonic() + _TIMEOUT
    while time.monotonic() < until:
        status = str(stacks.describe(cloud)[stack]["StackStatus"])
        if not status.endswith("IN_PROGRESS"):
            return status
        time.sleep(0.5)
    return f"not done within {_TIMEOUT:.0f} s"

"""Old templates against what is deployed: what going back to them would do, as CloudFormation itself tells it."""

from __future__ import annotations

import json
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

_TIMEOUT, _POLL = 900.0, 0.5
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
        if change_set is None:
            continue
        with explained("cloudformation:ExecuteChangeSet", cloud.environment):
            client.execute_change_set(StackName=name, ChangeSetName=change_set)
        status = settled(cloud, name)
        if status != "UPDATE_COMPLETE":
            raise SoundbiteError(f"{name} could not be taken back: {status}.", "Its events say why; the rest stayed.")


def settled(cloud: Cloud, stack: str) -> str:
    """Wait until a stack is not being changed; return its state then, or that it still is after 15 min."""
    try:
        with explained("cloudformation:DescribeStacks", cloud.environment):
            _wait(cloud, "stack_update_complete", StackName=stack)
    except _Otherwise as other:
        status = str(other.answer["Stacks"][0]["StackStatus"])
        return f"{status} after {_TIMEOUT:.0f} s" if status.endswith("IN_PROGRESS") else status
    return "UPDATE_COMPLETE"


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
    name = _make(cloud, stack, template)
    if name is None:
        return []
    try:
        with explained("cloudformation:DescribeChangeSet", cloud.environment):
            pages = cloud.client("cloudformation").get_paginator("describe_change_set")
            changes = [
                change["ResourceChange"]
                for page in pages.paginate(StackName=stack, ChangeSetName=name)
                for change in page.get("Changes", [])
            ]
    finally:
        _remove(cloud, stack, name)
    unsafe = []
    for each in changes:
        kept, replaced = each["ResourceType"].startswith(_KEEP_DATA), each.get("Replacement", "False")
        what = f"{stack}: {each['LogicalResourceId']} ({each['ResourceType']})"
        if kept and each["Action"] == "Remove":
            unsafe.append(f"{what} would be deleted")
        elif kept and replaced in {"True", "Conditional"}:
            unsafe.append(f"{what} would{' perhaps' if replaced == 'Conditional' else ''} be replaced")
    return unsafe


def _make(cloud: Cloud, stack: str, template: Any) -> str | None:
    """Make a change set and return its name; None where it would change nothing. One that is refused is not left."""
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
    try:
        with explained("cloudformation:DescribeChangeSet", cloud.environment):
            _wait(cloud, "change_set_create_complete", StackName=stack, ChangeSetName=name)
    except _Otherwise as other:
        found = other.answer
    else:
        return name
    _remove(cloud, stack, name)
    reason = found.get("StatusReason", "")
    if found["Status"] != "FAILED":
        raise SoundbiteError(
            f"CloudFormation has not worked out after {_TIMEOUT:.0f} s what the old template of {stack} would change.",
            "Again, or --keep-infrastructure.",
        )
    if "didn't contain changes" in reason or "No updates" in reason:
        return None
    raise SoundbiteError(f"CloudFormation refuses the old template of {stack}: {reason}.")


def _remove(cloud: Cloud, stack: str, change_set: str) -> None:
    with explained("cloudformation:DeleteChangeSet", cloud.environment):
        cloud.client("cloudformation").delete_change_set(StackName=stack, ChangeSetName=change_set)


class _Otherwise(Exception):
    """It did not become what was waited for; `answer` says what it is."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__()
        self.answer = answer


def _wait(cloud: Cloud, name: str, **arguments: str) -> None:
    from botocore.exceptions import WaiterError

    often = {"Delay": _POLL, "MaxAttempts": int(_TIMEOUT / _POLL)}
    try:
        cloud.client("cloudformation").get_waiter(name).wait(**arguments, WaiterConfig=often)
    except WaiterError as error:
        if "Error" in error.last_response:
            raise
        raise _Otherwise(dict(error.last_response)) from None


def _known_parameters(cloud: Cloud, stack: str, template: Any) -> list[str]:
    now = {each["ParameterKey"] for each in stacks.describe(cloud)[stack].get("Parameters", [])}
    return sorted(now & set(template.get("Parameters", {})))

"""Faults of the stacks themselves."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.integration.conftest import until

from .fault import PROJECT, aws

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.integration.conftest import Dev

    from .fault import Seed


@contextmanager
def stack_deleted(dev: Dev) -> Iterator[dict[str, str]]:
    """Delete a stack; afterwards there is one of that name again, of the same template."""
    client, name = aws(dev, "cloudformation"), f"{PROJECT}Observability"
    was = client.describe_stacks(StackName=name)["Stacks"][0]
    body = client.get_template(StackName=name, TemplateStage="Original")["TemplateBody"]
    client.delete_stack(StackName=name)
    client.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    try:
        yield {}
    finally:
        client.create_stack(
            StackName=name,
            TemplateBody=body if isinstance(body, str) else json.dumps(body),
            # That one is a name of SSM, of which the stack tells the value.
            Parameters=[each for each in was.get("Parameters", []) if each["ParameterKey"] != "BootstrapVersion"],
            Tags=was["Tags"],
            EnableTerminationProtection=bool(was.get("EnableTerminationProtection")),
        )
        client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})


@contextmanager
def unprotected(dev: Dev) -> Iterator[dict[str, str]]:
    """Let the stack of the ledger be deleted by one call."""
    client, name = aws(dev, "cloudformation"), f"{PROJECT}Bootstrap"
    client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    try:
        yield {}
    finally:
        client.update_termination_protection(StackName=name, EnableTerminationProtection=True)


def _updated(dev: Dev, stack: str, change: Callable[[dict[str, Any]], None], **more: Any) -> str:
    """Update a stack's template, and return the state that it ends in."""
    import yaml

    client = aws(dev, "cloudformation")
    body = client.get_template(StackName=PROJECT + stack, TemplateStage="Original")["TemplateBody"]
    template = yaml.safe_load(body) if isinstance(body, str) else json.loads(json.dumps(body))
    change(template)
    kept = client.describe_stacks(StackName=PROJECT + stack)["Stacks"][0]
    client.update_stack(
        **{
            "StackName": PROJECT + stack,
            "TemplateBody": json.dumps(template),
            "Capabilities": ["CAPABILITY_IAM"],
            "Parameters": [
                {"ParameterKey": each["ParameterKey"], "UsePreviousValue": True} for each in kept.get("Parameters", [])
            ],
            "Tags": kept["Tags"],
            **more,
        }
    )

    def done() -> str:
        state = str(client.describe_stacks(StackName=PROJECT + stack)["Stacks"][0]["StackStatus"])
        return "" if state.endswith("IN_PROGRESS") else state

    return str(until(done, f"{stack} is still being updated"))


@contextmanager
def stack_rolled_back(dev: Dev) -> Iterator[dict[str, str]]:
    """Have an update of a stack fail, so that CloudFormation takes it back."""

    def broken(template: dict[str, Any]) -> None:
        parameter = {"Name": "/taken", "Type": "String", "Value": "ours"}
        template["Resources"]["Broken"] = {"Type": "AWS::SSM::Parameter", "Properties": parameter}

    aws(dev, "ssm").put_parameter(Name="/taken", Type="String", Value="somebody's", Overwrite=True)
    assert _updated(dev, "Queue", broken) == "UPDATE_ROLLBACK_COMPLETE"
    try:
        yield {}
    finally:
        mended = _updated(dev, "Queue", lambda template: template.update(Description="mended"))
        assert mended == "UPDATE_COMPLETE"


def output_changed(stack: str, name: str, value: str | None) -> Seed:
    """Give an output of a stack another value, or take it out."""

    @contextmanager
    def seed(dev: Dev) -> Iterator[dict[str, str]]:
        was: dict[str, Any] = {}

        def change(template: dict[str, Any]) -> None:
            was.update(template["Outputs"].pop(name))
            if value is not None:
                template["Outputs"][name] = {**was, "Value": value}

        assert _updated(dev, stack, change) == "UPDATE_COMPLETE"
        try:
            yield {}
        finally:
            _updated(dev, stack, lambda template: template["Outputs"].update({name: was}))

    return seed


@contextmanager
def tag_missing(dev: Dev) -> Iterator[dict[str, str]]:
    """Take a tag from a stack."""
    stack = aws(dev, "cloudformation").describe_stacks(StackName=f"{PROJECT}Storage")["Stacks"][0]
    kept = [each for each in stack["Tags"] if each["Key"] != "Owner"]
    _updated(dev, "Storage", lambda template: template.update(Description="untagged"), Tags=kept)
    try:
        yield {}
    finally:
        _updated(dev, "Storage", lambda template: template.update(Description="tagged"), Tags=stack["Tags"])

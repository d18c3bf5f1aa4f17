"""Going back to old templates on emulated CloudFormation: what keeps data is told, and the rest goes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.infrastructure import changes, stacks
from tests.integration.test_ledger import emulated

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUEUE = {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "clips"}}
_TOPIC = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "alarms"}}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with emulated(tmp_path_factory.mktemp("aws")) as running:
        yield Cloud(environment.load("staging", running.settings(), rehearsal=True))


def deployed(cloud: Cloud, short: str, resources: dict[str, Any]) -> str:
    name = cloud.environment.stack_name(short)
    client = cloud.client("cloudformation")
    client.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
    client.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    return name


def change_sets(cloud: Cloud, name: str) -> list[Any]:
    return list(cloud.client("cloudformation").list_change_sets(StackName=name)["Summaries"])


def test_the_loss_of_a_queue_is_told_and_nothing_is_left_behind(cloud: Cloud) -> None:
    name = deployed(cloud, "Queue", {"Clips": _QUEUE, "Alarms": _TOPIC})
    found = changes.compare(cloud, {name: {"Resources": {"Alarms": _TOPIC}}})
    assert found.unsafe == [f"{name}: Clips (AWS::SQS::Queue) would be deleted"]
    assert change_sets(cloud, name) == []


def test_what_loses_no_data_goes_back(cloud: Cloud) -> None:
    older = {"Resources": {"Alarms": _TOPIC}}
    more = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "more"}}
    name = deployed(cloud, "Observability", {"Alarms": _TOPIC, "More": more})
    found = changes.compare(cloud, {name: older, cloud.environment.stack_name("Gone"): older})
    assert (list(found.stacks), found.unsafe) == ([name], [])
    changes.go_back(cloud, found)
    assert stacks.template(cloud, name) == older
    assert changes.compare(cloud, {name: older}).stacks == {}
    changes.go_back(cloud, found)

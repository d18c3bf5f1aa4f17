"""Going back to old templates, on what CloudFormation answers, word by word: its own library checks the words."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import boto3
import pytest
from botocore.stub import ANY, Stubber

from soundbite import environment
from soundbite.errors import SoundbiteError
from soundbite.infrastructure import changes, stacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundbite.cloud import Cloud

STACK = "soundbite-staging-Api"
TABLE = "AWS::DynamoDB::Table"


@pytest.fixture
def told() -> Iterator[Stubber]:
    client = boto3.client("cloudformation", "us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def cloud(told: Stubber, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    monkeypatch.setattr(stacks, "describe", lambda _: {STACK: {"StackStatus": "UPDATE_COMPLETE"}})
    monkeypatch.setattr(stacks, "template", lambda *_: {"Resources": {}})
    monkeypatch.setattr(changes, "_POLL", 0.01)
    found = SimpleNamespace(client=lambda _: told.client, environment=environment.load("staging", rehearsal=True))
    return cast("Cloud", found)


def made(told: Stubber, status: str = "CREATE_COMPLETE", why: str = "", *, times: int = 1) -> None:
    told.add_response("create_change_set", {})
    for _ in range(times):
        described(told, Status=status, StatusReason=why)


def described(told: Stubber, **more: Any) -> None:
    told.add_response("describe_change_set", {"StackName": STACK, **more})


def removed(told: Stubber) -> None:
    told.add_response("delete_change_set", {}, {"StackName": STACK, "ChangeSetName": ANY})


def stack(told: Stubber, status: str) -> None:
    found = {"StackName": STACK, "CreationTime": "2026-03-01T10:00:00Z", "StackStatus": status}
    told.add_response("describe_stacks", {"Stacks": [found]}, {"StackName": STACK})


def change(name: str, kind: str, action: str = "Modify", replacement: str = "False") -> dict[str, Any]:
    resource = {"Action": action, "LogicalResourceId": name, "ResourceType": kind, "Replacement": replacement}
    return {"Type": "Resource", "ResourceChange": resource}


def test_what_would_be_lost_is_found_on_every_page(cloud: Cloud, told: Stubber) -> None:
    made(told)
    described(told, Changes=[change("Role", "AWS::IAM::Role", "Remove")], NextToken="more")
    described(told, Changes=[change("Clips", TABLE, "Modify", "True"), change("Old", TABLE, "Remove")])
    removed(told)
    found = changes.compare(cloud, {STACK: {"Resources": {"New": {}}}})
    assert found.unsafe == [
        f"{STACK}: Clips ({TABLE}) would be replaced",
        f"{STACK}: Old ({TABLE}) would be deleted",
    ]
    assert list(found.stacks) == [STACK]


def test_a_change_set_without_changes_is_removed_and_not_executed(cloud: Cloud, told: Stubber) -> None:
    made(told, "FAILED", "The submitted information didn't contain changes. Submit different information")
    removed(told)
    changes.go_back(cloud, changes.Difference({STACK: {}}))


def test_a_refused_change_set_is_removed_and_told(cloud: Cloud, told: Stubber) -> None:
    made(told, "FAILED", "Transform AWS::Other failed")
    removed(told)
    with pytest.raises(SoundbiteError, match=r"refuses the old template of .*: Transform AWS::Other failed"):
        changes.go_back(cloud, changes.Difference({STACK: {}}))


def test_a_change_set_that_is_not_made_in_time_is_not_executed(
    cloud: Cloud, told: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_TIMEOUT", 0.03)
    made(told, "CREATE_IN_PROGRESS", times=3)
    removed(told)
    with pytest.raises(SoundbiteError, match="has not worked out after"):
        changes.go_back(cloud, changes.Difference({STACK: {}}))


def test_a_stack_that_goes_back_is_waited_for(cloud: Cloud, told: Stubber) -> None:
    made(told)
    told.add_response("execute_change_set", {})
    stack(told, "UPDATE_IN_PROGRESS")
    stack(told, "UPDATE_COMPLETE")
    changes.go_back(cloud, changes.Difference({STACK: {}}))


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_COMPLETE", "UPDATE_FAILED"])
def test_a_stack_that_does_not_go_back_is_told(cloud: Cloud, told: Stubber, status: str) -> None:
    made(told)
    told.add_response("execute_change_set", {})
    stack(told, status)
    with pytest.raises(SoundbiteError, match=f"could not be taken back: {status}"):
        changes.go_back(cloud, changes.Difference({STACK: {}}))


def test_a_stack_that_is_not_done_in_time_is_told(cloud: Cloud, told: Stubber, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_TIMEOUT", 0.03)
    made(told)
    told.add_response("execute_change_set", {})
    for _ in range(3):
        stack(told, "UPDATE_IN_PROGRESS")
    with pytest.raises(SoundbiteError, match="UPDATE_IN_PROGRESS after"):
        changes.go_back(cloud, changes.Difference({STACK: {}}))

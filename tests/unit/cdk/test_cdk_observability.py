"""The alarms and the dashboard; and what the workflow expects of all stacks, against what they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from soundbite import environment
from soundbite.infrastructure import stacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.unit.cdk.conftest import Assembly


def test_the_workflow_expects_what_there_is(each: Assembly) -> None:
    here = environment.load(each.environment)
    assert set(stacks.expected(here)) == set(each.stacks)
    given = {
        f"{name}.{output}"
        for name in each.stacks
        for output in each.template(name).get("Outputs", {})
        if not output.startswith("Exports")
    }
    assert set(stacks.expected_outputs(here)) == given
    assert all(each.stack(name)["tags"] == stacks.tags(here) for name in each.stacks)


def test_every_resource_has_an_alarm(each: Assembly) -> None:
    alarms = each.resources("AWS::CloudWatch::Alarm")
    watched = {alarm["Properties"]["Namespace"] for alarm in alarms.values()}
    hosts = each.resources("AWS::EC2::Instance")
    assert watched == {"AWS/DynamoDB", "AWS/S3", "AWS/SQS", "AWS/Lambda"} | ({"AWS/EC2"} if hosts else set())
    assert sum(alarm["Properties"]["Namespace"] == "AWS/EC2" for alarm in alarms.values()) == len(hosts)
    for name, alarm in alarms.items():
        properties = alarm["Properties"]
        assert properties["AlarmDescription"].startswith(f"SoundBite {each.environment}: "), name
        assert len(properties["Dimensions"]) >= 1, name
        # A host without data is in trouble; of the rest, AWS counts nothing where there was nothing.
        silent = "breaching" if properties["Namespace"] == "AWS/EC2" else "notBreaching"
        assert properties["TreatMissingData"] == silent, name


def test_the_bucket_counts_its_requests(each: Assembly) -> None:
    bucket = each.properties("Storage", "AWS::S3::Bucket")
    alarm = each.properties("Observability", "AWS::CloudWatch::Alarm", "BucketErrors")
    filters = {one["Value"] for one in alarm["Dimensions"] if one["Name"] == "FilterId"}
    assert filters == {one["Id"] for one in bucket["MetricsConfigurations"]}


def test_the_dashboard_shows_every_metric(each: Assembly) -> None:
    board = each.properties("Observability", "AWS::CloudWatch::Dashboard")
    assert board["DashboardName"] == f"SoundBite-{each.environment}"
    text = json.dumps(board["DashboardBody"])
    for alarm in each.resources("AWS::CloudWatch::Alarm").values():
        if alarm["Properties"]["Namespace"] != "AWS/EC2":
            assert alarm["Properties"]["MetricName"] in text


def test_no_stack_imports_a_hosts_id(assembly: Callable[[str], Assembly]) -> None:
    # Such an import would keep hosts from ever being replaced.
    outputs = assembly("production").template("Api")["Outputs"]
    assert not [name for name in outputs if "Host1" in name]

"""What the promotion matrix promises of each environment holds in its templates."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from .conftest import Assembly


class Figures(NamedTuple):
    """A row of the promotion matrix; days, seconds, yes or no. No hosts at all where the application runs here."""

    ttl: int
    backup: bool
    visibility: int
    versioned: bool
    logs: int
    retained: bool
    timeout: int
    memory: int
    hosts: int | None


MATRIX = {
    "dev-localstack": Figures(7, False, 30, False, 1, False, 25, 512, None),
    "dev-aws": Figures(30, False, 30, False, 7, False, 25, 512, None),
    "dev-aws-deployed": Figures(30, True, 60, True, 14, False, 25, 512, 2),
    "staging": Figures(90, True, 60, True, 30, True, 25, 512, 2),
    "production": Figures(365, True, 300, True, 90, True, 50, 1024, 2),
}


@pytest.fixture
def figures(each: Assembly) -> Figures:
    return MATRIX[each.environment]


def test_the_stacks(each: Assembly, figures: Figures) -> None:
    everywhere = {"Bootstrap", "Database", "Storage", "Queue", "Compute", "Observability"}
    assert set(each.stacks) == everywhere | ({"Api"} if figures.hosts is not None else set())
    assert len(each.resources("AWS::EC2::Instance")) == (figures.hosts or 0)


def test_clips_end_with_their_time_to_live(each: Assembly, figures: Figures) -> None:
    table = each.properties("Database", "AWS::DynamoDB::Table")
    assert table["TimeToLiveSpecification"] == {"AttributeName": "expiresAt", "Enabled": True}
    rules = {
        rule["Id"]: rule for rule in each.properties("Storage", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    }
    assert (rules["clips"]["Prefix"], rules["clips"]["ExpirationInDays"]) == ("clips/", figures.ttl)
    assert rules["clips"]["Status"] == "Enabled"


def test_unfinished_uploads_and_old_versions_do_not_pile_up(each: Assembly, figures: Figures) -> None:
    rules = each.properties("Storage", "AWS::S3::Bucket")["LifecycleConfiguration"]["Rules"]
    assert [rule for rule in rules if rule.get("AbortIncompleteMultipartUpload") == {"DaysAfterInitiation": 1}]
    old = [rule for rule in rules if rule.get("NoncurrentVersionExpiration") == {"NoncurrentDays": 30}]
    assert bool(old) == figures.versioned


def test_the_table_of_clips(each: Assembly, figures: Figures) -> None:
    table = each.properties("Database", "AWS::DynamoDB::Table")
    assert table["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is figures.backup
    assert table["SSESpecification"] == {"SSEEnabled": True}
    assert table["DeletionProtectionEnabled"] is figures.retained


def test_the_bucket_is_versioned_where_promised(each: Assembly, figures: Figures) -> None:
    bucket = each.properties("Storage", "AWS::S3::Bucket")
    assert (bucket.get("VersioningConfiguration") == {"Status": "Enabled"}) == figures.versioned


def test_the_queue(each: Assembly, figures: Figures) -> None:
    queue = each.properties("Queue", "AWS::SQS::Queue", "Clips")
    assert queue["VisibilityTimeout"] == figures.visibility
    assert queue["MessageRetentionPeriod"] == 14 * 86400
    assert queue["SqsManagedSseEnabled"] is True


def test_every_environment_has_a_dead_letter_queue(each: Assembly) -> None:
    redrive = each.properties("Queue", "AWS::SQS::Queue", "Clips")["RedrivePolicy"]
    (dead_letters,) = [name for name in each.template("Queue")["Resources"] if name.startswith("DeadLettersB")]
    assert redrive == {"deadLetterTargetArn": {"Fn::GetAtt": [dead_letters, "Arn"]}, "maxReceiveCount": 3}
    assert each.properties("Queue", "AWS::SQS::Queue", "DeadLetters")["MessageRetentionPeriod"] == 14 * 86400


def test_the_processor(each: Assembly, figures: Figures) -> None:
    function = each.properties("Compute", "AWS::Lambda::Function")
    assert (function["Timeout"], function["MemorySize"]) == (figures.timeout, figures.memory)
    assert (function["Runtime"], function["Handler"]) == ("nodejs24.x", "index.handler")
    variables = function["Environment"]["Variables"]
    assert set(variables) == {"ENVIRONMENT", "DYNAMODB_TABLE", "S3_BUCKET", "SPEECH", "MAX_RECEIVES", "LOG_LEVEL"}
    assert (variables["ENVIRONMENT"], variables["MAX_RECEIVES"]) == (each.environment, "3")


def test_the_processor_gets_other_stacks_outputs_by_import(each: Assembly) -> None:
    variables = each.properties("Compute", "AWS::Lambda::Function")["Environment"]["Variables"]
    exported = {
        output["Export"]["Name"]: output["Value"]
        for stack in ("Database", "Storage")
        for output in each.template(stack)["Outputs"].values()
        if "Export" in output
    }
    for variable, stack, output in (
        ("DYNAMODB_TABLE", "Database", "TableName"),
        ("S3_BUCKET", "Storage", "BucketName"),
    ):
        name = variables[variable]["Fn::ImportValue"]
        assert exported[name] == each.template(stack)["Outputs"][output]["Value"]


def test_the_processor_logs_to_its_own_group(each: Assembly, figures: Figures) -> None:
    (name,) = [name.split(".")[1] for name in each.resources("AWS::Logs::LogGroup")]
    assert each.properties("Compute", "AWS::Lambda::Function")["LoggingConfig"] == {"LogGroup": {"Ref": name}}
    assert each.properties("Compute", "AWS::Logs::LogGroup")["RetentionInDays"] == figures.logs


def test_the_queue_calls_the_alias_and_takes_back_single_messages(each: Assembly) -> None:
    mapping = each.properties("Compute", "AWS::Lambda::EventSourceMapping")
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert mapping["BatchSize"] == 5
    assert mapping["FunctionName"]["Fn::Join"][1][-1] == ":live"
    (version,) = [name.split(".")[1] for name in each.resources("AWS::Lambda::Version")]
    alias = each.properties("Compute", "AWS::Lambda::Alias")
    assert (alias["Name"], alias["FunctionVersion"]) == ("live", {"Fn::GetAtt": [version, "Version"]})


def test_cloudformation_moves_the_alias_only_where_the_application_runs_here(each: Assembly, figures: Figures) -> None:
    (version,) = each.resources("AWS::Lambda::Version")
    if figures.hosts is None:
        # Its name holds the hash of the function, so that what changes the function makes another one.
        assert version.startswith("Compute.ProcessorCurrentVersion")
    else:
        assert version == "Compute.FirstVersionBB6C5A65"


def test_image_tags_never_move(each: Assembly, figures: Figures) -> None:
    repository = each.properties("Compute", "AWS::ECR::Repository")
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    assert repository["EmptyOnDelete"] is not figures.retained
    assert '"countNumber":50' in repository["LifecyclePolicy"]["LifecyclePolicyText"]


def test_the_ledger_has_a_name_that_can_be_told(each: Assembly) -> None:
    ledger = each.properties("Bootstrap", "AWS::DynamoDB::Table")
    assert ledger["TableName"] == f"soundbite-{each.environment}-ledger"
    assert [(key["AttributeName"], key["KeyType"]) for key in ledger["KeySchema"]] == [("pk", "HASH"), ("sk", "RANGE")]


def test_the_outputs_have_the_names_that_settings_use(each: Assembly, figures: Figures) -> None:
    outputs = {
        f"{stack}.{name}"
        for stack in each.stacks
        for name, output in each.template(stack)["Outputs"].items()
        if "Export" not in output
    }
    expected = {
        "Bootstrap.LedgerName",
        "Database.TableName",
        "Database.TableArn",
        "Storage.BucketName",
        "Queue.QueueUrl",
        "Queue.QueueArn",
        "Queue.QueueName",
        "Queue.DeadLetterQueueUrl",
        "Queue.DeadLetterQueueName",
        "Compute.RepositoryUri",
        "Compute.RepositoryName",
        "Compute.FunctionName",
        "Compute.FunctionAliasArn",
        "Compute.LogGroupName",
        "Observability.DashboardName",
    }
    hosts = {"Api.VpcId", "Api.SecurityGroupId", "Api.InstanceRoleArn"}
    assert outputs == expected | (hosts if figures.hosts is not None else set())

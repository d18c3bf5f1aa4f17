"""Rules that every resource of every environment keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import Assembly

UNTAGGABLE = {
    "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::EC2::VPCGatewayAttachment",
    "AWS::IAM::InstanceProfile",
    "AWS::Lambda::Alias",
    "AWS::Lambda::Version",
    "AWS::S3::BucketPolicy",
    "AWS::SQS::QueuePolicy",
}

# These have no resource type: the service authorization reference lists none but "*".
ALLOWED_ON_EVERYTHING = {"polly:SynthesizeSpeech", "ecr:GetAuthorizationToken"}


# What hosts are found and told apart by.
MORE_TAGS = {"AWS::EC2::Instance": {"Role", "Name"}}


def tags_of(resource: dict[str, Any]) -> dict[str, str]:
    properties = resource["Properties"]
    if resource["Type"] == "AWS::EC2::LaunchTemplate":
        (properties,) = properties["TagSpecifications"]
    return {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}


def as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(assembly: Assembly) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give every statement of every policy, wherever a resource holds it, with the resource's name."""

    def documents(value: object) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if "Statement" in value:
                yield value
            for inner in value.values():
                yield from documents(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from documents(inner)

    for name, resource in assembly.resources().items():
        for document in documents(resource.get("Properties", {})):
            for statement in document["Statement"]:
                yield name, statement


def test_everything_is_tagged(each: Assembly) -> None:
    expected = {
        "Project": "SoundBite",
        "Environment": each.environment,
        "Owner": "soundbite",
        "CostCenter": "soundbite",
        "ManagedBy": "inv",
    }
    for name, resource in each.resources().items():
        if resource["Type"] not in UNTAGGABLE:
            tags = tags_of(resource)
            assert {key: tags.get(key) for key in expected} == expected, name
            assert set(tags) - set(expected) == MORE_TAGS.get(resource["Type"], set()), name
    for stack in each.stacks:
        assert each.stack(stack)["tags"] == expected, stack


def test_no_statement_allows_more_than_it_names(each: Assembly) -> None:
    for name, statement in statements(each):
        if statement["Effect"] != "Allow":
            continue
        actions = as_list(statement["Action"])
        assert not [action for action in actions if "*" in action], name
        assert "NotAction" not in statement, name
        assert "NotResource" not in statement, name
        if "*" in as_list(statement.get("Resource", [])):
            assert set(actions) <= ALLOWED_ON_EVERYTHING, name


def test_the_processor_may_do_only_what_it_does(each: Assembly) -> None:
    allowed = {
        action
        for name, statement in statements(each)
        if name.startswith("Compute.ProcessorRole") and statement["Action"] != "sts:AssumeRole"
        for action in as_list(statement["Action"])
    }
    expected = {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "s3:PutObject",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
    }
    assert allowed == expected | (set() if each.environment == "dev-localstack" else {"polly:SynthesizeSpeech"})


def test_no_role_has_other_policies(each: Assembly) -> None:
    for name, role in each.resources("AWS::IAM::Role").items():
        managed = [arn["Fn::Join"][1][-1] for arn in role["Properties"].get("ManagedPolicyArns", [])]
        # Session Manager's, as AWS keeps it.
        assert managed == ([":iam::aws:policy/AmazonSSMManagedInstanceCore"] if name.startswith("Api.") else []), name
    assert not each.resources("AWS::IAM::Policy")
    assert not each.resources("AWS::IAM::ManagedPolicy")


def test_nothing_is_public(each: Assembly) -> None:
    bucket = each.properties("Storage", "AWS::S3::Bucket")
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    for name, statement in statements(each):
        if "*" in str(statement.get("Principal", "")):
            assert statement["Effect"] == "Deny", name
    assert not each.resources("AWS::Lambda::Url")
    assert not each.resources("AWS::Lambda::Permission")


def test_buckets_and_queues_refuse_plain_http(each: Assembly) -> None:
    refusing = {
        name.partition(".")[2].removesuffix(name[-8:])
        for name, statement in statements(each)
        if statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refusing == {"AudioPolicy", "ClipsPolicy", "DeadLettersPolicy"}


def test_everything_stored_is_encrypted(each: Assembly) -> None:
    bucket = each.properties("Storage", "AWS::S3::Bucket")
    rules = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rules == [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    for name, queue in each.resources("AWS::SQS::Queue").items():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True, name
    for name, table in each.resources("AWS::DynamoDB::Table").items():
        assert table["Properties"]["SSESpecification"] == {"SSEEnabled": True}, name


def test_data_outlives_its_stack_where_promised(each: Assembly) -> None:
    policy = "Retain" if each.environment in {"staging", "production"} else "Delete"
    kept = {"AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::ECR::Repository"}
    for name, resource in each.resources().items():
        if resource["Type"] in kept and not name.startswith("Bootstrap."):
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (policy, policy), name


def test_stacks_with_data_to_keep_are_protected(each: Assembly) -> None:
    for stack in set(each.stacks) - {"Bootstrap"}:
        expected = each.environment in {"staging", "production"}
        assert each.stack(stack).get("terminationProtection", False) is expected, stack


def test_the_ledger_is_kept_everywhere(each: Assembly) -> None:
    (ledger,) = [r for name, r in each.resources("AWS::DynamoDB::Table").items() if name.startswith("Bootstrap.")]
    assert (ledger["DeletionPolicy"], ledger["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert ledger["Properties"]["DeletionProtectionEnabled"] is True
    assert ledger["Properties"]["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert each.stack("Bootstrap")["terminationProtection"] is True


def test_the_ledgers_stack_needs_no_bootstrapped_account(each: Assembly) -> None:
    assert not {"assumeRoleArn", "requiresBootstrapStackVersion"} & set(each.stack("Bootstrap"))
    assert "Parameters" not in each.template("Bootstrap")


def test_an_older_version_stays_and_a_failed_one_does_not(each: Assembly) -> None:
    (version,) = each.resources("AWS::Lambda::Version").values()
    assert (version["DeletionPolicy"], version["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


def test_no_resource_needs_code_of_the_cdk(each: Assembly) -> None:
    assert not [r["Type"] for r in each.resources().values() if r["Type"].startswith(("Custom::", "AWS::CDK"))]
    assert len(each.resources("AWS::Lambda::Function")) == 1

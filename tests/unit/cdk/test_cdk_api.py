"""The stack of the hosts: what they are, how they are found, what they may do and what they may be asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from .conftest import Assembly

Synthesize = Callable[[Mapping[str, str]], "Assembly"]
Texts = Callable[[str, Path], dict[str, str]]


@pytest.fixture(params=["dev-aws-deployed", "staging", "production"])
def hosted(request: pytest.FixtureRequest, assembly: Callable[[str], Assembly]) -> Assembly:
    """Return the assembly of each environment with hosts in turn."""
    return assembly(request.param)


@pytest.fixture
def made(tmp_path: Path, texts: Texts, synthesize: Synthesize) -> Callable[..., Assembly]:
    """Return a function that makes an assembly of staging with other settings."""

    def make(**settings: str) -> Assembly:
        return synthesize({**texts("staging", tmp_path / "-".join(["assembly", *settings.values()])), **settings})

    return make


def template(assembly: Assembly) -> dict[str, Any]:
    """Return what is common to all hosts."""
    data: dict[str, Any] = assembly.properties("Api", "AWS::EC2::LaunchTemplate")["LaunchTemplateData"]
    return data


def instances(assembly: Assembly) -> dict[str, dict[str, Any]]:
    return {name.removeprefix("Api."): resource for name, resource in assembly.resources("AWS::EC2::Instance").items()}


def statements(assembly: Assembly) -> list[dict[str, Any]]:
    (policy,) = assembly.properties("Api", "AWS::IAM::Role")["Policies"]
    found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
    return found


def test_hosts_are_found_by_their_tags(hosted: Assembly) -> None:
    for number, host in enumerate(instances(hosted).values(), start=1):
        tags = {tag["Key"]: tag["Value"] for tag in host["Properties"]["Tags"]}
        assert (tags["Project"], tags["Environment"], tags["Role"]) == ("SoundBite", hosted.environment, "api")
        assert tags["Name"] == f"SoundBite-{hosted.environment}-api-{number}"


def test_as_many_hosts_as_said_in_all_zones(made: Callable[..., Assembly]) -> None:
    hosts = instances(made(HOSTS_COUNT="3", HOSTS_INSTANCE_TYPE="t3.large"))
    subnets = [host["Properties"]["SubnetId"]["Ref"] for host in hosts.values()]
    assert list(hosts) == ["Host1", "Host2", "Host3"]
    assert (len(set(subnets)), subnets[0]) == (2, subnets[2])
    assert {host["Properties"]["InstanceType"] for host in hosts.values()} == {"t3.large"}


def test_without_hosts_everything_else_is_there(
    made: Callable[..., Assembly], assembly: Callable[[str], Assembly]
) -> None:
    without = made(HOSTS_COUNT="0").template("Api")
    usual = assembly("staging").template("Api")
    assert without["Outputs"] == usual["Outputs"]
    assert without["Resources"] == {
        name: resource
        for name, resource in usual["Resources"].items()
        if resource["Type"] not in {"AWS::EC2::Instance", "AWS::CloudWatch::Alarm"}
    }


@pytest.mark.parametrize("platform", ["local", "ecs"])
def test_other_platforms_have_no_hosts(made: Callable[..., Assembly], platform: str) -> None:
    assert "Api" not in made(PLATFORM=platform).stacks


def test_no_host_starts_before_it_can_reach_the_internet(hosted: Assembly) -> None:
    resources = hosted.template("Api")["Resources"]
    for name, host in instances(hosted).items():
        awaited = {resources[each]["Type"] for each in host["DependsOn"]}
        assert {"AWS::EC2::Route", "AWS::EC2::SubnetRouteTableAssociation"} <= awaited, name


def test_credentials_of_a_host_are_given_to_sessions_only(hosted: Assembly) -> None:
    options = template(hosted)["MetadataOptions"]
    assert options == {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 2}


def test_the_disk_is_encrypted(hosted: Assembly) -> None:
    (mapping,) = template(hosted)["BlockDeviceMappings"]
    assert (mapping["Ebs"]["Encrypted"], mapping["Ebs"]["VolumeType"], mapping["Ebs"]["VolumeSize"]) == (
        True,
        "gp3",
        30,
    )


def test_a_newer_image_replaces_no_host(hosted: Assembly) -> None:
    """CloudFormation never learns the image's id, and hosts name a version that a launch template never changes."""
    assert template(hosted)["ImageId"].startswith("resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/")
    assert "ImageId" not in json.dumps(instances(hosted))
    assert "AMI" not in json.dumps(hosted.template("Api").get("Parameters", {}))
    (name,) = [name.partition(".")[2] for name in hosted.resources("AWS::EC2::LaunchTemplate")]
    for host in instances(hosted).values():
        assert host["Properties"]["LaunchTemplate"] == {"LaunchTemplateId": {"Ref": name}, "Version": "1"}


def test_another_content_is_another_launch_template_and_other_tags_are_not(
    made: Callable[..., Assembly], assembly: Callable[[str], Assembly], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cdk.stacks import api

    usual = set(assembly("staging").resources("AWS::EC2::LaunchTemplate"))
    assert set(made(OWNER="others", HOSTS_INSTANCE_TYPE="t3.large").resources("AWS::EC2::LaunchTemplate")) == usual
    monkeypatch.setattr(api, "_USER_DATA", "#!/bin/sh\n")
    assert set(made(OWNER="more").resources("AWS::EC2::LaunchTemplate")) != usual


def test_the_first_start_installs_what_hosts_prepare_needs(hosted: Assembly) -> None:
    script = base64.b64decode(template(hosted)["UserData"]).decode()
    assert script.startswith("#!/bin/sh\nset -eu\n")
    assert 'packages="docker.io docker-compose-v2 python3 python3-boto3"' in script
    assert len(script) < 16_384  # EC2, "Run commands when you launch an EC2 instance"


def test_a_new_host_asks_the_ledger_of_its_environment_at_every_boot_until_it_has_an_agent(hosted: Assembly) -> None:
    script = base64.b64decode(template(hosted)["UserData"]).decode()
    program = script.partition("<<'END'\n")[2].partition("END\n")[0]
    compile(program, "first_boot.py", "exec")
    assert program == (ROOT / "cdk" / "first_boot.py").read_text(encoding="utf-8")
    ledger = f"soundbite-{hosted.environment}-ledger eu-central-1"
    assert f"ExecStart=/usr/bin/python3 /usr/local/lib/first_boot.py {ledger}\n" in script
    assert "ConditionPathExistsGlob=!/var/lib/*/agent.pyz\n" in script
    assert script.endswith("systemctl enable first-boot\nsystemctl start --no-block first-boot\n")


def test_only_the_applications_port_is_open(made: Callable[..., Assembly]) -> None:
    api = made(HOSTS_HTTP_PORT="8443")
    (rule,) = api.properties("Api", "AWS::EC2::SecurityGroup")["SecurityGroupIngress"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"], rule["CidrIp"]) == ("tcp", 8443, 8443, "0.0.0.0/0")
    (group,) = [name.partition(".")[2] for name in api.resources("AWS::EC2::SecurityGroup")]
    for host in instances(api).values():
        assert host["Properties"]["SecurityGroupIds"] == [{"Fn::GetAtt": [group, "GroupId"]}]
        assert "KeyName" not in host["Properties"]


def test_the_network_has_two_zones_and_nothing_to_pay_for(hosted: Assembly) -> None:
    assert not hosted.resources("AWS::EC2::NatGateway")
    zones = [each["Properties"]["AvailabilityZone"] for each in hosted.resources("AWS::EC2::Subnet").values()]
    assert zones == [{"Fn::Join": ["", [{"Ref": "AWS::Region"}, letter]]} for letter in "ab"]
    endpoints = [each["Properties"] for each in hosted.resources("AWS::EC2::VPCEndpoint").values()]
    assert [each["VpcEndpointType"] for each in endpoints] == ["Gateway", "Gateway"]
    assert {each["ServiceName"]["Fn::Join"][1][-1] for each in endpoints} == {".s3", ".dynamodb"}


def test_the_emulator_knows_all_but_the_hosts(made: Callable[..., Assembly]) -> None:
    """Rehearsals deploy this stack without hosts; each of these types was deployed there, and another may stop it."""
    types = {each["Type"] for each in made(HOSTS_COUNT="0").template("Api")["Resources"].values()}
    network = {
        *("VPC", "InternetGateway", "VPCGatewayAttachment", "RouteTable", "Route", "Subnet"),
        *("SubnetRouteTableAssociation", "VPCEndpoint", "SecurityGroup", "LaunchTemplate"),
    }
    assert types == {f"AWS::EC2::{kind}" for kind in network} | {"AWS::IAM::Role", "AWS::IAM::InstanceProfile"}


def test_a_host_may_do_only_what_the_api_does(hosted: Assembly) -> None:
    def owner(resource: Any) -> str:
        """Return which stack's resource it is, and what comes after its name."""
        if isinstance(resource, str):
            return next((each for each in ("ledger", "secret") if each in resource), resource)
        whole, end = resource["Fn::Join"][1] if "Fn::Join" in resource else (resource, "")
        stack, _, export = whole["Fn::ImportValue"].removeprefix(f"SoundBite-{hosted.environment}-").partition(":")
        return f"{stack}:{export.removeprefix('ExportsOutputFnGetAtt').partition('Arn')[0][:-8]}{end}"

    allowed = {
        (action, owner(statement["Resource"]))
        for statement in statements(hosted)
        if statement["Effect"] == "Allow"
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }
    assert allowed == {
        ("dynamodb:GetItem", "Database:Clips"),
        ("dynamodb:PutItem", "Database:Clips"),
        ("dynamodb:UpdateItem", "Database:Clips"),
        ("sqs:SendMessage", "Queue:Clips"),
        ("sqs:GetQueueAttributes", "Queue:Clips"),
        ("s3:GetObject", "Storage:Audio/clips/*"),
        ("s3:ListBucket", "Storage:Audio"),
        ("ecr:BatchCheckLayerAvailability", "Compute:Images"),
        ("ecr:BatchGetImage", "Compute:Images"),
        ("ecr:GetDownloadUrlForLayer", "Compute:Images"),
        ("ecr:GetAuthorizationToken", "*"),
        ("dynamodb:GetItem", "ledger"),
        ("secretsmanager:GetSecretValue", "secret"),
    }


def test_a_host_may_read_what_tells_what_should_serve_and_nothing_else_of_the_ledger(hosted: Assembly) -> None:
    (ledger,) = [each for each in statements(hosted) if "-ledger" in json.dumps(each["Resource"])]
    assert ledger["Action"] == "dynamodb:GetItem"
    assert f"table/soundbite-{hosted.environment}-ledger" in json.dumps(ledger["Resource"])
    assert ledger["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["environment", "lock", "operation"]}
    }


def test_a_host_reads_the_applications_secrets_and_no_others(made: Callable[..., Assembly]) -> None:
    api = made(APP_ENV_METRICS_TOKEN="secretsmanager:soundbite/x#token", APP_ENV_KEY="ssm:/soundbite/key")
    allowed = [each for each in statements(api) if each["Effect"] == "Allow"]
    (secret,) = [each for each in allowed if each["Action"] == "secretsmanager:GetSecretValue"]
    assert secret["Resource"].endswith(":secret:soundbite/x-??????")
    (parameter,) = [each for each in allowed if each["Action"] == "ssm:GetParameter"]
    assert parameter["Resource"].endswith(":parameter/soundbite/key")
    (denied,) = [each for each in statements(api) if each["Effect"] == "Deny"]
    assert denied["NotResource"] == parameter["Resource"]


def test_a_host_reads_no_parameters_whatever_session_managers_policy_allows(hosted: Assembly) -> None:
    (denied,) = [statement for statement in statements(hosted) if statement["Effect"] == "Deny"]
    assert denied == {"Effect": "Deny", "Action": ["ssm:GetParameter", "ssm:GetParameters"], "Resource": "*"}


def test_only_ec2_takes_the_role(hosted: Assembly) -> None:
    (statement,) = hosted.properties("Api", "AWS::IAM::Role")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "ec2.amazonaws.com"}
    profile = hosted.properties("Api", "AWS::IAM::InstanceProfile")
    (role,) = [name.partition(".")[2] for name in hosted.resources("AWS::IAM::Role") if name.startswith("Api.")]
    assert profile["Roles"] == [{"Ref": role}]


def test_what_changes_the_function_changes_nothing_of_its_alias(made: Callable[..., Assembly]) -> None:
    """So that CloudFormation has nothing to send, and the alias stays where the workflow put it."""

    def alias(assembly: Assembly) -> dict[str, Any]:
        kinds = ("AWS::Lambda::Version", "AWS::Lambda::Alias")
        return {name: each for kind in kinds for name, each in assembly.resources(kind).items()}

    first = made(PROCESSOR_MEMORY_MB="512")
    second = made(PROCESSOR_MEMORY_MB="640", PROCESSOR_TIMEOUT="30s", PROCESSOR_ENV_LOG_LEVEL="debug", OWNER="others")
    kind = "AWS::Lambda::Function"
    assert first.properties("Compute", kind) != second.properties("Compute", kind)
    assert len(alias(first)) == 2
    assert alias(first) == alias(second)


def test_a_change_of_platform_gives_lambda_something_new_to_publish(made: Callable[..., Assembly]) -> None:
    descriptions = {
        made(PLATFORM=platform).properties("Compute", "AWS::Lambda::Function")["Description"]
        for platform in ("local", "hosts")
    }
    assert len(descriptions) == 2

"""The stack of the service on ECS: what its tasks stand in, who reaches them, and what they may do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cdk.settings import Settings
from soundbite import environment
from soundbite.errors import ConfigurationError
from soundbite.infrastructure import stacks
from tests.unit.cdk.test_cdk_rules import ALLOWED_ON_EVERYTHING, UNTAGGABLE, as_list, statements, tags_of

if TYPE_CHECKING:
    from .conftest import Assembly

Synthesize = Callable[[Mapping[str, str]], "Assembly"]
Texts = Callable[[str, Path], dict[str, str]]
Make = Callable[..., "Assembly"]

CERTIFICATE = "arn:aws:acm:eu-central-1:222222222222:certificate/12345678-1234-1234-1234-123456789012"
ELB = "AWS::ElasticLoadBalancingV2"


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory, texts: Texts, synthesize: Synthesize) -> Make:
    """Return a function that makes an assembly of staging on ECS with other settings."""

    def make(**settings: str) -> Assembly:
        return synthesize({**texts("staging", tmp_path_factory.mktemp("assembly")), "PLATFORM": "ecs", **settings})

    return make


@pytest.fixture(scope="module")
def made(make: Make) -> Assembly:
    """Return staging's assembly on ECS."""
    return make()


def policy(assembly: Assembly, role: str) -> list[dict[str, Any]]:
    """Return the statements of a role."""
    (found,) = assembly.properties("Service", "AWS::IAM::Role", role)["Policies"]
    document: list[dict[str, Any]] = found["PolicyDocument"]["Statement"]
    return document


def rights(stated: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return each action that is allowed, with its resource."""
    return {
        (action, json.dumps(statement["Resource"]))
        for statement in stated
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }


def listeners(assembly: Assembly) -> dict[int, dict[str, Any]]:
    found = assembly.resources(f"{ELB}::Listener").values()
    return {each["Properties"]["Port"]: each["Properties"] for each in found}


@pytest.mark.parametrize(("platform", "there"), [("local", set()), ("hosts", {"Api"}), ("ecs", {"Service"})])
def test_the_platform_chooses_the_stack(make: Make, platform: str, there: set[str]) -> None:
    assert set(make(PLATFORM=platform).stacks) & {"Api", "Service"} == there


def test_the_other_platforms_stack_may_stay(made: Assembly, assembly: Callable[[str], Assembly]) -> None:
    """CloudFormation refuses to take an output away that another stack imports; both import the same."""
    hosts = assembly("staging")
    for stack in set(made.stacks) - {"Service"}:
        assert made.template(stack) == hosts.template(stack), stack
    assert "SoundBite-staging-Api" not in json.dumps(made.template("Service"))


def test_the_service_and_its_tasks_are_left_to_the_workflow(made: Assembly) -> None:
    """Each of these types was deployed on the emulator; it takes others, too, and drops them or fails."""
    types = {each["Type"] for each in made.template("Service")["Resources"].values()}
    network = {
        *("VPC", "InternetGateway", "VPCGatewayAttachment", "RouteTable", "Route", "Subnet"),
        *("SubnetRouteTableAssociation", "VPCEndpoint", "SecurityGroup"),
    }
    assert types == {f"AWS::EC2::{kind}" for kind in network} | {
        *(f"{ELB}::{kind}" for kind in ("LoadBalancer", "Listener", "TargetGroup")),
        *("AWS::ECS::Cluster", "AWS::IAM::Role", "AWS::Logs::LogGroup", "AWS::CloudWatch::Alarm"),
    }


def test_what_the_workflow_needs_is_given_out(made: Assembly) -> None:
    assert set(made.template("Service")["Outputs"]) == {
        *("ClusterName", "SubnetIds", "SecurityGroupId", "TargetGroupArn", "TargetGroupName"),
        *("LoadBalancerDnsName", "LoadBalancerName", "TaskRoleArn", "ExecutionRoleArn", "LogGroupName", "AlarmNames"),
    }


def test_the_workflow_expects_what_there_is(made: Assembly) -> None:
    here = environment.load("staging", {"PLATFORM": "ecs"})
    assert set(stacks.expected(here)) == set(made.stacks)
    given = {each for each in stacks.expected_outputs(here) if each.startswith("Service.")}
    assert given == {f"Service.{output}" for output in made.template("Service")["Outputs"]}


def test_the_subnets_are_given_out_with_commas(made: Assembly) -> None:
    subnets = [name.partition(".")[2] for name in made.resources("AWS::EC2::Subnet")]
    joined = made.template("Service")["Outputs"]["SubnetIds"]["Value"]["Fn::Join"]
    assert joined == ["", [{"Ref": subnets[0]}, ",", {"Ref": subnets[1]}]]


def test_only_the_load_balancer_is_open_to_the_world(make: Make) -> None:
    for assembly, ports in ((make(), [80]), (make(ECS_CERTIFICATE=CERTIFICATE), [80, 443])):
        balancer = assembly.properties("Service", "AWS::EC2::SecurityGroup", "BalancerRules")
        tasks = assembly.properties("Service", "AWS::EC2::SecurityGroup", "TaskRules")
        assert balancer["SecurityGroupIngress"] == [
            {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, "CidrIp": "0.0.0.0/0"} for port in ports
        ]
        assert tasks["SecurityGroupIngress"] == [
            {
                "IpProtocol": "tcp",
                "FromPort": 3000,
                "ToPort": 3000,
                "SourceSecurityGroupId": {"Fn::GetAtt": ["BalancerRules", "GroupId"]},
            }
        ]
        assert sorted(listeners(assembly)) == ports
        assert len(assembly.resources("AWS::EC2::SecurityGroup")) == 2


def test_the_load_balancer_reaches_its_network_only(made: Assembly) -> None:
    (rule,) = made.properties("Service", "AWS::EC2::SecurityGroup", "BalancerRules")["SecurityGroupEgress"]
    assert rule == {"IpProtocol": "tcp", "FromPort": 3000, "ToPort": 3000, "CidrIp": "10.0.0.0/16"}
    assert made.properties("Service", "AWS::EC2::VPC")["CidrBlock"] == rule["CidrIp"]


def test_without_a_certificate_it_answers_over_http(made: Assembly) -> None:
    (listener,) = listeners(made).values()
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    assert listener["DefaultActions"] == [{"Type": "forward", "TargetGroupArn": {"Ref": "Tasks"}}]


def test_with_a_certificate_http_only_leads_to_https(make: Make) -> None:
    found = listeners(make(ECS_CERTIFICATE=CERTIFICATE))
    (redirect,) = found[80]["DefaultActions"]
    assert redirect["Type"] == "redirect"
    assert redirect["RedirectConfig"] == {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    https = found[443]
    assert (https["Protocol"], https["Certificates"]) == ("HTTPS", [{"CertificateArn": CERTIFICATE}])
    assert https["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
    assert https["DefaultActions"] == [{"Type": "forward", "TargetGroupArn": {"Ref": "Tasks"}}]


def test_tasks_are_asked_whether_they_are_ready(make: Make) -> None:
    target = make(ECS_DRAIN="90s").properties("Service", f"{ELB}::TargetGroup")
    assert (target["TargetType"], target["Protocol"], target["Port"]) == ("ip", "HTTP", 3000)
    assert (target["HealthCheckPath"], target["Matcher"]) == ("/health/ready", {"HttpCode": "200"})
    assert target["TargetGroupAttributes"] == [{"Key": "deregistration_delay.timeout_seconds", "Value": "90"}]
    target = make(APP_READY_PATH="").properties("Service", f"{ELB}::TargetGroup")
    assert target["HealthCheckPath"] == "/health"


def test_the_load_balancer_awaits_the_way_to_the_internet(made: Assembly) -> None:
    resources = made.template("Service")["Resources"]
    awaited = [resources[each]["Type"] for each in resources["Balancer"]["DependsOn"]]
    assert sorted(awaited) == ["AWS::EC2::Route", *["AWS::EC2::SubnetRouteTableAssociation"] * 2]
    assert made.properties("Service", f"{ELB}::LoadBalancer")["Subnets"] == [
        {"Ref": name.partition(".")[2]} for name in made.resources("AWS::EC2::Subnet")
    ]


def test_a_connection_ends_at_the_load_balancer_first(made: Assembly) -> None:
    attributes = made.properties("Service", f"{ELB}::LoadBalancer")["LoadBalancerAttributes"]
    idle = {each["Key"]: each["Value"] for each in attributes}["idle_timeout.timeout_seconds"]
    source = (Path(__file__).parents[3] / "app" / "src" / "app.ts").read_text(encoding="utf-8")
    (kept,) = [line.partition(":")[2] for line in source.splitlines() if "keepAliveTimeout:" in line]
    assert int(idle) * 1000 < int(kept.strip(" ,").replace("_", ""))


def test_no_statement_allows_more_than_it_names(made: Assembly) -> None:
    for name, statement in statements(made):
        if not name.startswith("Service."):
            continue
        assert statement["Effect"] == "Allow", name
        assert not [action for action in as_list(statement["Action"]) if "*" in action], name
        assert not {"NotAction", "NotResource", "NotPrincipal"} & set(statement), name
        if "*" in as_list(statement.get("Resource", [])):
            assert set(as_list(statement["Action"])) <= ALLOWED_ON_EVERYTHING, name
    for role in made.resources("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role["Properties"]


def test_tasks_may_do_what_hosts_let_the_application_do(made: Assembly, assembly: Callable[[str], Assembly]) -> None:
    (hosts,) = assembly("staging").properties("Api", "AWS::IAM::Role")["Policies"]
    everything = rights(hosts["PolicyDocument"]["Statement"])
    of_the_host = ("ecr:", "secretsmanager:")  # and its look at the ledger
    of_the_application = {
        each for each in everything if not each[0].startswith(of_the_host) and "ledger" not in each[1]
    }
    assert rights(policy(made, "TaskRole")) == of_the_application


def test_whoever_starts_them_pulls_logs_and_reads_the_applications_secrets(make: Make) -> None:
    made = make(
        APP_ENV_METRICS_TOKEN="secretsmanager:soundbite/staging/metrics#token",
        APP_ENV_METRICS_USER="secretsmanager:soundbite/staging/metrics#user",
        APP_ENV_SALT="ssm:/soundbite/staging/salt",
    )
    (logs,) = [name.partition(".")[2] for name in made.resources("AWS::Logs::LogGroup") if "Service." in name]
    images = "SoundBite-staging-Compute:ExportsOutputFnGetAttImages"
    found = {
        action: "images" if images in resource else json.loads(resource)
        for action, resource in rights(policy(made, "ExecutionRole"))
    }
    ours = "eu-central-1:222222222222"
    assert found == {
        "ecr:BatchCheckLayerAvailability": "images",
        "ecr:BatchGetImage": "images",
        "ecr:GetDownloadUrlForLayer": "images",
        "ecr:GetAuthorizationToken": "*",
        "logs:CreateLogStream": {"Fn::GetAtt": [logs, "Arn"]},
        "logs:PutLogEvents": {"Fn::GetAtt": [logs, "Arn"]},
        "secretsmanager:GetSecretValue": f"arn:aws:secretsmanager:{ours}:secret:soundbite/staging/metrics-??????",
        "ssm:GetParameters": f"arn:aws:ssm:{ours}:parameter/soundbite/staging/salt",
    }
    assert len(rights(policy(made, "ExecutionRole"))) == len(found)


def test_without_secrets_it_reads_none(make: Make) -> None:
    actions = {action for action, _ in rights(policy(make(APP_ENV_METRICS_TOKEN=""), "ExecutionRole"))}
    assert not [each for each in actions if each.startswith(("secretsmanager:", "ssm:"))]


def test_only_ecs_takes_the_roles(made: Assembly) -> None:
    for role in ("TaskRole", "ExecutionRole"):
        properties = made.properties("Service", "AWS::IAM::Role", role)
        (statement,) = properties["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
    (statement,) = made.properties("Service", "AWS::IAM::Role", "TaskRole")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "222222222222"}}


def test_only_secrets_in_aws_are_told_of_what_the_application_gets(texts: Texts, tmp_path: Path) -> None:
    told = texts("staging", tmp_path)
    assert [name for name in told if name.startswith("APP_ENV_")] == ["APP_ENV_METRICS_TOKEN"]
    here = environment.load("staging", {"APP_ENV_A": "env:HOME", "APP_ENV_B": "ssm:/b"})
    told = json.loads(here.synth_settings())
    assert "APP_ENV_A" not in told
    assert told["APP_ENV_B"] == "ssm:/b"


def test_secrets_are_each_there_once_without_their_keys(texts: Texts, tmp_path: Path) -> None:
    given = {"APP_ENV_METRICS_TOKEN": "secretsmanager:a#x", "APP_ENV_B": "secretsmanager:a#y", "APP_ENV_C": "ssm:/c"}
    settings = Settings.parse({**texts("staging", tmp_path), **given})
    assert [str(each) for each in settings.secrets] == ["secretsmanager:a", "ssm:/c"]
    with pytest.raises(ConfigurationError, match="APP_ENV_C is not of the form ssm:/path"):
        Settings.parse({**texts("staging", tmp_path), **given, "APP_ENV_C": "ssm:c"})


def test_logs_are_kept_as_long_as_promised(make: Make) -> None:
    group = make(LOGS_RETENTION_DAYS="60").properties("Service", "AWS::Logs::LogGroup")
    assert group["RetentionInDays"] == 60


def test_everything_is_tagged(make: Make) -> None:
    made = make(ECS_CERTIFICATE=CERTIFICATE)
    expected = {
        "Project": "SoundBite",
        "Environment": "staging",
        "Owner": "soundbite",
        "CostCenter": "soundbite",
        "ManagedBy": "inv",
    }
    for name, resource in made.template("Service")["Resources"].items():
        if resource["Type"] not in UNTAGGABLE:
            assert tags_of(resource) == expected, name
    assert made.stack("Service")["tags"] == expected


def test_the_stack_is_protected_as_the_others_are(made: Assembly) -> None:
    assert made.stack("Service")["terminationProtection"] is True


def test_each_way_into_trouble_has_an_alarm(made: Assembly) -> None:
    service = [
        each["Properties"]
        for name, each in made.resources("AWS::CloudWatch::Alarm").items()
        if name.startswith("Service.")
    ]
    dimensions = {each["MetricName"]: {one["Name"]: one["Value"] for one in each["Dimensions"]} for each in service}
    whole = {"LoadBalancer": {"Fn::GetAtt": ["Balancer", "LoadBalancerFullName"]}}
    tasks = {**whole, "TargetGroup": {"Fn::GetAtt": ["Tasks", "TargetGroupFullName"]}}
    assert dimensions == {
        "HTTPCode_Target_5XX_Count": tasks,
        "HTTPCode_ELB_5XX_Count": whole,
        "UnHealthyHostCount": tasks,
        "CPUUtilization": {"ClusterName": {"Ref": "Cluster"}, "ServiceName": "api"},
    }
    for each in service:
        assert each["AlarmDescription"].startswith("SoundBite staging: ")
        # Before the first deployment there is no service, and that is no trouble.
        assert each["TreatMissingData"] == "notBreaching"


def test_a_deployment_ends_with_the_alarm_of_failed_answers(made: Assembly) -> None:
    template = made.template("Service")
    alarm = template["Resources"][template["Outputs"]["AlarmNames"]["Value"]["Ref"]]
    assert alarm["Properties"]["MetricName"] == "HTTPCode_Target_5XX_Count"


def test_the_same_settings_give_the_same_bytes(made: Assembly, make: Make) -> None:
    again = make()
    for name in ("SoundBite-staging-Service.template.json", "manifest.json"):
        assert (again.folder / name).read_bytes() == (made.folder / name).read_bytes()


def test_what_the_workflow_gives_tasks_changes_no_template(texts: Texts) -> None:
    """So that other counts and sizes need a deployment only."""
    other = {"ECS_COUNT": "3", "ECS_MAX_COUNT": "9", "ECS_CPU": "1024", "ECS_MEMORY_MB": "2048"}
    assert environment.load("staging", other).synth_settings() == environment.load("staging").synth_settings()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ECS_COUNT": "7"}, "ECS_MAX_COUNT is smaller than ECS_COUNT=7"),
        ({"ECS_CPU": "300"}, "ECS_CPU must be one of 256, 512, 1024, 2048, 4096"),
        ({"ECS_CPU": "256", "ECS_MEMORY_MB": "3072"}, "no size that Fargate has for ECS_CPU=256; the nearest is 2048"),
        ({"ECS_MEMORY_MB": "1500"}, "no size that Fargate has for ECS_CPU=512; the nearest is 1024"),
        ({"ECS_CPU": "4096"}, "ECS_MEMORY_MB=1024 is no size that Fargate has for ECS_CPU=4096; the nearest is 8192"),
        ({"ECS_CERTIFICATE": "api.example.com"}, "ECS_CERTIFICATE must be the ARN of a certificate"),
    ],
)
def test_what_fargate_would_refuse_is_refused(texts: Texts, settings: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        environment.load("staging", settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"ECS_COUNT": "9", "ECS_MAX_COUNT": "0"},
        {"ECS_COUNT": "6"},
        {"ECS_CPU": "256", "ECS_MEMORY_MB": "512"},
        {"ECS_CPU": "2048", "ECS_MEMORY_MB": "16384"},
        {"ECS_CPU": "4096", "ECS_MEMORY_MB": "30720"},
        {"ECS_CERTIFICATE": CERTIFICATE},
    ],
)
def test_what_fargate_has_is_taken(texts: Texts, settings: dict[str, str]) -> None:
    assert environment.load("staging", settings).name == "staging"

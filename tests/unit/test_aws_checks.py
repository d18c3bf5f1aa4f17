"""What checks say where AWS refuses, or has something other than it should; AWS is a server that answers as it does."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment, paths
from soundbite.checks import Failed, Outcome, Scene, Verdict
from soundbite.checks.asking import ask
from soundbite.checks.model import REGISTRY
from soundbite.checks.resources import TTL_ATTRIBUTE
from soundbite.checks.running import judge, load_modules
from soundbite.cloud import Cloud, Patience
from soundbite.errors import SoundbiteError
from tests.unit.faulty import http, message, serving

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.faulty import Talk

load_modules(["app.checks"])


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return a function that makes a scene whose AWS is at an address."""

    def make(url: str, name: str = "dev-localstack", **settings: str) -> Scene:
        emulated = {"EMULATOR": "external", "AWS_ENDPOINT_URL": url} if name == "dev-localstack" else {}
        loaded = environment.load(name, {**emulated, **settings})
        return Scene(loaded, Cloud(loaded, patience=Patience(2, 2, 1)), tmp_path)

    return make


def judged(scene: Scene, id: str) -> Verdict:
    """Run one check."""
    return judge(REGISTRY.checks[id], scene)


def refusal(code: str, text: str = "no") -> str:
    """Return how S3 and STS say no."""
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>{text}</Message></Error></ErrorResponse>"


def s3_refusal(code: str) -> str:
    """Return how S3 says no."""
    return f"<Error><Code>{code}</Code><Message>no</Message></Error>"


@pytest.mark.parametrize(
    ("service", "method", "arguments", "permission"),
    [
        ("s3", "head_bucket", {"Bucket": "clips"}, "s3:ListBucket"),
        ("s3", "get_public_access_block", {"Bucket": "clips"}, "s3:GetBucketPublicAccessBlock"),
        ("s3", "get_bucket_encryption", {"Bucket": "clips"}, "s3:GetEncryptionConfiguration"),
        ("s3", "get_bucket_lifecycle_configuration", {"Bucket": "clips"}, "s3:GetLifecycleConfiguration"),
        ("s3", "get_bucket_versioning", {"Bucket": "clips"}, "s3:GetBucketVersioning"),
        ("s3", "get_bucket_policy", {"Bucket": "clips"}, "s3:GetBucketPolicy"),
        ("s3", "get_bucket_acl", {"Bucket": "clips"}, "s3:GetBucketAcl"),
        ("elbv2", "describe_load_balancers", {}, "elasticloadbalancing:DescribeLoadBalancers"),
        ("iam", "list_role_policies", {"RoleName": "api"}, "iam:ListRolePolicies"),
    ],
)
def test_a_permission_that_is_missing_is_named_as_iam_calls_it(
    scene: Callable[..., Scene], service: str, method: str, arguments: dict[str, Any], permission: str
) -> None:
    said = "" if method.startswith("head") else s3_refusal("AccessDenied")
    body = said if service == "s3" else refusal("AccessDenied")
    with serving(http(body, "403 Forbidden")) as url, pytest.raises(SoundbiteError) as refused:
        ask(scene(url), service, method, **arguments)
    assert refused.value.hint == f"The credentials lack the permission {permission}."


@pytest.mark.parametrize(
    ("method", "code", "text"),
    [
        ("get_bucket_encryption", "ServerSideEncryptionConfigurationNotFoundError", "clips has no encryption rule"),
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration", "clips has no lifecycle rule"),
        ("get_public_access_block", "NoSuchPublicAccessBlockConfiguration", "clips has no block of public access"),
        ("get_bucket_policy", "NoSuchBucketPolicy", "clips has no policy"),
        ("get_bucket_policy", "NoSuchBucket", "not there: clips"),
    ],
)
def test_what_a_bucket_lacks_is_told_from_the_bucket(
    scene: Callable[..., Scene], method: str, code: str, text: str
) -> None:
    with serving(http(s3_refusal(code), "404 Not Found")) as url, pytest.raises(Failed) as failed:
        ask(scene(url), "s3", method, Bucket="clips")
    assert str(failed.value) == text


# The clock


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("SignatureDoesNotMatch", "Signature expired: 20261128T000000Z is now earlier than 20261128T001000Z"),
        ("SignatureDoesNotMatch", "Signature not yet current: 20261128T002000Z is still later than 20261128T001500Z"),
        ("InvalidSignatureException", "Signature expired: 20261128T000000Z is now earlier than 20261128T001000Z"),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    ],
)
def test_a_clock_that_is_refused_is_measured_and_the_credentials_are_not_blamed(
    scene: Callable[..., Scene], code: str, text: str
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=20), usegmt=True)
    with serving(http(refusal(code, text), "403 Forbidden", Date=date)) as url:
        here = scene(url)
        verdict = judged(here, "identity.clock")
        account = judged(here, "identity.account")
    assert verdict.outcome is Outcome.FAIL
    found = re.match(r"this machine's clock is (\d+) s behind AWS", verdict.message)
    assert found is not None, verdict.message
    assert 1140 < int(found[1]) <= 1200  # some time passes until it is asked
    assert account.outcome is Outcome.INCONCLUSIVE
    assert "clock differs from that of AWS" in account.hint


def test_credentials_that_are_refused_still_tell_the_time(scene: Callable[..., Scene]) -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True)
    with serving(http(refusal("InvalidClientTokenId"), "403 Forbidden", Date=date)) as url:
        here = scene(url)
        assert judged(here, "identity.clock").outcome is Outcome.PASS
        account = judged(here, "identity.account")
    assert account.outcome is Outcome.INCONCLUSIVE
    assert "credentials are not valid" in account.hint


def test_without_a_date_the_clock_is_not_known(scene: Callable[..., Scene]) -> None:
    with serving(http(refusal("InvalidClientTokenId"), "403 Forbidden")) as url:
        verdict = judged(scene(url), "identity.clock")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "InvalidClientTokenId" in verdict.message


# What it has


def answering(answers: dict[str, Any]) -> Talk:
    """Answer a call of AWS's JSON protocols with what there is for its name."""

    def talk(connection: socket.socket, head: bytes) -> None:
        (target,) = re.findall(rb"X-Amz-Target: \w+\.(\w+)", head)
        connection.sendall(message(answers[target.decode()], Content_Type="application/x-amz-json-1.1"))

    return talk


def log_of(count: int) -> dict[str, Any]:
    """Return a log with so many errors."""
    lines = [
        "START RequestId: 1",
        *(f"2026-11-28T00:00:0{each}Z 1 ERROR Invoke Error no luck" for each in range(count)),
    ]
    return {"FilterLogEvents": {"events": [{"message": each, "timestamp": 1} for each in lines]}}


@pytest.mark.parametrize(("count", "outcome"), [(0, Outcome.PASS), (3, Outcome.WARN), (4, Outcome.FAIL)])
def test_a_processor_that_throws_again_and_again_is_a_failure(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, count: int, outcome: Outcome
) -> None:
    with serving(answering(log_of(count))) as url:
        here = scene(url)
        monkeypatch.setattr(here, "output", str)
        verdict = judged(here, "monitoring.errors")
    assert verdict.outcome is outcome
    if count:
        assert verdict.message.startswith(f"{count} errors within 15 minutes, the last: 2026-11-28T")


def test_the_logs_of_tasks_are_looked_through_on_ecs(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = scene("http://127.0.0.1:1", "staging", PLATFORM="ecs")
    monkeypatch.setattr(here, "output", str)
    asked = []

    def ask(_: Scene, *__: str, logGroupName: str, **___: object) -> dict[str, Any]:  # noqa: N803 - as boto3 has it
        asked.append(logGroupName)
        return dict(log_of(4)["FilterLogEvents"]) if logGroupName.startswith("Service") else {}

    monkeypatch.setattr("soundbite.checks.monitoring.ask", ask)
    assert judged(here, "monitoring.errors").outcome is Outcome.FAIL
    assert asked == ["Compute.LogGroupName", "Service.LogGroupName"]


@pytest.mark.parametrize(
    ("attribute", "outcome", "text"),
    [
        ("expiresAt", Outcome.PASS, "by expiresAt, TABLE_TTL_DAYS=7"),
        ("ttl", Outcome.FAIL, "the attribute that TTL of Database.TableName goes by is ttl, not expiresAt"),
    ],
)
def test_ttl_goes_by_the_attribute_that_items_have(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, attribute: str, outcome: Outcome, text: str
) -> None:
    told = {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}}
    with serving(answering({"DescribeTimeToLive": told})) as url:
        here = scene(url)
        monkeypatch.setattr(here, "output", str)
        verdict = judged(here, "resources.table_ttl")
    assert (verdict.outcome, verdict.message) == (outcome, text)
    assert f'time_to_live_attribute="{TTL_ATTRIBUTE}"' in (paths.ROOT / "cdk/stacks/database.py").read_text()


def test_clips_are_kept_as_long_as_their_audio(scene: Callable[..., Scene]) -> None:
    assert judged(scene("http://127.0.0.1:1"), "config.clip_days").message == "7 days"
    verdict = judged(scene("http://127.0.0.1:1", APP_ENV_CLIP_TTL_DAYS="30"), "config.clip_days")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.message.startswith("APP_ENV_CLIP_TTL_DAYS is 30, and TABLE_TTL_DAYS is 7")


@pytest.mark.parametrize(("known", "told"), [(True, "the oldest for 5400 s"), (False, "CloudWatch has no data of")])
def test_of_dead_letters_the_age_of_the_oldest_is_told(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch, known: bool, told: str
) -> None:
    here = scene("http://127.0.0.1:1")
    monkeypatch.setattr(here, "output", str)
    counts = {"ApproximateNumberOfMessages": "2", "ApproximateNumberOfMessagesNotVisible": "0"}

    def ask(_: Scene, service: str, __: str, **more: Any) -> dict[str, Any]:
        if service == "sqs":
            return {"Attributes": counts}
        assert more["Dimensions"] == [{"Name": "QueueName", "Value": "Queue.DeadLetterQueueName"}]
        if not known:
            raise SoundbiteError("no right")
        return {"Datapoints": [{"Timestamp": datetime.now(UTC), "Maximum": 5400.0}]}

    monkeypatch.setattr("soundbite.checks.resources.ask", ask)
    verdict = judged(here, "resources.dead_letters")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.message.startswith("2 messages could not be processed, ")
    assert told in verdict.message


@pytest.mark.parametrize(("days", "outcome"), [(89, Outcome.PASS), (91, Outcome.WARN)])
@pytest.mark.parametrize("kind", ["secretsmanager:soundbite/token#key", "ssm:/soundbite/token"])
def test_a_secret_is_as_old_as_its_current_version(
    scene: Callable[..., Scene], kind: str, days: int, outcome: Outcome
) -> None:
    then = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    today = datetime.now(UTC).timestamp()
    versions = [
        {"VersionId": "b", "VersionStages": ["AWSPENDING"], "CreatedDate": today},
        {"VersionId": "a", "VersionStages": ["AWSCURRENT"], "CreatedDate": then},
    ]
    answers = {
        "ListSecretVersionIds": {"Versions": versions},
        "DescribeSecret": {"LastChangedDate": today},
        "GetParameter": {"Parameter": {"Name": "/soundbite/token", "LastModifiedDate": then}},
    }
    with serving(answering(answers)) as url:
        verdict = judged(scene(url, APP_ENV_METRICS_TOKEN=kind), "security.secrets")
    assert (verdict.outcome, verdict.message) == (outcome, f"METRICS_TOKEN is {days} days old")


def test_a_policy_of_our_own_that_is_attached_is_read(
    scene: Callable[..., Scene], monkeypatch: pytest.MonkeyPatch
) -> None:
    attached = [
        {"PolicyName": "ours", "PolicyArn": "arn:aws:iam::000000000000:policy/ours"},
        {"PolicyName": "AWSLambdaBasicExecutionRole", "PolicyArn": "arn:aws:iam::aws:policy/service-role/AWSLambda"},
    ]
    document = {"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}

    def ask(_: Scene, __: str, method: str, **more: str) -> dict[str, Any]:
        assert more["PolicyArn"] == attached[0]["PolicyArn"]
        if method == "get_policy":
            return {"Policy": {"DefaultVersionId": "v3"}}
        assert (method, more["VersionId"]) == ("get_policy_version", "v3")
        return {"PolicyVersion": {"Document": document}}

    def pages(_: Scene, __: str, method: str, *___: str, **____: str) -> list[Any]:
        return {
            "list_stack_resources": [{"ResourceType": "AWS::IAM::Role", "PhysicalResourceId": "api"}],
            "list_role_policies": [],
            "list_attached_role_policies": attached,
        }[method]

    here = scene("http://127.0.0.1:1")
    monkeypatch.setattr(here, "stacks", lambda: {here.environment.stack_name("Api"): {}})
    monkeypatch.setattr("soundbite.checks.security.ask", ask)
    monkeypatch.setattr("soundbite.checks.security.pages", pages)
    verdict = judged(here, "security.iam")
    assert (verdict.outcome, verdict.message) == (Outcome.FAIL, "api: may * (ours)")

"""What checks say where AWS refuses, or has something other than it should; AWS is a server that answers as it does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.checks import Failed, Outcome, Scene, Verdict
from soundbite.checks.asking import ask
from soundbite.checks.model import REGISTRY
from soundbite.checks.running import judge, load_modules
from soundbite.cloud import Cloud, Patience
from soundbite.errors import SoundbiteError
from tests.unit.faulty import http, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

load_modules([])


@pytest.fixture
def scene(tmp_path: Path) -> Callable[..., Scene]:
    """Return a function that makes a scene whose AWS is at an address."""

    def make(url: str) -> Scene:
        loaded = environment.load("dev-localstack", {"EMULATOR": "external", "AWS_ENDPOINT_URL": url})
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
    assert verdict.message.startswith(
        ("this machine's clock is 1200 s behind AWS", "this machine's clock is 1199 s behind")
    )
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

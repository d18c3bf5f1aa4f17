"""Names of images, and whom a registry takes us for."""

from __future__ import annotations

import base64
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundbite import console
from soundbite.errors import ConfigurationError, SoundbiteError
from soundbite.registry import Credentials, Name, credentials
from soundbite.registry.access import challenges
from soundbite.registry.names import is_loopback

if TYPE_CHECKING:
    from soundbite.cloud import Cloud

DIGEST = "sha256:" + "0123456789abcdef" * 4
ECR = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"

HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,4})?\.[a-z]{2,4}(:[1-9][0-9]{0,3})?", fullmatch=True),
    st.from_regex(r"[a-z][a-z0-9]{0,8}:[1-9][0-9]{0,3}", fullmatch=True),
    st.sampled_from(["localhost", "127.0.0.1:5000", "[::1]:5000", "[::1]", ECR]),
)
REPOSITORIES = st.lists(
    st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True), min_size=1, max_size=3
).map("/".join)
TAGS = st.none() | st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", fullmatch=True)
DIGESTS = st.none() | st.from_regex(r"sha256:[a-f0-9]{64}", fullmatch=True)


class Aws:
    """Stands for a Cloud whose ECR gives one token."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.environment = SimpleNamespace(
            name="staging", endpoint_url=None, aws=SimpleNamespace(region="eu-central-1", account_id="123456789012")
        )

    def client(self, service: str) -> Any:
        self.asked.append(service)
        return SimpleNamespace(get_authorization_token=lambda: self.answer)


def token(text: str) -> dict[str, object]:
    return {"authorizationData": [{"authorizationToken": base64.b64encode(text.encode()).decode()}]}


def named(aws: Aws, host: str, **more: Any) -> Credentials | None:
    return credentials(cast("Cloud", aws), Name(host, "app"), **more)


@given(HOSTS, REPOSITORIES, TAGS, DIGESTS)
def test_a_name_is_read_as_it_is_written(host: str, repository: str, tag: str | None, digest: str | None) -> None:
    name = Name(host, repository, tag, digest)
    assert Name.parse(str(name)) == name


@given(st.text(max_size=40) | st.text(alphabet="aA0./:@-_[] \nsh256", max_size=30))
def test_any_text_is_a_name_or_is_refused(text: str) -> None:
    with suppress(ConfigurationError):
        assert str(Name.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nginx:1.26", "no registry in it"),
        ("library/nginx", "no registry in it"),
        ("example.com", "no registry in it"),
        ("example.com/", "'' is not a repository"),
        ("example.com/SoundBite", "'SoundBite' is not a repository"),
        ("example.com/a//b", "is not a repository"),
        ("example.com/app:", "'' is not a tag"),
        ("example.com/app:a:b", "is not a tag"),
        ("example.com/app\n", "is not a repository"),
        ("example.com/app@", "'' is not a digest"),
        ("example.com/app@sha256:12", "is not a digest"),
        (f"example.com/app@{DIGEST.upper()}", "is not a digest"),
        (f"example.com/app@{DIGEST}@{DIGEST}", "is not a digest"),
        ("example.com:0/app", "is not a host"),
        ("example.com:65536/app", "is not a host"),
        ("[::1::]:5000/app", "is not a host"),
        ("https://example.com/app", "is not a host"),
        ("user:secret@example.com/app", "is not a digest"),
        ("example.com/" + "a" * 250, "more than 255"),
    ],
)
def test_nonsense_is_told_which_part(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the name of an image") as caught:
        Name.parse(text)
    assert why in caught.value.message
    assert "host[:port]/repository" in caught.value.hint


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1", "127.9.9.9:80", "[::1]", "[::1]:5000"])
def test_this_machine_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["example.com", "10.0.0.1:5000", "127.0.0.1.example.com", "[2001:db8::1]:5000"])
def test_others_are_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


def test_ecr_is_opened_with_a_token_of_aws() -> None:
    aws = Aws(token("AWS:a-long:password"))
    for host in (ECR, f"{ECR}.cn", ECR.replace(".ecr.", ".ecr-fips.")):
        found = named(aws, host)
        assert found == Credentials("AWS", "a-long:password")
    assert set(aws.asked) == {"ecr"}
    assert "a-long:password" not in repr(found)
    assert console.redact("it is a-long:password, encoded " + base64.b64encode(b"AWS:a-long:password").decode()) == (
        "it is ********, encoded ********"
    )


def test_others_are_opened_by_whom_the_caller_names() -> None:
    aws = Aws(token("AWS:from-the-emulator"))
    assert named(aws, "127.0.0.1:5000") is None
    assert named(aws, f"evil-{ECR}") is None
    assert named(aws, f"{ECR}.example.com") is None
    assert named(aws, ECR, username="me", password="mine-alone") == Credentials("me", "mine-alone")
    assert aws.asked == []
    assert named(aws, "127.0.0.1:5000", ecr=True) == Credentials("AWS", "from-the-emulator")
    with pytest.raises(ConfigurationError, match="but no password"):
        named(aws, ECR, username="me")


def test_a_registry_of_another_region_is_refused_before_it_refuses() -> None:
    with pytest.raises(ConfigurationError, match="is in us-east-1, but staging is in eu-central-1"):
        named(Aws({}), ECR.replace("eu-central-1", "us-east-1"))


@pytest.mark.parametrize("answer", [{}, {"authorizationData": []}, token("no colon"), {"authorizationData": None}])
def test_a_token_that_is_none_is_told(answer: object) -> None:
    with pytest.raises(SoundbiteError, match="it has no user and password"):
        named(Aws(answer), ECR)


def test_challenges_are_read_with_their_commas() -> None:
    header = 'Bearer realm="https://example.com/token",service="a b", scope="repository:app:pull,push",error=bad'
    assert challenges([header, 'Basic realm="x"']) == [
        (
            "bearer",
            {
                "realm": "https://example.com/token",
                "service": "a b",
                "scope": "repository:app:pull,push",
                "error": "bad",
            },
        ),
        ("basic", {"realm": "x"}),
    ]


@given(st.text(max_size=60))
def test_any_challenge_is_read_without_a_failure(header: str) -> None:
    assert len(challenges([header])) == 1

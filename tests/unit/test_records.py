"""Records come back from the ledger as they were written, by newer versions too, and garbage is told from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundbite.errors import ConfigurationError
from soundbite.releases.records import (
    PLANNED,
    RECORDED,
    STAGED,
    SWITCHED,
    Deployment,
    Operation,
    Record,
    Release,
    number_of,
    release_id,
)

TEXT = st.text(st.characters(), max_size=20)
"""Any characters, also halves of surrogate pairs: file names have them."""
WORDS = st.dictionaries(TEXT, TEXT, max_size=4)
SOME = TEXT | st.none()
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=10,
)

RELEASES = st.builds(
    Release, id=TEXT, image=TEXT, processor=SOME, commit=TEXT, trees=WORDS, built=TEXT, irreversible=TEXT
)
DEPLOYMENTS = st.builds(
    Deployment,
    id=TEXT,
    number=st.integers(1, 10**8 - 1),
    environment=TEXT,
    verb=st.sampled_from(["deploy", "rollback"]),
    release=TEXT,
    image=TEXT,
    commit=TEXT,
    before=SOME,
    source=SOME,
    who=TEXT,
    where=TEXT,
    started=TEXT,
    configuration=WORDS,
    secrets=st.dictionaries(TEXT, st.lists(TEXT, min_size=2, max_size=2), max_size=3),
    configured=TEXT,
    processor_version=SOME,
    assembly=TEXT,
    hosts=st.lists(TEXT, max_size=3),
    outcome=st.sampled_from(["", "succeeded", "failed", "aborted"]),
    verified=st.booleans(),
    bad=TEXT,
    irreversible=TEXT,
    seconds=st.floats(0, 1e9),
)
OPERATIONS = st.builds(
    Operation,
    deployment=TEXT,
    verb=st.sampled_from(["deploy", "rollback"]),
    state=st.sampled_from([PLANNED, STAGED, SWITCHED, RECORDED]),
    plan=st.dictionaries(TEXT, JSON, max_size=4),
)
RECORDS = RELEASES | DEPLOYMENTS | OPERATIONS
KINDS: list[type[Record]] = [Release, Deployment, Operation]


@given(RECORDS)
def test_a_record_comes_back_as_it_was_written(record: Record) -> None:
    body = record.body()
    assert type(record).read(body) == record
    body.encode("ascii")  # whatever is in it: a table and a terminal take it
    assert type(record).read(body).body() == body


@given(RECORDS, st.dictionaries(st.text(min_size=1, max_size=20).map("x-{}".format), JSON, max_size=4))
def test_what_a_newer_version_added_is_passed_over(record: Record, more: dict[str, Any]) -> None:
    body = json.dumps(json.loads(record.body()) | more)
    assert type(record).read(body) == record


def test_what_an_older_version_did_not_know_has_a_default() -> None:
    least = {"verb": "deploy"} | dict.fromkeys(
        ("id", "environment", "release", "image", "commit", "before", "who", "where", "started"), "x"
    )
    read = Deployment.read(json.dumps(least | {"number": 3, "source": None}))
    assert (read.number, read.outcome, read.verified, read.bad, read.hosts, read.seconds) == (3, "", False, "", [], 0.0)


@pytest.mark.parametrize("kind", KINDS)
@given(garbage=TEXT | JSON.map(json.dumps))
def test_garbage_is_no_record(kind: type[Record], garbage: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        kind.read(garbage)
    assert f"where a {kind.kind} should be" in caught.value.message
    assert "point-in-time recovery" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("garbage", ["", "null", "[]", "{}", "7", '"deployment"', '{"id": "r-1"}', "[" * 200_000])
def test_this_is_no_record_either(kind: type[Record], garbage: str) -> None:
    with pytest.raises(ConfigurationError, match=f"where a {kind.kind} should be"):
        kind.read(garbage)


@given(DEPLOYMENTS, st.sampled_from(["id", "number", "environment", "release", "before", "started"]))
def test_a_record_with_something_missing_is_none(deployment: Deployment, field: str) -> None:
    body = json.loads(deployment.body())
    del body[field]
    with pytest.raises(ConfigurationError) as caught:
        Deployment.read(json.dumps(body))
    assert f"without {field}" in caught.value.message


def test_the_same_images_are_the_same_release() -> None:
    assert release_id("sha256:1", "sha256:2") == release_id("sha256:1", "sha256:2")
    different = {release_id(image, processor) for image in ("sha256:1", "sha256:2") for processor in (None, "", "x")}
    assert len(different) == 6
    assert all(len(each) == 14 and each.startswith("r-") for each in different)


@given(st.sampled_from(["staging", "production", "dev-aws-deployed"]), st.integers(1, 10**8 - 1))
def test_the_id_of_a_deployment_has_its_number(environment: str, number: int) -> None:
    assert number_of(f"{environment}-{number}", environment) == number


@given(TEXT | TEXT.map("staging-{}".format))
def test_anything_else_is_no_id(text: str) -> None:
    try:
        number = number_of(text, "staging")
    except ConfigurationError as error:
        assert "staging" in error.message  # noqa: PT017 - most of them; the others have to be ids
        assert "inv history --env=staging" in error.hint  # noqa: PT017
    else:
        assert text == f"staging-{number}"


@pytest.mark.parametrize(
    "text",
    [
        *("", "7", "-7", "staging", "staging-", "staging-x", "Staging-7", "staging_7", " staging-7", "staging-7\n"),
        *("staging-0", "staging-007", "staging-٣", "staging-7.0", "staging-+7", "r-1f0c22aa91be", "latest"),
        *("staging-123456789", f"staging-{'9' * 5000}", "staging-7 staging-8", "staging-7\0"),
    ],
)
def test_nonsense_is_no_id(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        number_of(text, "staging")
    assert caught.value.message == f"{text!r} is not the id of a deployment, such as staging-7."


@pytest.mark.parametrize("other", ["production", "dev-aws-deployed", "dev-localstack", "staging-2"])
def test_the_id_of_another_environment_is_told_from_ours(other: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        number_of(f"{other}-7", "staging")
    assert caught.value.message == f"{other}-7 is a deployment of {other}, not of staging."
    assert "inv history --env=staging" in caught.value.hint

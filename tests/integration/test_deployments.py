"""Deploys and rollbacks from their first question to their last record, on stages of names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from soundbite import deployment
from soundbite.deployment import Wishes
from soundbite.errors import ConfigurationError, Refused
from soundbite.releases.ledger import _item
from tests.integration.stages import FIRST, SECOND, Stages
from tests.integration.test_ledger import Emulated, emulated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

A, B, C = (f"r-{each * 12}" for each in "abc")


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture
def stages(aws: Emulated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    return Stages(aws, tmp_path, monkeypatch)


def mark_bad(stages: Stages, name: str, release: str) -> None:
    here = stages.scene(name)
    lock = here.lock()
    lock.acquire(here.holder("a test"))
    here.ledger.mark_bad(release, "it lost clips", lock.token)
    lock.release()


def test_a_release_goes_out_goes_on_and_comes_back(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    assert stages.serving() == {f"{FIRST}-2"}
    assert stages.deploy(name=SECOND)["release"] == B
    assert stages.serving(SECOND) == {f"{SECOND}-1"}
    assert not stages.deploy(name=SECOND)["changed"]
    assert stages.rollback()["release"] == A
    assert stages.serving() == {f"{FIRST}-3"}


def test_a_release_that_the_stage_before_marked_bad_does_not_go_on(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(B)
    mark_bad(stages, FIRST, B)
    assert stages.deploy(name=SECOND)["release"] == A
    with pytest.raises(Refused, match=f"{B} must not serve again: it lost clips \\(says {FIRST}\\)"):
        stages.deploy(B, SECOND)
    assert deployment.plan(stages.scene(SECOND), Wishes(release=B))["bad"].startswith("it lost clips")
    assert stages.deploy(B, SECOND, override_bad=True, reason="it was the disk")["release"] == B


def test_a_release_that_is_known_here_is_bad_if_the_stage_before_says_so(stages: Stages) -> None:
    stages.deploy(A)
    stages.deploy(name=SECOND)
    stages.deploy(B)
    stages.deploy(name=SECOND)
    mark_bad(stages, FIRST, A)
    with pytest.raises(Refused, match="it lost clips"):
        stages.deploy(A, SECOND)
    with pytest.raises(Refused, match="no verified deployment before"):
        stages.rollback(SECOND)
    with pytest.raises(Refused, match=f"{SECOND}-1 must not serve again: it lost clips"):
        stages.rollback(SECOND, to=f"{SECOND}-1")


def test_a_rollback_passes_over_a_release_that_was_marked_bad(stages: Stages) -> None:
    for each in (A, B, C):
        stages.deploy(each)
    mark_bad(stages, FIRST, B)
    assert stages.rollback(plan=True)["release"] == A
    with pytest.raises(Refused, match="it lost clips"):
        stages.rollback(to=f"{FIRST}-2")


def test_the_way_back_does_not_depend_on_the_stage_before(stages: Stages) -> None:
    for each in (A, B):
        stages.deploy(each)
        stages.deploy(name=SECOND)
    stages._settings[FIRST] |= {"EMULATOR_PORT": "1"}
    stages.rollback(SECOND)
    assert stages.serving(SECOND) == {f"{SECOND}-3"}
    assert any(f"What {FIRST} says of {A} is not known" in each for each in stages.said)


@pytest.mark.parametrize("schema", [1, 999], ids=["garbage", "newer"])
def test_a_mark_that_cannot_be_read_is_not_taken_for_none(stages: Stages, schema: int) -> None:
    ledger = stages.scene().ledger
    item = _item("bad", B, "no JSON") | {"schema": {"N": str(schema)}}
    ledger.cloud.client("dynamodb").put_item(TableName=ledger.table, Item=item)
    with pytest.raises(ConfigurationError, match=ledger.table):
        stages.deploy(B)
    assert stages.serving() == {None}

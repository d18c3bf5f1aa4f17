"""What botocore knows of services: the same through our reader as through its own, with less looking."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.exceptions import UnknownServiceError
from botocore.loaders import create_loader

from soundbite.models import Models

if TYPE_CHECKING:
    from pathlib import Path


def session(models: Models) -> botocore.session.Session:
    """Return a session that reads with it."""
    made = botocore.session.Session()
    made.register_component("data_loader", models)
    return made


@pytest.mark.parametrize("kind", ["service-2", "endpoint-rule-set-1"])
def test_it_knows_every_service_that_botocore_knows(kind: str) -> None:
    known = create_loader().list_available_services(kind)
    assert len(known) > 400
    assert set(known) <= set(Models().list_available_services(kind))


def test_a_service_that_there_is_not_is_refused_as_by_botocore() -> None:
    with pytest.raises(UnknownServiceError, match="Unknown service: 'dynamo'"):
        session(Models()).create_client("dynamo", region_name="eu-central-1")


def test_a_client_is_the_same_one() -> None:
    own, bare = (
        made.create_client("sqs", region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
        for made in (session(Models()), botocore.session.Session())
    )
    assert own.meta.service_model.operation_names == bare.meta.service_model.operation_names
    assert own.meta.endpoint_url == bare.meta.endpoint_url


def test_folders_of_somebodys_own_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = tmp_path / "models" / "kept" / "2026-01-01"
    kept.mkdir(parents=True)
    (kept / "service-2.json").write_text(json.dumps({"metadata": {"serviceId": "Kept"}}), encoding="utf-8")
    monkeypatch.setenv("MODELS_OF_MINE", str(tmp_path / "models"))
    models = Models(os.pathsep.join(["$MODELS_OF_MINE", str(tmp_path / "missing")]))
    assert models.search_paths[0] == str(tmp_path / "models")
    assert {"kept", "sqs"} <= set(models.list_available_services("service-2"))
    assert models.load_service_model("kept", "service-2")["metadata"]["serviceId"] == "Kept"

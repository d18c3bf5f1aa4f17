"""What the engine says of itself, by its socket and by docker: the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from soundbite import daemon, engine
from soundbite.errors import SoundbiteError
from tests.containers.conftest import docker

if TYPE_CHECKING:
    from pathlib import Path

BY = pytest.mark.parametrize("by", ["socket", "docker"])


@pytest.fixture
def _asked(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave one way only: where the other is taken, the test fails."""

    def no(*_: object, **__: object) -> None:
        raise daemon.Unasked if by == "docker" else AssertionError("docker was run")

    monkeypatch.setattr(*((daemon, "ask") if by == "docker" else (engine, "run")), no)


@BY
@pytest.mark.usefixtures("_asked", "engine")
def test_containers_are_found_by_their_labels(unique: str) -> None:
    labels = [f"--label={unique}=a b", f"--label={unique}.two=2"]
    runs = docker("run", "-d", "--name", unique, *labels, "nginx:1.26.3", "sleep", "600")
    ended = docker("create", "--name", f"{unique}-2", *labels[:1], "nginx:1.26.3")
    docker("create", "--name", f"{unique}-3", "nginx:1.26.3")
    assert {each["Id"] for each in engine.containers(f"{unique}=a b")} == {runs, ended}
    (both,) = engine.containers(f"{unique}=a b", f"{unique}.two=2")
    assert both == json.loads(docker("inspect", runs))[0]
    assert both["State"]["Running"]
    assert engine.containers(f"{unique}=other") == []


@BY
@pytest.mark.usefixtures("_asked", "engine")
def test_an_image_is_known_by_name_and_id_or_not_at_all(unique: str) -> None:
    docker("tag", "nginx:1.26.3", f"127.0.0.1:5/{unique}/api:tag-1")
    known = engine.image(f"127.0.0.1:5/{unique}/api:tag-1")
    assert known is not None
    assert known == json.loads(docker("image", "inspect", f"127.0.0.1:5/{unique}/api:tag-1"))[0]
    assert engine.image(known["Id"]) == known
    assert engine.image(f"{unique}:absent") is None
    docker("rmi", f"127.0.0.1:5/{unique}/api:tag-1")


@BY
@pytest.mark.usefixtures("_asked", "engine")
def test_an_engine_that_runs_is_enough_and_one_that_is_away_is_told(
    by: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    engine.require_running()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")
    with pytest.raises(SoundbiteError if by == "docker" else AssertionError, match=r"No Docker engine|docker was run"):
        engine.require_running()

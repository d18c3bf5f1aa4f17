"""Docker's plugins called by themselves where docker would find them, and through docker elsewhere."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from soundbite import compose, plugins
from soundbite.compose import Project

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = Project("some-project", [])


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """Return where docker looks for plugins, in its order reversed; nothing is there yet."""
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "BUILDX_BUILDER"):
        monkeypatch.delenv(name, raising=False)
    own, everybodys = tmp_path / "own" / "cli-plugins", tmp_path / "usr"
    monkeypatch.setenv("DOCKER_CONFIG", str(own.parent))
    monkeypatch.setattr(plugins, "_FOLDERS", (str(everybodys),))
    for each in (everybodys, own):
        each.mkdir(parents=True)
    return [everybodys, own]


def program(path: Path) -> str:
    path.touch()
    path.chmod(0o755)
    return str(path)


def test_one_is_called_by_itself_where_docker_would_find_it(folders: list[Path]) -> None:
    assert compose.down(PROJECT)[:3] == ["docker", "compose", "--project-name"]
    assert plugins.build() == ["docker", "build"]
    for folder in folders:
        (folder / "docker-compose").touch(0o644)
        assert plugins.path("docker-compose") != str(folder / "docker-compose")
        found, buildx = program(folder / "docker-compose"), program(folder / "docker-buildx")
        assert compose.down(PROJECT)[:2] == [found, "--project-name"]
        assert plugins.build() == [buildx, "build", "--builder=default"]


def test_the_builder_is_the_one_that_docker_would_take(folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    buildx = program(folders[0] / "docker-buildx")
    chosen = folders[1].parent / "config.json"
    chosen.write_text(json.dumps({"currentContext": "elsewhere"}))
    assert plugins.build() == ["docker", "build"]
    monkeypatch.setenv("DOCKER_CONTEXT", "default")
    assert plugins.build() == [buildx, "build", "--builder=default"]
    monkeypatch.setenv("DOCKER_CONTEXT", "another")
    assert plugins.build() == ["docker", "build"]
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert plugins.build() == [buildx, "build", "--builder=default"]
    monkeypatch.setenv("BUILDX_BUILDER", "mine")
    assert plugins.build() == [buildx, "build"]


def test_where_the_choice_of_a_context_cannot_be_read_docker_says_so(folders: list[Path]) -> None:
    program(folders[0] / "docker-buildx")
    (folders[1].parent / "config.json").write_text("{")
    assert plugins.build() == ["docker", "build"]

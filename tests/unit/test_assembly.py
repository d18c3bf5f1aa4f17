"""Cloud assemblies are kept by what they are made of, and validated where anything but the processor's code is new."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment, paths, shell
from soundbite.errors import SoundbiteError
from soundbite.infrastructure import assembly

if TYPE_CHECKING:
    from collections.abc import Callable


class Program:
    """What synthesizes, and what it was told each time; `broken` lets it refuse."""

    def __init__(self) -> None:
        self.told: list[dict[str, str]] = []
        self.broken = False

    @property
    def validated(self) -> list[str]:
        """Whether it was to validate, each time."""
        return [each["VALIDATE"] for each in self.told]

    def run(self, _: Any, *, env: dict[str, str], **__: Any) -> None:
        """Write an assembly."""
        self.told.append(json.loads(Path(env["SYNTH_SETTINGS"]).read_text()))
        if self.broken:
            raise SoundbiteError("refused")
        out = Path(self.told[-1]["ASSEMBLY_DIR"])
        out.mkdir()
        (out / "manifest.json").write_text("{}")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Program:
    made = Program()
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(shell, "run", made.run)
    return made


@pytest.fixture
def synth(tmp_path: Path) -> Callable[..., assembly.Assembly]:
    """Return a function that synthesizes with a processor of some text, and with settings of its own."""

    def run(text: str, **settings: str) -> assembly.Assembly:
        processor = tmp_path / "processor"
        processor.mkdir(exist_ok=True)
        (processor / "index.mjs").write_text(text)
        return assembly.synth(environment.load("staging", settings), processor)

    return run


def test_another_processor_alone_is_not_validated_again(
    program: Program, synth: Callable[..., assembly.Assembly]
) -> None:
    assert synth("one").fresh
    assert not synth("one").fresh
    assert synth("two").fresh
    assert synth("two", QUEUE_VISIBILITY_TIMEOUT="310s").fresh
    assert synth("three", QUEUE_VISIBILITY_TIMEOUT="310s").fresh
    assert program.validated == ["yes", "no", "yes", "no"]


def test_what_cdk_refused_is_validated_the_next_time(program: Program, synth: Callable[..., assembly.Assembly]) -> None:
    program.broken = True
    for text in ("one", "two"):
        with pytest.raises(SoundbiteError, match="refused"):
            synth(text)
    program.broken = False
    synth("one")
    assert program.validated == ["yes", "yes", "yes"]


def test_where_no_assembly_of_the_same_is_kept_it_is_validated(
    program: Program, synth: Callable[..., assembly.Assembly], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "_KEPT", 1)
    first = synth("one").folder
    os.utime(first, (1, 1))
    other = synth("one", QUEUE_VISIBILITY_TIMEOUT="310s").folder
    assert not first.exists()
    left = {each.name for each in first.parent.iterdir()}
    assert left == {other.name, *(f"{other.name}{each}" for each in (".lock", ".holder", ".rules"))}
    synth("two")
    assert program.validated == ["yes", "yes", "yes"]


def test_one_that_another_process_takes_away_meanwhile_is_no_error(
    program: Program, synth: Callable[..., assembly.Assembly]
) -> None:
    folder = synth("one").folder
    (folder.parent / "gone.rules").symlink_to(folder.parent / "nowhere")  # listed, and not there when it is read
    folder.with_suffix(".rules").unlink()
    synth("two")
    assert program.validated == ["yes", "yes"]


@pytest.mark.parametrize("unpacked", [True, False])
def test_the_library_is_unpacked_where_it_has_not_been(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, unpacked: bool
) -> None:
    ran: list[Any] = []
    monkeypatch.setattr(shell, "run", lambda argv, **_: ran.append(argv))
    monkeypatch.setenv("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(tmp_path))
    if unpacked:
        (tmp_path / "aws-cdk-lib" / metadata.version("aws-cdk-lib")).mkdir(parents=True)
    assembly.unpack()
    assert len(ran) == (0 if unpacked else 1)


def test_a_library_that_cannot_be_unpacked_is_left_to_the_synthesis(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no(*_: object, **__: object) -> None:
        raise SoundbiteError("no luck today")

    monkeypatch.setattr(shell, "run", no)
    monkeypatch.setenv("JSII_RUNTIME_PACKAGE_CACHE_ROOT", str(tmp_path))
    assembly.unpack()
    assert list(tmp_path.iterdir()) == []

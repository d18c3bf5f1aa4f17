"""The processor's code as a zip file: the same content is the same bytes, wherever and whenever."""

from __future__ import annotations

import io
import os
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from soundbite.platforms.processor import archive

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = {"index.js": b"exports.handler = 1;\n", "lib/voice.bin": bytes(range(256)) * 40, "lib/deep/empty": b""}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Return a folder with the code of a processor."""
    for name, content in CONTENT.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "code"


def _opened(data: bytes) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(data))


def test_every_file_is_in_it_with_its_content(code: Path) -> None:
    with _opened(archive(code)) as found:
        assert found.testzip() is None
        assert {name: found.read(name) for name in found.namelist()} == CONTENT


def test_the_names_are_in_order(code: Path) -> None:
    with _opened(archive(code)) as found:
        assert found.namelist() == sorted(CONTENT)


def test_every_file_is_readable_for_the_function(code: Path) -> None:
    (code / "index.js").chmod(0o600)
    with _opened(archive(code)) as found:
        assert {each.external_attr >> 16 & 0o777 for each in found.infolist()} == {0o644}


def test_the_times_of_the_files_do_not_matter(code: Path) -> None:
    before = archive(code)
    for number, name in enumerate(CONTENT):
        os.utime(code / name, (1_000_000_000 + number, 1_000_000_000 + number))
    assert archive(code) == before


def test_the_place_and_the_order_of_making_do_not_matter(code: Path, tmp_path: Path) -> None:
    for name in reversed(CONTENT):
        path = tmp_path / "other" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(code / name, path)
    assert archive(tmp_path / "other") == archive(code)


def test_another_content_is_other_bytes(code: Path) -> None:
    before = archive(code)
    (code / "index.js").write_bytes(b"exports.handler = 2;\n")
    assert archive(code) != before


def test_another_name_is_other_bytes(code: Path) -> None:
    before = archive(code)
    (code / "index.js").rename(code / "main.js")
    assert archive(code) != before


def test_an_empty_folder_is_an_empty_archive(tmp_path: Path) -> None:
    with _opened(archive(tmp_path)) as found:
        assert found.namelist() == []

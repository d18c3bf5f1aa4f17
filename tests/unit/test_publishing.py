"""An archive from a registry becomes files in a folder, and nothing anywhere else."""

from __future__ import annotations

import io
import re
import tarfile
from typing import TYPE_CHECKING

import pytest

from soundbite import publishing
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from pathlib import Path


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname, member.size = kind, target, 3 if kind == tarfile.REGTYPE else 0
    return member


def _archive(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"abc") if member.size else None)
    return path


def test_files_and_folders_are_unpacked(tmp_path: Path) -> None:
    members = [_member("./", tarfile.DIRTYPE), _member("empty", tarfile.DIRTYPE), _member("a"), _member("b/c/d")]
    publishing.unpack(_archive(tmp_path / "layer", *members), folder := tmp_path / "files")
    assert {path.relative_to(folder).as_posix() for path in folder.rglob("*")} == {"a", "b", "b/c", "b/c/d", "empty"}
    assert (folder / "b/c/d").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "member",
    [
        _member("../beside"),
        _member("a/../../beside"),
        _member("/tmp/absolute"),  # noqa: S108 - nothing is written there
        _member("link", tarfile.SYMTYPE, "/etc/passwd"),
        _member("link", tarfile.LNKTYPE, "../beside"),
        _member("pipe", tarfile.FIFOTYPE),
        _member("device", tarfile.CHRTYPE),
    ],
    ids=lambda member: f"{member.name}-{member.type!r}",
)
def test_what_is_no_file_or_lies_elsewhere_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    (folder := tmp_path / "files").mkdir()
    with pytest.raises(SoundbiteError, match=re.escape(f"{member.name!r} in it, which is none")):
        publishing.unpack(_archive(tmp_path / "layer", _member("a"), member), folder)
    assert {path.name for path in tmp_path.iterdir()} == {"files", "layer"}
    assert {path.name for path in folder.iterdir()} <= {"a"}

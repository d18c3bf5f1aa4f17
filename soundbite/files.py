"""Files that are written whole or not at all, and hashes of what is in them."""

from __future__ import annotations

import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_IGNORED = {"node_modules", "__pycache__", ".git"}


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file so that a reader sees the old or the new text, never a part, even after a crash.

    Raises
    ------
    OSError
        It cannot be written; the old file is untouched.
    """
    if _holds(path, text, mode):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def matching(folder: Path, globs: Iterable[str]) -> list[Path]:
    """Return the files in a folder that the globs name, sorted; a folder named means everything in it."""
    found: set[Path] = set()
    for glob in globs:
        for path in folder.glob(glob):
            inside = path.rglob("*") if path.is_dir() else [path]
            found.update(p for p in inside if p.is_file() and not _IGNORED & set(p.relative_to(folder).parts))
    return sorted(found)


def digest(folder: Path, globs: Iterable[str], *more: str) -> str:
    """Return the SHA-256 of the files that the globs name (their paths and contents), and of `more`."""
    total = sha256()
    for path in matching(folder, globs):
        content = sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    for text in more:
        total.update(f"\0{text}\n".encode())
    return total.hexdigest()


def _holds(path: Path, text: str, mode: int) -> bool:
    try:
        return path.stat().st_mode & 0o777 == mode and path.read_bytes() == text.encode()
    except OSError:
        return False

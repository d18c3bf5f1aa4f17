"""The layers of settings, lowest first: files, the process's own variables, `--set`.

python-dotenv's parser reads the files, because it knows the line of every binding; merging and
expanding are ours, because its own expansion crosses no file and takes an unset name for "".
"""

from __future__ import annotations

import io
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"[^\S\r\n]*'")
"""A value in single quotes, after the white space that python-dotenv skips."""


class Origin(NamedTuple):
    """Where a value came from: a file (with its line), `process`, `--set` or `default`."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


class Binding(NamedTuple):
    """One `KEY=value`, as written.

    `literal` says that the value was in single quotes: nothing in it is expanded.
    """

    key: str
    value: str
    origin: Origin
    literal: bool = False


def read(path: Path, source: str, problems: list[str]) -> list[Binding]:
    """Read one env file.

    Parameters
    ----------
    path:
        The file; UTF-8. A key without `=` and a line that cannot be parsed are problems.
    source:
        The file's name in messages, for example `envs/staging.env`.
    problems:
        Where what is wrong goes, one line each.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        problems.append(f"{source}: cannot be read: {reason}")
        return []
    bindings, wrong = _parsed(text, source)
    problems += wrong
    return list(bindings)


def from_mapping(values: Mapping[str, str], source: str) -> Iterator[Binding]:
    """Make a layer of values that are taken as they are, such as the process's variables."""
    for key, value in values.items():
        yield Binding(key, value, Origin(source), literal=True)


def merge(bindings: Iterable[Binding]) -> dict[str, Binding]:
    """Merge layers: a later binding of a key wins."""
    return {binding.key: binding for binding in bindings}


@lru_cache
def _parsed(text: str, source: str) -> tuple[list[Binding], list[str]]:
    """Parse the text of an env file; common.env is read for every environment, and parsed once."""
    bindings: list[Binding] = []
    problems: list[str] = []
    seen: dict[str, int] = {}
    for found in _dotenv_parser().parse_stream(io.StringIO(text)):
        # The parser counts blank and comment lines before a binding into it.
        written = found.original.string
        line = found.original.line + _leading_lines(written)
        if found.error:
            shown = written.strip().splitlines()[0].partition("=")[0][:60]
            problems.append(f"{source}:{line}: cannot be parsed at {shown!r} (expected KEY=value; is a quote missing?)")
        elif found.key is not None and not _NAME.fullmatch(found.key):
            problems.append(f"{source}:{line}: {found.key[:60]!r} is no name of a variable (letters, digits and _)")
        elif found.key is not None and found.value is None:
            problems.append(f"{source}:{line}: {found.key} has no value (write {found.key}= for an empty one)")
        elif found.key is not None and found.value is not None:
            if found.key in seen:
                problems.append(f"{source}:{line}: {found.key} was already set on line {seen[found.key]}")
            seen[found.key] = line
            literal = _QUOTED.match(written.partition("=")[2]) is not None
            bindings.append(Binding(found.key, found.value, Origin(source, line), literal))
    if "\0" in text:
        problems.append(f"{source}: contains a NUL byte")
    return bindings, problems


@cache
def _dotenv_parser() -> Any:
    """Return python-dotenv's parser alone: its package imports what writes files too, 7 ms at each start."""
    import importlib.util

    package = importlib.util.find_spec("dotenv")
    assert package is not None, "python-dotenv is pinned in pyproject.toml"
    assert package.submodule_search_locations is not None
    path = f"{package.submodule_search_locations[0]}/parser.py"
    spec = importlib.util.spec_from_file_location("dotenv.parser", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _leading_lines(written: str) -> int:
    return written[: len(written) - len(written.lstrip())].count("\n")

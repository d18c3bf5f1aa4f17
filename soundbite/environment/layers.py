"""The layers of settings, lowest first: files, the process's own variables, `--set`.

python-dotenv's parser reads the files, because it knows the line of every binding; merging and
expanding are ours, because its own expansion crosses no file and takes an unset name for "".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """Where a value came from: a file (with its line), `process`, `--set` or `default`."""

    source: str
    line: int | None = None

    def __str__(self) -> str:
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True)
class Binding:
    """One `KEY=value`, as written.

    `literal` says that the value was in single quotes: nothing in it is expanded.
    """

    key: str
    value: str
    origin: Origin
    literal: bool = False


def read(path: Path, source: str, problems: list[str]) -> Iterator[Binding]:
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
    from dotenv.parser import parse_stream

    seen: dict[str, int] = {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        problems.append(f"{source}: cannot be read: {reason}")
        return
    with path.open(encoding="utf-8-sig") as stream:
        for binding in parse_stream(stream):
            # The parser counts blank and comment lines before a binding into it.
            written = binding.original.string
            line = binding.original.line + _leading_lines(written)
            if binding.error:
                shown = written.strip().splitlines()[0].partition("=")[0][:60]
                problems.append(
                    f"{source}:{line}: cannot be parsed at {shown!r} (expected KEY=value; is a quote missing?)"
                )
            elif binding.key is not None and binding.value is None:
                problems.append(f"{source}:{line}: {binding.key} has no value (write {binding.key}= for an empty one)")
            elif binding.key is not None and binding.value is not None:
                if binding.key in seen:
                    problems.append(f"{source}:{line}: {binding.key} was already set on line {seen[binding.key]}")
                seen[binding.key] = line
                literal = written.partition("=")[2].lstrip(" \t").startswith("'")
                yield Binding(binding.key, binding.value, Origin(source, line), literal)
    if "\0" in text:
        problems.append(f"{source}: contains a NUL byte")


def from_mapping(values: Mapping[str, str], source: str) -> Iterator[Binding]:
    """Make a layer of values that are taken as they are, such as the process's variables."""
    for key, value in values.items():
        yield Binding(key, value, Origin(source), literal=True)


def merge(bindings: Iterable[Binding]) -> dict[str, Binding]:
    """Merge layers: a later binding of a key wins."""
    return {binding.key: binding for binding in bindings}


def _leading_lines(written: str) -> int:
    return written[: len(written) - len(written.lstrip())].count("\n")

"""Env files: the real ones, with lines that people, editors and enemies would write."""

from __future__ import annotations

import io
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

from dotenv.parser import parse_stream
from hypothesis import strategies as st

from bench.fuzzing import reading
from bench.fuzzing.subject import Fault, Subject, teaches
from bench.fuzzing.texts import ADDRESSES, DURATIONS, LONG, NUMBERS, ODD, PIECES, mutated
from soundbite import environment, paths
from soundbite.environment import loading
from soundbite.environment.keys import PASSED_ON, all_keys
from soundbite.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "staging"
_FILES = {each: (paths.ENVS / each).read_text(encoding="utf-8") for each in ("common.env", f"{NAME}.env")}
_LINES = [line for text in _FILES.values() for line in text.splitlines()]
_QUOTED = re.compile(r"\s*(export\s+)?('[^']+'|[^=#\s]+)[^\S\r\n]*=[^\S\r\n]*'")
"""An assignment whose value is in single quotes, whatever space is around."""

_KEYS = st.sampled_from(list(all_keys())) | st.sampled_from(
    ["APP_ENV_A", "APP_ENV_B", "PROCESSOR_ENV_A", "APP_ENV_", "'APP_ENV_A B'", "'APP_ENV_A=B'", "APP_ENV_é", "NOPE"]
)
_VALUES = st.one_of(
    PIECES,
    NUMBERS,
    DURATIONS,
    ADDRESSES,
    LONG,
    st.builds("{}:{}".format, st.sampled_from(["secretsmanager", "ssm", "env", "output"]), PIECES),
)
_QUOTES = st.sampled_from(["{}", "'{}'", '"{}"', " {}", " '{}'", "\xa0'{}'", '\t"{}" # why', "'{}", '"{}'])
_ASSIGNMENTS = st.builds(
    lambda begin, key, equals, quotes, value: f"{begin}{key}{equals}{quotes.format(value)}",
    st.sampled_from(["", "export ", " "]),
    _KEYS,
    st.sampled_from(["=", " = ", ""]),
    _QUOTES,
    _VALUES,
)


class Files(NamedTuple):
    """What common.env and staging.env hold."""

    common: bytes
    own: bytes

    def __repr__(self) -> str:
        """Return what is other than in the real ones."""
        told = []
        for (name, text), data in zip(_FILES.items(), self, strict=True):
            real, lines = text.encode().splitlines(), data.split(b"\n")
            told += [f"{name}: + {line!r}" for line in lines if line and line not in real]
            told += [f"{name}: - {line!r}" for line in real if line and line not in lines]
        return "; ".join(told)[:2000] or "the real files"


def _ring(length: int, closed: bool) -> str:
    """Return keys each of which refers to the next one, and the last to the first or to nothing."""
    lines = [f"APP_ENV_R{each}=${{APP_ENV_R{each + 1}}}" for each in range(length)]
    return "\n".join([*lines, f"APP_ENV_R{length}={'${APP_ENV_R0}' if closed else 'end'}"])


_LENGTHS = st.integers(0, 9) | st.sampled_from([50, 900])
_MORE = _ASSIGNMENTS | st.sampled_from(_LINES).flatmap(mutated) | st.builds(_ring, _LENGTHS, st.booleans())


@st.composite
def files(draw: st.DrawFn) -> Files:
    """Return both files: as they are but for some lines, or some bytes."""
    made = []
    for text in _FILES.values():
        lines = text.splitlines()
        more = draw(st.lists(_MORE, max_size=3))
        keys = {line.strip().removeprefix("export ").partition("=")[0].strip() for line in more}
        if draw(st.booleans()):  # else some are there twice
            lines = [line for line in lines if line.partition("=")[0] not in keys]
        lines += more
        end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))
        data = (end.join(lines) + end).encode("utf-8", "surrogatepass")
        if draw(st.integers(0, 9)) == 0:
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(st.binary(max_size=3) | ODD.map(str.encode)) + data[at:]
        made.append(draw(st.sampled_from([b"", b"", b"", b"\xef\xbb\xbf"])) + data)
    return Files(*made)


@contextmanager
def folder() -> Iterator[None]:
    """Have a copy of envs/ in the place of the real one, and no variable that is a setting."""
    with TemporaryDirectory() as made:
        copy = Path(made) / "envs"
        shutil.copytree(paths.ENVS, copy, ignore=shutil.ignore_patterns("*.local.env"))
        with patch.object(paths, "ENVS", copy), patch.dict(os.environ, clear=True):
            loading.names.cache_clear()
            yield
    loading.names.cache_clear()


def judge(given: Files) -> bool:
    """Load an environment whose files these are."""
    for name, data in zip(_FILES, given, strict=True):
        (paths.ENVS / name).write_bytes(data)
    try:
        found = environment.load(NAME)
    except ConfigurationError as error:
        teaches(str(error))
        if not re.search(r"envs/(common|staging)\.env:|set nowhere", error.message):
            raise Fault("it is not said where") from None
        return False
    try:
        texts = reading.expanded(_raw(given), {"ENVIRONMENT": NAME})
        _require_documented(texts)
    except reading.Wrong as wrong:
        raise Fault(f"it accepts {wrong}") from None
    told = {key: each.text for key, each in found.settings.items() if each.origin.line is not None}
    if told != texts:
        wrong_ones = sorted(key for key in {*told, *texts} if told.get(key) != texts.get(key))
        raise Fault(
            f"it reads another value than is written, of {'a passed on' if '_ENV_' in wrong_ones[0] else 'a'} key"
        )
    return True


def _raw(given: Files) -> dict[str, tuple[str, bool]]:
    """Return what is written, by key, and whether it is in single quotes."""
    found = {}
    for data in given:
        for each in parse_stream(io.StringIO(data.decode("utf-8-sig"), newline=None)):
            if each.key is not None:
                found[each.key] = (each.value or "", bool(_QUOTED.match(each.original.string)))
    return found


def _require_documented(texts: dict[str, str]) -> None:
    """Refuse what envs/README.md has no place for."""
    for key, text in texts.items():
        if key in all_keys():
            if text:
                reading.value(all_keys()[key].kind.name, text)
            continue
        name = next((key.removeprefix(each) for each in PASSED_ON if key.startswith(each)), "")
        if not reading.variable(name):
            raise reading.Wrong("a key that no variable can be")
        reading.reference(text)


SUBJECT = Subject("env files", files(), judge, 0.15, folder)

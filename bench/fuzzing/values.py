"""Single values: each kind of the table in envs/README.md takes what the table says, and nothing else."""

from __future__ import annotations

from hypothesis import strategies as st

from bench.fuzzing import reading
from bench.fuzzing.subject import Fault, Subject, teaches
from bench.fuzzing.texts import ADDRESSES, DURATIONS, LONG, NUMBERS, PIECES, mutated
from soundbite.environment.keys import all_keys

_KINDS = {key.kind.name: key.kind for key in all_keys().values()}
_EXACT = ("duration", "port", "yes", "12 digits")
"""Kinds of which the table says all there is to know: what it allows must be accepted, too."""

_USUAL = st.sampled_from(
    [
        *("30s", "14d", "3000", "222222222222", "eu-central-1", "https://api.example.com/x", "/health", "0.1%", "yes"),
        *("127.0.0.1", "::1", "ssm:/a/b", "env:A", "secretsmanager:a/b#c", "output:Stack.Name", "1", "512", "hosts"),
        *("127.0.0.1:5000/soundbite/api", "ops@bastion.example.com:22", "node dist/main.js", "soundbite", "dev-aws"),
        "arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-12",
    ]
)


def judge(given: tuple[str, str]) -> bool:
    """Parse a text as a kind."""
    name, text = given
    exact = name.startswith(_EXACT) or (name[0].isdigit() and "%" not in name)
    try:
        parsed = _KINDS[name].parse(text)
    except ValueError as error:
        teaches(str(error))
        if exact and _allowed(name, text):
            raise Fault(f"it refuses what is documented: {name}") from None
        return False
    try:
        meant = reading.value(name, text)
    except reading.Wrong as wrong:
        raise Fault(f"it accepts {wrong}") from None
    if meant is not None and parsed != meant:
        raise Fault(f"it takes it for another value: {name}")
    return True


def _allowed(name: str, text: str) -> bool:
    try:
        reading.value(name, text)
    except reading.Wrong:
        return False
    return True


_FITTING = {"duration": DURATIONS, "address": ADDRESSES, "port": NUMBERS}
_TEXTS = st.one_of(PIECES, NUMBERS, LONG, _USUAL, _USUAL.flatmap(mutated))


def _inputs(name: str) -> st.SearchStrategy[tuple[str, str]]:
    fitting = next((texts for front, texts in _FITTING.items() if name.startswith(front)), NUMBERS)
    return st.tuples(st.just(name), fitting | _TEXTS)


SUBJECT = Subject("values", st.sampled_from(sorted(_KINDS)).flatmap(_inputs), judge, 0.23)

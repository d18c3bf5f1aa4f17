"""References: a text is one, is none, or is refused, and every reader of references says the same."""

from __future__ import annotations

from hypothesis import strategies as st

from bench.fuzzing import reading
from bench.fuzzing.subject import Fault, Subject, teaches
from bench.fuzzing.texts import LONG, PIECES, mutated
from soundbite.environment import kinds, references

_REAL = st.sampled_from(
    [
        "secretsmanager:soundbite/staging/metrics#token",
        "ssm:/soundbite/a.b",
        "env:METRICS_TOKEN",
        "output:Queue.QueueUrl",
    ]
)
_FRONTS = st.sampled_from(["secretsmanager:", "ssm:", "env:", "output:", "Env:", "env", ":", "ssm:/", "output:A."])
TEXTS = _REAL.flatmap(mutated) | st.builds(str.__add__, _FRONTS, PIECES | LONG) | PIECES


def judge(text: str) -> bool:
    """Parse a text."""
    references.in_the_clear("APP_ENV_A", text)
    try:
        found = references.parse(text)
    except ValueError as error:
        teaches(str(error))
        _require_refused(text)
        return False
    try:
        is_one = reading.reference(text)
    except reading.Wrong as wrong:
        raise Fault(f"it accepts {wrong}") from None
    if is_one != (found is not None) or (found is not None and str(found) != text):
        raise Fault("it reads another reference than is written")
    if found is None:
        _require_refused(text)
        return False
    if found.secret and kinds.SECRET.parse(text) != found:
        raise Fault("a secret's setting reads another reference")
    if not found.secret and kinds.REPOSITORY.parse(text) != found:
        raise Fault("a repository's setting reads another reference")
    return True


def _require_refused(text: str) -> None:
    """See that a setting which must be a secret's reference does not take the text."""
    try:
        kinds.SECRET.parse(text)
    except ValueError as error:
        teaches(str(error))
        return
    raise Fault("what is no reference is a secret's")


SUBJECT = Subject("references", TEXTS, judge, 0.3)

"""Arguments of tasks: each flag with what a shell can hand over. Nothing comes of it: there are no credentials."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from hypothesis import strategies as st

from bench.fuzzing import confined, reading
from bench.fuzzing.subject import Fault, Subject, teaches
from bench.fuzzing.texts import DURATIONS, LONG, NAMES, NUMBERS, PIECES, mutated

if TYPE_CHECKING:
    from collections.abc import Callable


_REAL = st.sampled_from(["10m", "staging-7", "r-1f0c22aa91be", "20", "-k 'a or b'"])
_TEXTS = st.one_of(PIECES, NUMBERS, DURATIONS, LONG, _REAL, _REAL.flatmap(mutated))
_LOADS = st.builds("{}:{}".format, NUMBERS, DURATIONS) | st.just("50:30s").flatmap(mutated)
_TIMES = st.sampled_from(["2026-11-23", "2026-11-23T14:00:00Z", "2026-99-99"]).flatmap(mutated)
_SETTINGS = st.builds("{}={}".format, st.just("APP_ENV_A") | NAMES, PIECES)


class Flag(NamedTuple):
    """A flag of a task, given so that nothing can come of it.

    Attributes
    ----------
    words:
        The task and its other flags.
    texts:
        What its values are like; it is given others, too.
    well:
        Whether a value is one that the flag's help allows; None where that cannot be told here.
    blame:
        What a message says that is about this flag.
    """

    words: tuple[str, ...]
    name: str
    texts: st.SearchStrategy[str] = _TEXTS
    well: Callable[[str], bool] | None = None
    blame: str = ""

    def __repr__(self) -> str:
        """Return it as it is typed."""
        return " ".join((*self.words, f"--{self.name}="))


def _duration(text: str) -> bool:
    try:
        return not text or reading.seconds(text) <= 86400  # noqa: PLR2004 - said in the message
    except reading.Wrong:
        return False


def _load(text: str) -> bool:
    rate, _, duration = text.partition(":")
    try:
        well = float(rate) > 0 and set(rate) <= set("0123456789.") and 0 < reading.seconds(duration) <= 600  # noqa: PLR2004
        return not text or (well and float(rate) <= 1000)  # noqa: PLR2004 - said in the message
    except (ValueError, reading.Wrong):
        return not text


def _time(text: str) -> bool:
    try:
        return not text or (text.isascii() and bool(datetime.fromisoformat(text)))
    except ValueError:
        return False


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10  # noqa: PLR2004 - nobody has so many


_NO_CHECK = ("validate", "--env=staging", "--only=no-such-check")
FLAGS = [
    Flag(("lock.acquire", "--env=staging", "--reason=why"), "lock-wait", DURATIONS, _duration),
    Flag(_NO_CHECK, "timeout", DURATIONS, lambda text: bool(text) and _duration(text)),
    Flag(_NO_CHECK, "load", _LOADS, _load),
    Flag(("audit", "--env=staging"), "since", _TIMES, _time),
    Flag(("rehearse.up", "--env=nope"), "hosts", NUMBERS, _number, "is no number"),
    Flag(("deploy.staging", "--plan"), "set", _SETTINGS, lambda text: "=" in text, "has no value"),
    Flag(("rollback", "--env=staging", "--plan"), "to"),
    Flag(("rollback", "--env=staging", "--plan"), "without"),
    Flag(("deploy.staging", "--plan"), "release"),
    Flag(("releases.show",), "release"),
    Flag(("hosts.switch", "--env=staging", "--offline"), "confirm"),
    Flag(("test", "--only=no-such-group"), "pytest"),
    Flag(("history", "--env=staging"), "lines", NUMBERS),
    Flag(("hosts.logs", "--env=staging"), "lines", NUMBERS),
    Flag(("images.prune", "--plan"), "keep", NUMBERS),
    Flag(("validate", "--env=staging"), "only", _TEXTS, lambda _: False, "There is no"),
    Flag(("dev.logs",), "service", _TEXTS, lambda _: False, "There is no service"),
]


@cache
def environments() -> list[Flag]:
    """Return the flag --env of every task that has one."""
    import tasks

    found = []
    for name in tasks.namespace.task_names:
        if any(each.name == "env" for each in tasks.namespace[name].flags()):
            more = {"hosts.switch": ("--offline",), "rehearse.up": ("--hosts=1",)}.get(name, ())
            found.append(Flag((name, *more), "env"))
    return found


def _handed_over(flag: Flag) -> st.SearchStrategy[tuple[Flag, str]]:
    """Return values that a shell can hand over: without NUL, and some that are no UTF-8."""
    texts = (flag.texts | _TEXTS).map(lambda text: text.replace("\0", ""))
    return st.tuples(st.just(flag), texts | texts.map("{}\udcff".format))


INPUTS = st.deferred(lambda: st.sampled_from(FLAGS) | st.sampled_from(environments())).flatmap(_handed_over)


def judge(given: tuple[Flag, str]) -> bool:
    """Run a task with a flag."""
    flag, text = given
    if flag.name == "env":
        text += "nope"  # no real one, whatever the rest is
    elif flag.name in {"only", "service", "confirm"}:
        text += ",no-such-thing"
    ended = confined.run([*flag.words, f"--{flag.name}={text}"])
    try:
        return _told(flag, text, ended)
    except Fault as fault:
        raise Fault(f"{flag.words[0]} --{flag.name}: {fault}") from None


def _told(flag: Flag, text: str, ended: confined.Ended) -> bool:
    if ended.code not in {0, 1, 2, 3}:
        raise Fault(f"exit code {ended.code}")
    if ended.code:
        teaches(ended.stderr)
    if flag.name == "env" and ended.code != 2:  # noqa: PLR2004 - wrong arguments
        raise Fault(f"an unknown environment ends with {ended.code}")
    if flag.well is None:
        return ended.code == 0
    blamed = (flag.blame or f"--{flag.name}") in ended.stderr
    if flag.well(text) and blamed:
        raise Fault("it refuses what is documented")
    if not flag.well(text) and not (blamed and ended.code):
        raise Fault("what is wrong is accepted, or blamed on another flag")
    return flag.well(text)


SUBJECT = Subject("arguments", INPUTS, judge, 0.04, confined.ground)

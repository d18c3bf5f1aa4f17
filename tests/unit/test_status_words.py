"""What `inv status` says of a fact: only what was found to be well is good, and what is not known is `?`."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from soundbite.ages import ago
from soundbite.errors import ConfigurationError
from soundbite.parallel import Asked, Late
from soundbite.validation import columns
from soundbite.validation.words import BAD, GOOD, PLAIN, UNKNOWN, Fact, facts, reasons, who

DEPLOYMENT = {
    "id": "staging-7",
    "release": "r-1",
    "digest": "sha256:" + "0123456789abcdef" * 4,
    "commit": "4ad59fc",
    "age_seconds": 7200.0,
    "who": "arn:aws:sts::222222222222:assumed-role/deployer/ada",
    "state": "verified",
    "bad": "",
}
DEPTH = {"waiting": 0, "in_work": 0, "delayed": 0}
VERDICT = {"outcome": "pass", "deployment": "staging-7", "commit": "4ad59fc", "complete": True, "scope": ""}


def told(**parts: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "environment": "staging",
        "local": False,
        "account": "222222222222",
        "reached": True,
        "problem": "",
        "hint": "",
        "deployment": DEPLOYMENT,
        "health": {"ok": True, "ms": 12, "problem": ""},
        "alarms": {"defined": 8, "in_alarm": [], "without_data": []},
        "lock": {"state": "free", "age_seconds": None},
        "queue": {"queue": DEPTH, "dead_letters": DEPTH},
        "verdict": VERDICT | {"age_seconds": 60.0},
    }
    return found | parts


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, "at an unknown time"),
        (-3600, "in the future, by this machine's clock"),
        (-5, "just now"),
        (0, "just now"),
        (59.9, "just now"),
        (60, "1 min ago"),
        (3599, "59 min ago"),
        (3600, "1 h ago"),
        (86399, "23 h ago"),
        (86400 * 400, "400 d ago"),
    ],
)
def test_an_age_in_words(seconds: float | None, words: str) -> None:
    assert ago(seconds) == words


@pytest.mark.parametrize(
    ("row", "part", "fact"),
    [
        ("release", {}, Fact("r-1 (staging-7)")),
        ("release", {"deployment": None}, Fact("nothing deployed")),
        ("release", {"deployment": {"unknown": "why"}}, Fact("?", UNKNOWN)),
        ("release", {"deployment": DEPLOYMENT | {"state": "failed"}}, Fact("r-1 (staging-7, failed)", UNKNOWN)),
        ("release", {"deployment": DEPLOYMENT | {"bad": "slow"}}, Fact("r-1 (staging-7, bad: slow)", BAD)),
        ("by", {}, Fact("ada")),
        ("health", {}, Fact("ok, 12 ms", GOOD)),
        ("health", {"health": {"ok": False, "ms": 3, "problem": "answered 503"}}, Fact("answered 503", BAD)),
        ("health", {"health": {"unknown": "late"}}, Fact("?", UNKNOWN)),
        ("alarms", {}, Fact("0 of 8 in ALARM", GOOD)),
        ("alarms", {"alarms": {"defined": 0, "in_alarm": [], "without_data": []}}, Fact("none defined", UNKNOWN)),
        (
            "alarms",
            {"alarms": {"defined": 2, "in_alarm": ["A"], "without_data": ["B"]}},
            Fact("1 of 2 in ALARM: A, 1 without data", BAD),
        ),
        (
            "alarms",
            {"alarms": {"defined": 2, "in_alarm": [], "without_data": ["B"]}},
            Fact("0 of 2 in ALARM, 1 without data", UNKNOWN),
        ),
        ("lock", {}, Fact("free")),
        ("lock", {"lock": {"unknown": "why"}}, Fact("?", UNKNOWN)),
        (
            "lock",
            {"lock": {"state": "interrupted", "who": "ada", "operation": "staging-8", "age_seconds": 600.0}},
            Fact("interrupted, ada, since 10 min (staging-8)", BAD),
        ),
        ("queue", {}, Fact("0 waiting")),
        ("queue", {"queue": {"queue": {"unknown": "w"}, "dead_letters": DEPTH}}, Fact("?", UNKNOWN)),
        ("dead letters", {"queue": {"queue": {"unknown": "w"}, "dead_letters": DEPTH}}, Fact("0")),
        ("dead letters", {"queue": {"queue": DEPTH, "dead_letters": DEPTH | {"waiting": 2}}}, Fact("2", BAD)),
        ("verdict", {}, Fact("pass, 1 min ago", GOOD)),
        ("verdict", {"verdict": None}, Fact("none")),
        (
            "verdict",
            {"deployment": DEPLOYMENT | {"id": "staging-8"}},
            Fact("pass, 1 min ago, of staging-7", PLAIN),
        ),
        ("verdict", {"deployment": {"unknown": "why"}}, Fact("pass, 1 min ago, of staging-7", PLAIN)),
        (
            "verdict",
            {"verdict": VERDICT | {"age_seconds": None, "complete": None}},
            Fact("pass, at an unknown time, not complete", PLAIN),
        ),
        ("verdict", {"verdict": VERDICT | {"age_seconds": 5, "outcome": "fail"}}, Fact("fail, just now", BAD)),
    ],
)
def test_a_fact(row: str, part: dict[str, Any], fact: Fact) -> None:
    assert facts(told(**part))[row] == fact


def test_of_an_environment_out_of_reach_nothing_is_said_but_why() -> None:
    unknown = {"unknown": "no credentials"}
    parts = dict.fromkeys(("deployment", "alarms", "lock", "queue", "verdict"), unknown)
    found = told(reached=False, problem="no credentials\nat all", hint="sign in", **parts)
    rows = facts(found)
    assert rows["account"] == Fact("not reached: no credentials", BAD)
    assert {rows[name].text for name in rows if name not in {"account", "health"}} == {"?"}
    assert reasons(found) == ["staging: no credentials\nat all\n  → sign in"]


def test_a_reason_is_told_once() -> None:
    unknown = {"unknown": "no table"}
    assert reasons(told(lock=unknown, verdict=unknown)) == ["staging: lock, verdict: no table"]


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    lock = {"state": "held", "who": "a\x1b[2Jb", "reason": "x\ny", "age_seconds": 5.0}
    shown = "\n".join(columns.show({"at": "now", "seconds": 1.0, "environments": [told(lock=lock)]}))
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    ("arn", "name"),
    [("arn:aws:iam::1:root", "root"), ("arn:aws:iam::1:user/ops/ada", "ada"), ("ada", "ada"), ("", "?")],
)
def test_whose_an_arn_is(arn: str, name: str) -> None:
    assert who(arn) == name


def test_nobody_waits_longer_than_said_for_a_job_that_hangs() -> None:
    hang = threading.Event()
    began = time.monotonic()
    asked = Asked(lambda: hang.wait(30), "a job")
    with pytest.raises(Late, match=r"no answer within .* \(a job\)"):
        asked.result(began + 0.2)
    assert time.monotonic() - began < 5
    hang.set()
    assert asked.result(time.monotonic() + 10)


def test_what_a_job_raises_whoever_asks_gets() -> None:
    def fail() -> None:
        raise ConfigurationError("wrong")

    asked = Asked(fail, "a job")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="wrong"):
            asked.result(time.monotonic() + 10)

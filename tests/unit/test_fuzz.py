"""A little of bench/fuzz at each run of the tests, and that it finds what is planted."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st

from bench.fuzzing import arguments, command, compose_values, confined, env_files, reading, records, references, values
from bench.fuzzing.subject import Fault, Subject, fuzz, teaches
from soundbite import checks, paths
from soundbite.environment.references import Reference
from tests.conftest import ROOT, clean_environ

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.no_cover  # hundreds of inputs: it would take as long again

SEED = 20261124
SUBJECTS = [
    (env_files.SUBJECT, 120),
    (values.SUBJECT, 400),
    (references.SUBJECT, 400),
    (compose_values.SUBJECT, 100),
    (records.SUBJECT, 300),
    (arguments.SUBJECT, 50),
]


@pytest.mark.parametrize(("subject", "inputs"), SUBJECTS, ids=lambda each: getattr(each, "name", None))
def test_nonsense_is_refused_in_words_and_the_rest_is_read_as_written(subject: Subject, inputs: int) -> None:
    tally = fuzz(subject, inputs, SEED)
    assert tally.faults == {}
    assert tally.inputs >= inputs
    assert min(tally.accepted, tally.refused) > 0 or subject is compose_values.SUBJECT  # it refuses nothing


def test_a_task_that_leaves_at_once_leaves_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where a check of another test still hangs in this process: `validate` does not wait for it.
    monkeypatch.setattr(checks, "hanging", lambda: True)
    with confined.ground():
        assert confined.run(["validate", "--env=staging", "--only=no-such-check"]).code == 2


def _files(*lines: str) -> env_files.Files:
    """Return the real files, with some lines more."""
    common, own = ((paths.ENVS / each).read_bytes() for each in ("common.env", "staging.env"))
    return env_files.Files(common, own + "".join(f"{line}\n" for line in lines).encode())


def _item(asked: str, body: str, **more: dict[str, Any]) -> tuple[str, records.Item]:
    """Return an item of the ledger as it would be written, but for its body and more."""
    known = {"pk": {"S": asked}, "sk": {"S": "x"}, "schema": {"N": "1"}, "tool": {"S": "0.1.0"}, "body": {"S": body}}
    return asked, known | more


def _flag(task: str, name: str) -> arguments.Flag:
    """Return a flag that is fed."""
    every = [*arguments.FLAGS, *arguments.environments()]
    return next(each for each in every if (each.words[0], each.name) == (task, name))


_LOCK = {"token": {"N": "3"}, "beat": {"N": "7"}, "lease": {"N": "20.0"}, "holder": {"S": "{}"}}
FOUND = [
    (env_files.SUBJECT, _files(*(f"APP_ENV_R{each}=${{APP_ENV_R{each + 1}}}" for each in range(900)), "APP_ENV_R900=")),
    (env_files.SUBJECT, _files("'APP_ENV_A=B'=x")),
    (env_files.SUBJECT, _files("ECS_COUNT=7")),
    (env_files.SUBJECT, _files("APP_ENV_A=\xa0'$$'")),
    (env_files.SUBJECT, _files("APP_ENV_A=\xa0'$$'")),
    (values.SUBJECT, ("address", "http://127.0.0.1:99999")),
    (values.SUBJECT, ("address", "http://[")),
    (values.SUBJECT, ("user@address:port / ssm", ":")),
    (values.SUBJECT, ("duration from 1ms to 60s", "\u0661ms")),
    (values.SUBJECT, ("12 digits", "\u0662" * 12)),
    (references.SUBJECT, "secretsmanager:\u0663"),
    (references.SUBJECT, "ssm:/\u0663"),
    (references.SUBJECT, "env:A\xe9"),
    (references.SUBJECT, "output:Queue.Q\xe9"),
    (compose_values.SUBJECT, compose_values.Told({}, {"api": {"TOKEN": Path("/a"), "Token": Path("/b")}}, {})),
    (records.SUBJECT, _item("deployment", "{}")),
    (records.SUBJECT, _item("deployment", "null")),
    (records.SUBJECT, _item("operation", "")),
    (records.SUBJECT, _item("operation", '{"deployment": null, "verb": "deploy", "state": "staged", "plan": {}}')),
    (records.SUBJECT, _item("operation", '{"deployment": "a-1", "verb": "deploy", "state": "new", "plan": {}}')),
    *((records.SUBJECT, _item(each, body)) for each in ("serving", "bad", "audit") for body in (" ", "null")),
    *((records.SUBJECT, _item(each, "{}")) for each in ("serving", "bad")),
    (records.SUBJECT, _item("verdict", '"0"')),
    (records.SUBJECT, _item("templates", "")),
    (records.SUBJECT, _item("audit", "{}", schema={"S": "1"})),
    (records.SUBJECT, _item("audit", "{}", schema={"N": "1.5"})),
    (records.SUBJECT, _item("lock", "", **_LOCK, state={"S": "elsewhere"})),
    (records.SUBJECT, _item("lock", "", **_LOCK, state={"N": "0"})),
    (records.SUBJECT, _item("lock", "", **{**_LOCK, "holder": {"S": '{"who": null}'}}, state={"S": "held"})),
    (arguments.SUBJECT, (_flag("history", "lines"), "x")),
    (arguments.SUBJECT, (_flag("rehearse.up", "hosts"), "9" * 5000)),
    (arguments.SUBJECT, (_flag("validate", "timeout"), "")),
    (arguments.SUBJECT, (_flag("validate", "timeout"), "soon")),
    (arguments.SUBJECT, (_flag("validate", "load"), "1_0:5s")),
    (arguments.SUBJECT, (_flag("audit", "since"), "2026-99-99")),
    (arguments.SUBJECT, (_flag("test", "pytest"), "'")),
    (arguments.SUBJECT, (_flag("dev.test", "env"), "")),
    (arguments.SUBJECT, (_flag("dev.test", "env"), "9" * 300)),
]


@pytest.mark.parametrize(("subject", "value"), FOUND, ids=lambda each: getattr(each, "name", repr(each)[:60]))
def test_what_was_found_once_stays_mended(subject: Subject, value: Any) -> None:
    assert fuzz(replace(subject, inputs=st.just(value)), 1, SEED).faults == {}


def _stripped(text: str) -> Reference | None:
    kind, colon, target = text.strip().partition(":")
    return Reference(kind, target) if colon else None


def _hint_less(text: str) -> Reference | None:
    raise ValueError(text[:0])


def _unforeseen(text: str) -> Reference | None:
    return {"env": Reference("env", text)}[text.partition(":")[0]]


@pytest.mark.parametrize(
    ("planted", "fault"),
    [
        (_stripped, "it reads another reference than is written"),
        (_hint_less, "it is refused without a word"),
        (_unforeseen, "KeyError in test_fuzz.py, _unforeseen"),
    ],
)
def test_what_is_planted_is_found(
    monkeypatch: pytest.MonkeyPatch, planted: Callable[[str], Reference | None], fault: str
) -> None:
    monkeypatch.setattr("soundbite.environment.references.parse", planted)
    assert fault in fuzz(references.SUBJECT, 300, SEED).faults


def test_a_fault_is_told_with_the_smallest_input_and_once() -> None:
    def judge(number: int) -> bool:
        if number >= 17:
            raise Fault("too large")
        return number % 2 == 0

    tally = fuzz(Subject("numbers", st.integers(0, 1000), judge, 1.0), 500, SEED)
    assert tally.faults == {"too large": "17"}
    assert tally.inputs >= 500


def test_what_takes_for_ever_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(_: Any) -> bool:
        while True:
            pass

    monkeypatch.setattr("bench.fuzzing.subject._SECONDS", 0.05)
    assert list(fuzz(Subject("endless", st.just(1), judge, 1.0), 1, SEED).faults) == ["it takes more than 0 s"]


@pytest.mark.parametrize(
    "message", ["", " \n", "failed: KeyError('body')", "f() of <class 'str'>", "A.__init__() lacks"]
)
def test_a_message_that_teaches_nothing_is_a_fault(message: str) -> None:
    with pytest.raises(Fault):
        teaches(message)
    teaches("--wait=x is no duration.\n→ For example 10m.")


def test_the_second_reading_is_right_itself() -> None:
    raw = {"A": ("${B}-$$", False), "B": ("${NONE:-x}", False), "C": ("$A", True), "D": ("${ENVIRONMENT}", False)}
    assert reading.expanded(raw, {"ENVIRONMENT": "e"}) == {"A": "x-$", "B": "x", "C": "$A", "D": "e"}
    for wrong in ({"A": ("${A}", False)}, {"A": ("${", False)}, {"A": ("$B", False)}, {"A": ("${A:x}", False)}):
        with pytest.raises(reading.Wrong):
            reading.expanded(wrong, {})


@pytest.mark.parametrize("flag", ["--inputs=0", "--inputs=x", "--seed=-1", "--only=nothing", "--nonsense", "more"])
def test_wrong_arguments_are_exit_2_and_one_line(flag: str) -> None:
    done = subprocess.run(
        [ROOT / "bench" / "fuzz", flag], capture_output=True, text=True, timeout=30, check=False, env=clean_environ()
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert flag.partition("=")[0] in done.stderr


def test_a_fault_is_exit_1_and_told_below_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("soundbite.environment.references.parse", _unforeseen)
    assert command.main(["--inputs=500", "--only=references", "--seed=3"]) == 1
    told = capsys.readouterr().out
    assert told.startswith("| subject | inputs | accepted | refused | faults |")
    assert "seed 3" in told
    assert "references: KeyError in test_fuzz.py, _unforeseen\n  '" in told

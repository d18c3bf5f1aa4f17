"""A validation ends in time whatever hangs, and keeps its verdict or says why not."""

from __future__ import annotations

import sys
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.checks import Outcome, Wishes
from soundbite.cloud import warm
from soundbite.errors import Inconclusive, Interrupted
from soundbite.parallel import Asked
from soundbite.validation import validating
from soundbite.validation.validating import Result, Scope, health, validate
from tests.unit.faulty import http, message, serving

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from soundbite.environment import Environment

TIMEOUT = 1.5
HERE = "config.files"
"""A check that asks nobody."""


def hang(connection: socket.socket, _: bytes) -> None:
    """Say nothing, until the client goes."""
    connection.recv(1)


def forever() -> str:
    """Hang."""
    threading.Event().wait()
    return ""


class Book:
    """A ledger that remembers what is written to it; tests say what else it does."""

    def __init__(self) -> None:
        self.serves = ["staging-7"]
        self.kept: list[dict[str, Any]] = []
        self.writing: Callable[[], object] = lambda: None

    def __call__(self, _: object) -> Book:
        """Be the ledger of every cloud."""
        return self

    def serving(self) -> str:
        """Return what serves: of several the next one at each question."""
        return self.serves.pop(0) if len(self.serves) > 1 else self.serves[0]

    def deployment(self, id_: str) -> Any:
        """Return a deployment."""
        return SimpleNamespace(id=id_, release="r7", commit="abc")

    def add_verdict(self, report: dict[str, Any]) -> None:
        """Keep a verdict."""
        self.writing()
        self.kept.append(report)


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    """Return a ledger that answers, of an account that is the right one."""
    made = Book()
    monkeypatch.setattr(validating, "Ledger", made)
    monkeypatch.setattr("soundbite.cloud.Cloud.require_account", lambda _: "arn:aws:sts::1:ana")
    return made


def loaded(tmp_path: Path, name: str = "dev-localstack", **settings: str) -> Environment:
    """Return an environment with a state of its own."""
    return environment.load(name, {"STATE_DIR": str(tmp_path / "state"), **settings})


def in_time(here: Environment, *only: str, timeout: float = TIMEOUT) -> Result:
    """Validate, and see that it ends by the clock on the wall when it should."""
    began = time.monotonic()
    found = validate(here, Scope(only, timeout=timeout), Wishes())
    took = time.monotonic() - began
    assert took < timeout + 1
    assert found.report.seconds == pytest.approx(took, abs=0.1)
    return found


def test_an_application_that_hangs(tmp_path: Path, book: Book) -> None:
    with serving(hang) as url:
        found = in_time(loaded(tmp_path, APP_PORT=url.rpartition(":")[2]), "api.health", "api.ready")
    assert {each.outcome for each in found.report.verdicts} == {Outcome.INCONCLUSIVE}
    assert found.report.verdicts[0].message.endswith(" s: no answer of GET /health yet")
    assert len(book.kept) == 1


def test_aws_that_hangs_and_what_was_waited_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warm(["sts", "cloudformation"])
    with serving(hang) as url:
        here = loaded(tmp_path, EMULATOR="external", AWS_ENDPOINT_URL=url)
        found = in_time(here, "identity.account", "resources.table", "stacks", timeout=4)
    messages = {each.check: each.message.partition(" s: ")[2] for each in found.report.verdicts}
    assert messages.pop("identity.account") == "no answer of sts:GetCallerIdentity yet"
    # Those that wait for what another check asks for say that, too.
    assert set(messages.values()) == {"no answer of cloudformation:DescribeStacks yet"}, messages
    assert "The verdict is not in the ledger: no answer within" in capsys.readouterr().err


def test_a_call_to_aws_gives_up_before_its_check_is_given_up() -> None:
    patience = validating._PATIENCE
    pauses = 1 + 2  # seconds at most between three attempts (botocore, standard mode)
    assert patience.attempts == 3
    assert patience.attempts * patience.read + pauses < 20  # the deadline of a check


def test_only_writing_to_the_ledger_hangs(tmp_path: Path, book: Book, capsys: pytest.CaptureFixture[str]) -> None:
    book.writing = forever
    found = in_time(loaded(tmp_path), HERE, timeout=2)
    assert found.report.outcome is Outcome.PASS
    assert "The verdict is not in the ledger: no answer within" in capsys.readouterr().err


def test_only_reading_the_ledger_hangs(tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "serving", forever)
    found = in_time(loaded(tmp_path, "staging"), HERE, timeout=2)
    assert (found.report.outcome, found.report.deployment) == (Outcome.PASS, None)


def test_git_hangs(tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soundbite.checkout.revision", forever)
    found = in_time(loaded(tmp_path), HERE, timeout=2)
    assert (found.report.outcome, found.report.commit) == (Outcome.PASS, "unknown")
    assert len(book.kept) == 1


def test_a_module_of_checks_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hanging_module.py").write_text("import threading\nthreading.Event().wait()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    here = loaded(tmp_path, CHECKS="hanging_module")
    began = time.monotonic()
    with pytest.raises(Inconclusive, match="CHECKS names hanging_module, which is still being imported"):
        validate(here, Scope((HERE,), timeout=0.5), Wishes())
    assert time.monotonic() - began < 1.5
    sys.modules.pop("hanging_module", None)


# Interrupted


@contextmanager
def _signal_at_the_end(_: object) -> Iterator[Callable[[object], None]]:
    yield lambda _: None
    raise Interrupted(2)


@contextmanager
def _signal_at_once(_: object) -> Iterator[Callable[[object], None]]:
    raise Interrupted(2)
    yield


@pytest.mark.parametrize(("watch", "known"), [(_signal_at_the_end, 1), (_signal_at_once, 0)])
def test_a_signal_beside_the_checks_takes_nothing_from_the_report(
    tmp_path: Path, book: Book, watch: Any, known: int
) -> None:
    found = validate(loaded(tmp_path), Scope((HERE, "config.keys")), Wishes(), watch=watch)
    assert found.interrupted is not None
    assert found.report.exit_code == 6
    outcomes = [each.outcome for each in found.report.verdicts]
    assert outcomes == [Outcome.PASS if known else Outcome.INCONCLUSIVE] * 2
    assert book.kept[0]["complete"] is False


def test_a_signal_while_the_verdict_is_kept_takes_nothing_from_it(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Disturbed(Asked[Any]):
        """Is interrupted where it waits for the ledger to take something."""

        def result(self, until: float = 0.0) -> Any:
            """Wait, unless it is the second time that the ledger is waited for."""
            waits.append(self._what)
            if waits.count("the ledger") == 2:
                raise Interrupted(2)
            return super().result(until)

    waits: list[str] = []
    book.writing = forever
    monkeypatch.setattr(validating, "Asked", Disturbed)
    found = validate(loaded(tmp_path), Scope((HERE,)), Wishes())
    assert found.interrupted is not None
    assert [each.outcome for each in found.report.verdicts] == [Outcome.PASS]
    assert found.report.interrupted == "interrupted by signal 2"


# The verdict


def test_a_state_folder_that_cannot_be_written_takes_nothing_from_the_verdict(tmp_path: Path, book: Book) -> None:
    (tmp_path / "file").write_text("mine")
    found = in_time(environment.load("dev-localstack", {"STATE_DIR": str(tmp_path / "file")}), HERE, timeout=30)
    assert found.report.outcome is Outcome.PASS
    assert len(book.kept) == 1


def test_a_switch_meanwhile_makes_the_verdict_inconclusive(tmp_path: Path, book: Book) -> None:
    book.serves = ["staging-7", "staging-8"]
    found = in_time(loaded(tmp_path, "staging"), HERE, timeout=30)
    assert (found.report.outcome, found.report.exit_code) == (Outcome.INCONCLUSIVE, 6)
    assert found.report.deployment == "staging-7"
    words = "a deployment was switched meanwhile: staging-8 serves now, staging-7 did when it began"
    assert found.report.interrupted == words
    assert [(each["outcome"], each["complete"], each["interrupted"]) for each in book.kept] == [
        ("inconclusive", False, words)
    ]


def test_the_verdict_of_what_serves_all_the_time_is_kept_on_it(tmp_path: Path, book: Book) -> None:
    found = in_time(loaded(tmp_path, "staging"), HERE, timeout=30)
    assert (found.report.outcome, found.report.interrupted) == (Outcome.PASS, "")
    assert [(each["deployment"], each["outcome"]) for each in book.kept] == [("staging-7", "pass")]


# Health


def test_health_tells_another_application(tmp_path: Path) -> None:
    with serving(http({"status": "ok"})) as url:
        verdicts = health(loaded(tmp_path, APP_PORT=url.rpartition(":")[2]), 0)
    assert {each.check: each.outcome for each in verdicts if each.outcome is not Outcome.PASS} == {
        "identity.health": Outcome.FAIL
    }


@pytest.mark.parametrize("wait", [0.5, 2.0])
def test_waiting_for_health_ends_in_time_though_the_application_hangs(tmp_path: Path, wait: float) -> None:
    with serving(hang) as url:
        here = loaded(tmp_path, APP_PORT=url.rpartition(":")[2])
        began = time.monotonic()
        verdicts = health(here, wait)
        assert time.monotonic() - began < wait + 1
    assert {each.outcome for each in verdicts if each.check == "api.health"} == {Outcome.INCONCLUSIVE}


def test_of_health_the_last_whole_look_is_told(tmp_path: Path) -> None:
    answers = iter([message("", "500 Internal Server Error")] * 3)

    def hang_later(connection: socket.socket, head: bytes) -> None:
        answer = next(answers, None)
        connection.sendall(answer) if answer else hang(connection, head)

    with serving(hang_later) as url:
        verdicts = health(loaded(tmp_path, APP_PORT=url.rpartition(":")[2]), 2.0)
    assert {each.outcome for each in verdicts if each.check == "api.health"} == {Outcome.FAIL}

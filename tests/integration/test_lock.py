"""The lock of an environment: one holder, told dead only by a beat that stands still, and never two."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError

from soundbite.errors import Locked, Refused
from soundbite.releases import Ledger, LedgerUnreachable, Lock
from soundbite.releases.items import LOCK
from tests.conftest import ROOT, clean_environ
from tests.integration.conftest import until
from tests.integration.test_ledger import Emulated, Wire, emulated, lose_the_first_answer, open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ADA = {"who": "ada", "where": "laptop", "reason": "release day", "operation": "", "since": "2026-03-01T10:00:00Z"}
BEN = {"who": "ben", "where": "ci", "reason": "a fix", "operation": "", "since": "2026-03-01T10:00:05Z"}
LIVE = 4.0
"""The lease of a holder that is at work: it may be late by seconds, on a machine that is busy."""
DEAD = 1.0
"""The lease of a holder that dies."""

_HOLDER = """
import json, sys
from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.errors import Locked
from soundbite.releases import Ledger, Lock
settings, lease, holder = (json.loads(each) for each in sys.argv[1:])
ledger = Ledger(Cloud(environment.load("staging", settings, rehearsal=True)))
lock = Lock(ledger, lease)
lock.acquire(holder)
lock.name_operation("staging-7")
print("held", lock.token, flush=True)
sys.stdin.readline()
for attempt in (lock.require, lambda: ledger.put_serving("staging-7", lock.token)):
    try:
        attempt()
        print("done", flush=True)
    except Locked as error:
        print("Locked", error.message, flush=True)
lock.release()
"""


class Holder:
    """Another process that holds the lock, for staging-7, until it is told, stopped or killed."""

    def __init__(self, settings: dict[str, str], lease: float) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, *(json.dumps(each) for each in (settings, lease, ADA))],
            cwd=ROOT,
            env=clean_environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line().startswith("held")

    def line(self) -> str:
        """Return the next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        """Kill it with SIGKILL, and wait until it is gone."""
        self.process.kill()
        self.process.communicate()


class Place:
    """An empty ledger, and who opens it."""

    def __init__(self, aws: Emulated) -> None:
        self.ledger = aws.ledger()
        environment = self.ledger.cloud.environment
        self.settings = {
            "EMULATOR_HOST": "127.0.0.1",
            "EMULATOR_PORT": str(aws.port),
            "AWS_ACCOUNT_ID": environment.aws.account_id,
        }

    def lock(self, lease: float = LIVE) -> Lock:
        """Return a lock on it, not yet held."""
        return Lock(self.ledger, lease)

    def elsewhere(self) -> Ledger:
        """Return the same ledger, as another machine has it."""
        return open_ledger(self.settings)

    def item(self) -> dict[str, Any]:
        """Return the lock's item."""
        found = self.ledger.items.lock()
        assert found is not None
        return found

    def move_on(self) -> None:
        """Have somebody take the lock over, whoever holds it."""
        self.ledger.cloud.client("dynamodb").update_item(
            TableName=self.ledger.items.table,
            Key=LOCK,
            UpdateExpression="SET #token = #token + :one",
            ExpressionAttributeNames={"#token": "token"},
            ExpressionAttributeValues={":one": {"N": "1"}},
        )


def _await_beats(lock: Lock, least: int) -> None:
    until(lambda: lock.look().beat >= least, "it beats", 20)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    with emulated(tmp_path_factory.mktemp("aws")) as running:
        yield running


@pytest.fixture
def place(aws: Emulated) -> Place:
    return Place(aws)


@pytest.fixture
def holders(place: Place) -> Iterator[Callable[[float], Holder]]:
    """Return a function that starts a process which holds the lock; all are killed in the end."""
    started: list[Holder] = []

    def start(lease: float) -> Holder:
        started.append(Holder(place.settings, lease))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.send_signal(signal.SIGCONT)
            each.kill()


def test_the_token_counts_up_with_every_holder(place: Place) -> None:
    assert (place.lock().look().state, place.lock().look().token) == ("free", 0)
    one, two = place.lock(), place.lock()
    one.acquire(ADA)
    assert (one.token, one.look().state, one.look().holder) == (1, "held", ADA)
    one.release()
    assert (one.look().token, one.look().state, one.look().holder) == (1, "free", {})
    two.acquire(BEN)
    two.leave_interrupted()
    assert (two.token, two.look().state, two.look().holder) == (2, "interrupted", BEN)
    assert one.take_over(ADA).token == 2
    assert (one.token, one.look().state) == (3, "held")
    one.release()
    two.acquire(BEN, keep=True)
    assert (two.token, two.release_kept().token) == (4, 4)
    one.acquire(ADA)
    assert one.token == 5
    one.release()


def test_a_lock_that_is_taken_again_is_renewed_again(place: Place) -> None:
    lock = place.lock(DEAD)
    for token in (1, 2):
        lock.acquire(ADA)
        _await_beats(lock, 2)
        assert (lock.look().token, lock.lost) == (token, "")
        lock.release()
    beat = lock.look().beat
    time.sleep(DEAD / 2)
    assert lock.look().beat == beat  # nobody renews what is free


def test_of_twenty_at_once_one_gets_it_and_the_others_hear_who(place: Place) -> None:
    together = threading.Barrier(20)

    def attempt(number: int) -> Lock | Locked:
        lock = place.lock()
        together.wait()
        try:
            lock.acquire({**ADA, "who": f"ada-{number}"})
        except Locked as error:
            return error
        return lock

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(attempt, range(20)))
    locks = [each for each in found if isinstance(each, Lock)]
    refused = [each for each in found if isinstance(each, Locked)]
    assert (len(locks), len(refused)) == (1, 19)
    assert locks[0].token == locks[0].look().token == 1
    who = found.index(locks[0])
    for each in refused:
        assert each.exit_code == 4
        assert each.message == (f"staging is locked by ada-{who} on laptop since 2026-03-01T10:00:00Z (release day).")
        assert "--lock-wait" in each.hint
    locks[0].release()


def test_who_is_at_work_is_not_taken_over(place: Place) -> None:
    lock = place.lock()
    lock.acquire(ADA)
    lock.name_operation("staging-7")
    with pytest.raises(Locked) as caught:
        place.lock().take_over(BEN)
    assert "staging is being worked on: ada on laptop" in caught.value.message
    assert "(staging-7: release day)" in caught.value.message
    assert (lock.look().token, lock.look().state, lock.lost) == (1, "held", "")
    assert lock.look().beat >= 2
    lock.require()
    lock.release()


def test_a_killed_holder_is_taken_over_after_one_lease_and_not_before(
    place: Place, holders: Callable[[float], Holder]
) -> None:
    holders(2.0).kill()
    with pytest.raises(Locked) as caught:
        place.lock().acquire(BEN)
    assert "ada on laptop" in caught.value.message
    assert "inv deploy.staging --resume or --abort takes over" in caught.value.hint
    before, begun = place.item(), time.monotonic()
    ours = place.lock()
    with ThreadPoolExecutor(1) as pool:
        taken = pool.submit(ours.take_over, BEN)
        while not taken.done():
            found = place.item()
            assert found == before or time.monotonic() - begun >= 2.0
            time.sleep(0.05)
        seen = taken.result()
    assert time.monotonic() - begun >= 2.0
    assert (seen.token, seen.holder["operation"], seen.holder["who"]) == (1, "staging-7", "ada")
    now = ours.look()
    assert (now.token, now.state) == (2, "held")
    assert now.holder == {**BEN, "operation": "staging-7"}
    ours.release()


def test_who_waits_gets_it_when_its_holder_is_done(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    lock, next_ = place.lock(), Lock(place.elsewhere(), LIVE)
    lock.acquire(ADA)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(next_.acquire, BEN, wait=60)
        until(lambda: "waiting for the lock of staging" in capsys.readouterr().err, "it says that it waits", 5)
        assert lock.look().token == 1
        lock.release()
        waiting.result(30)
    assert (next_.token, next_.look().holder) == (2, BEN)
    next_.release()


def test_who_waits_in_vain_hears_of_it_in_time(place: Place) -> None:
    lock = place.lock()
    lock.acquire(ADA)
    begun = time.monotonic()
    with pytest.raises(Locked, match="staging is locked after 1 s by ada on laptop"):
        place.lock().acquire(BEN, wait=0.7)
    assert 0.7 <= time.monotonic() - begun < LIVE
    assert lock.look().token == 1
    lock.release()


def test_who_waits_for_a_dead_holder_is_told_and_does_not_take_it(
    place: Place, holders: Callable[[float], Holder]
) -> None:
    holders(DEAD).kill()
    before, begun = place.item(), time.monotonic()
    with pytest.raises(Locked) as caught:
        place.lock().acquire(BEN, wait=120)
    assert time.monotonic() - begun >= DEAD
    assert "its holder has not moved for 1 s: ada on laptop" in caught.value.message
    assert "inv deploy.staging --resume finishes it, --abort takes it back" in caught.value.hint
    assert place.item() == before


def test_an_interrupted_lock_is_only_taken_over_and_then_at_once(place: Place) -> None:
    lock = place.lock(600)
    lock.acquire(ADA)
    lock.name_operation("staging-7")
    lock.leave_interrupted()
    before = place.item()
    for wait in (0, 600):
        with pytest.raises(Locked) as caught:
            place.lock().acquire(BEN, wait=wait)
        assert "in the middle of something, and it was interrupted: ada on laptop" in caught.value.message
        assert "--resume finishes it, --abort takes it back" in caught.value.hint
    assert place.item() == before
    ours = place.lock(600)
    begun = time.monotonic()
    seen = ours.take_over({**BEN, "operation": "staging-8"})
    assert time.monotonic() - begun < 30
    assert (seen.state, seen.holder["operation"]) == ("interrupted", "staging-7")
    assert ours.look().holder["operation"] == "staging-8"
    ours.release()


def test_what_is_free_is_not_taken_over(place: Place) -> None:
    for _ in range(2):
        with pytest.raises(Refused, match="Nothing of staging was interrupted: its lock is free") as caught:
            place.lock().take_over(BEN)
        assert caught.value.exit_code == 3
        lock = place.lock()
        lock.acquire(ADA)
        lock.release()


def test_a_holder_that_ends_while_it_is_watched_is_not_taken_over(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, other = place.lock(60), place.lock()
    lock.acquire(ADA)
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(other.take_over, BEN)
        until(lambda: "is it still at work?" in capsys.readouterr().err, "it watches", 10)
        lock.release()
        with pytest.raises(Refused, match="its lock has just been released"):
            taking.result(30)
    assert (lock.look().token, lock.look().state) == (1, "free")


def test_a_holder_that_is_cut_off_while_it_is_watched_is_taken_over_at_once(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    lock, other = place.lock(600), place.lock()
    lock.acquire(ADA)
    with ThreadPoolExecutor(1) as pool:
        taking = pool.submit(other.take_over, BEN)
        until(lambda: "is it still at work?" in capsys.readouterr().err, "it watches", 10)
        lock.leave_interrupted()
        assert taking.result(30).state == "interrupted"
    assert other.token == other.look().token == 2
    other.release()


def test_a_persons_lock_never_expires_and_only_a_person_releases_it(place: Place) -> None:
    lock = place.lock(0.1)
    lock.acquire({**ADA, "reason": "freeze until Monday"}, keep=True)
    before = place.item()
    time.sleep(0.5)  # many leases
    assert place.item() == before
    for attempt in (place.lock().take_over, lambda who: place.lock().acquire(who, wait=1)):
        with pytest.raises(Locked) as caught:
            attempt(BEN)
        assert "ada on laptop since 2026-03-01T10:00:00Z (freeze until Monday)" in caught.value.message
        assert caught.value.hint == "inv lock.release --env=staging releases it."
    assert place.item() == before
    lock.require()
    seen = place.lock().release_kept()
    assert (seen.state, seen.holder["reason"]) == ("kept", "freeze until Monday")
    assert lock.look().state == "free"
    assert place.lock().release_kept().state == "free"


@pytest.mark.parametrize("state", ["held", "interrupted"])
def test_an_operations_lock_is_not_released_by_hand(place: Place, state: str) -> None:
    lock = place.lock(60)
    lock.acquire(ADA)
    lock.name_operation("staging-7")
    if state == "interrupted":
        lock.leave_interrupted()
    before = place.item()
    with pytest.raises(Refused) as caught:
        place.lock().release_kept()
    assert caught.value.exit_code == 3
    assert f"an operation's ({state}): ada on laptop" in caught.value.message
    assert "--resume finishes it, --abort takes it back" in caught.value.hint
    assert place.item() == before
    lock.release()


@pytest.mark.parametrize("since", ["2099-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "yesterday"])
def test_nobodys_time_of_day_matters(place: Place, since: str) -> None:
    alive = place.lock()
    alive.acquire({**ADA, "since": since})
    with pytest.raises(Locked, match="is being worked on"):
        place.lock().take_over(BEN)
    alive.release()
    dead = place.lock(0.2)
    dead.acquire({**ADA, "since": since})
    dead._stop()  # its beat, as with its process
    ours = place.lock()
    begun = time.monotonic()
    ours.take_over({**BEN, "since": since})
    assert time.monotonic() - begun >= 0.2
    assert ours.token == 3
    ours.release()


@pytest.mark.parametrize("how", ["interrupted", "dead"])
def test_of_many_that_take_over_at_once_one_does(place: Place, how: str) -> None:
    lock = place.lock(DEAD)
    lock.acquire(ADA)
    if how == "dead":
        lock._stop()
    else:
        lock.leave_interrupted()
    together = threading.Barrier(8)

    def attempt(number: int) -> Lock | Locked:
        ours = place.lock()
        together.wait()
        try:
            ours.take_over({**BEN, "who": f"ben-{number}"})
        except Locked as error:
            return error
        return ours

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, range(8)))
    (winner,) = [each for each in found if isinstance(each, Lock)]
    assert all(each.exit_code == 4 for each in found if isinstance(each, Locked))
    now = winner.look()
    assert (now.token, now.state, now.holder["who"]) == (2, "held", f"ben-{found.index(winner)}")
    assert winner.token == 2
    winner.release()


def test_who_lost_it_knows_within_a_lease_and_changes_nothing_any_more(place: Place) -> None:
    lock = place.lock()
    lock.acquire(ADA)
    lock.require()
    place.move_on()
    begun = time.monotonic()
    until(lambda: lock.lost, "it knows", LIVE)
    assert time.monotonic() - begun < LIVE
    with pytest.raises(Locked, match="The lock of staging was taken over by somebody else") as caught:
        lock.require()
    assert caught.value.exit_code == 4
    before = place.item()
    lock.release()
    lock.leave_interrupted()
    with pytest.raises(Locked):
        lock.name_operation("staging-9")
    assert place.item() == before


def test_what_is_named_for_an_operation_after_it_was_lost_is_not_named(place: Place) -> None:
    lock = place.lock(600)
    lock.acquire(ADA)
    place.move_on()
    before = place.item()
    with pytest.raises(Locked, match="taken over by somebody else"):
        lock.name_operation("staging-9")
    assert lock.lost
    assert place.item() == before


def test_the_next_holder_keeps_what_a_former_one_releases_late(place: Place) -> None:
    former, now = place.lock(), place.lock()
    former.acquire(ADA)
    former.leave_interrupted()
    now.take_over(BEN)
    former.release()
    former.leave_interrupted()
    seen = now.look()
    assert (seen.token, seen.state, seen.holder) == (2, "held", BEN)
    now.require()
    now.release()
    former.release()
    former.leave_interrupted()
    assert (now.look().token, now.look().state) == (2, "free")


def test_a_holder_that_was_stopped_for_longer_than_its_lease_does_no_harm_when_it_goes_on(
    place: Place, holders: Callable[[float], Holder]
) -> None:
    former = holders(DEAD)
    former.process.send_signal(signal.SIGSTOP)
    ours = place.lock()
    ours.take_over(BEN)
    assert former.process.stdin is not None
    former.process.stdin.write("go on\n")
    former.process.stdin.flush()
    former.process.send_signal(signal.SIGCONT)
    assert former.line() == "Locked The lock of staging was taken over by somebody else."
    assert former.line().startswith("Locked The lock of staging is no longer ours")
    assert former.process.wait(20) == 0
    former.process.communicate()
    assert place.ledger.serving() is None
    assert (ours.look().token, ours.look().state) == (2, "held")
    ours.require()
    ours.release()


def test_a_holder_that_was_stopped_and_is_still_the_holder_goes_on(
    place: Place, holders: Callable[[float], Holder]
) -> None:
    holder = holders(DEAD)
    holder.process.send_signal(signal.SIGSTOP)
    time.sleep(DEAD * 1.2)
    assert holder.process.stdin is not None
    holder.process.stdin.write("go on\n")
    holder.process.stdin.flush()
    holder.process.send_signal(signal.SIGCONT)
    assert [holder.line(), holder.line()] == ["done", "done"]
    assert holder.process.wait(20) == 0
    holder.process.communicate()
    assert place.ledger.serving() == "staging-7"
    assert place.lock().look().state == "free"


def test_who_cannot_renew_it_stops_until_it_can(place: Place) -> None:
    ledger = place.elsewhere()
    gone = threading.Event()

    def meddle(_: str, send: Callable[[], Any]) -> Any:
        if gone.is_set():
            raise EndpointConnectionError(endpoint_url="http://emulated")
        return send()

    Wire(ledger, meddle)
    lock = Lock(ledger, DEAD)
    lock.acquire(ADA)
    gone.set()
    begun = time.monotonic()
    until(lambda: time.monotonic() - begun > 2 * DEAD, "its lease has run out", 30)
    with pytest.raises(LedgerUnreachable, match="The ledger soundbite-staging-ledger"):
        lock.require()
    gone.clear()
    lock.require()
    lock.release()
    assert place.lock().look().state == "free"


def test_a_beat_that_hangs_hides_no_loss(place: Place) -> None:
    ledger = place.elsewhere()
    answers, hangs = threading.Event(), threading.Event()

    def meddle(name: str, send: Callable[[], Any]) -> Any:
        if name == "UpdateItem" and threading.current_thread() is not threading.main_thread():
            hangs.set()
            answers.wait(60)
        return send()

    Wire(ledger, meddle)
    lock, ours = Lock(ledger, DEAD), place.lock()
    lock.acquire(ADA)
    assert hangs.wait(20)
    ours.take_over(BEN)
    with pytest.raises(Locked, match="was taken over by somebody else"):
        lock.require()
    answers.set()
    lock._stop()
    assert (ours.look().token, ours.look().holder) == (2, BEN)
    ours.release()


def test_a_lock_whose_answer_was_lost_is_ours(place: Place) -> None:
    for token in (1, 2):
        ledger = place.elsewhere()
        sent = lose_the_first_answer(ledger, "PutItem")
        lock = Lock(ledger, LIVE)
        lock.acquire(ADA)
        assert sent.count("PutItem") == 2
        assert lock.token == lock.look().token == token
        ledger.put_serving("staging-1", lock.token)
        _await_beats(lock, 1)
        lock.require()
        lock.release()
    assert place.lock().look().state == "free"


def test_a_release_whose_answer_was_lost_is_one(place: Place) -> None:
    for keep in (False, True):
        ledger = place.elsewhere()
        lock = Lock(ledger, 60)
        lock.acquire(ADA, keep=keep)
        sent = lose_the_first_answer(ledger, "UpdateItem")
        if keep:
            lock.release_kept()
        else:
            lock.release()
        assert sent.count("UpdateItem") == 2
        assert place.lock().look().state == "free"
        assert lock.lost == ""

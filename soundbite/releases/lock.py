"""The lock of an environment: one operation at a time, wherever it is started from.

It is a lease: its beat counts up while its holder is at work. Whether a holder is dead is told by the beat standing
still for as long as the lease, watched with one's own clock; nobody's time of day matters. An operation that was cut
off leaves it `interrupted`: only `--resume` or `--abort` may take it then.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from soundbite import console
from soundbite.errors import ConfigurationError, Locked, Refused, SoundbiteError

from .items import LOCK
from .records import SCHEMA, TOOL, is_a

if TYPE_CHECKING:
    from collections.abc import Callable

    from .ledger import Ledger

FREE, HELD, INTERRUPTED, KEPT = "free", "held", "interrupted", "kept"
"""`kept` is a person's: without a lease, until `inv lock.release`."""
_STATES = {FREE, HELD, INTERRUPTED, KEPT}

_POLL = 0.5
_MOMENT, _SETTLING = 0.05, 10.0
"""Seconds between two attempts at a lock that looks free, and for which it is tried again and again."""
_LAST_WORD = 4.0
"""Seconds that an interrupted process takes for its last word: it must be gone within 5."""
_LAST_BEAT = 1.0
"""Seconds to wait for a beat that is under way; one that comes later changes nothing that is no longer ours."""


@dataclass(frozen=True)
class Seen:
    """The lock as it was seen.

    Attributes
    ----------
    token:
        Counts up with each holder; hosts and ledger refuse a lower one than the newest.
    beat:
        Counts up while the holder is at work.
    lease:
        Seconds after which a beat that stands still means a dead holder.
    holder:
        `who`, `where`, `reason`, `operation` (a deployment's id, or empty), `since`.
    """

    token: int
    state: str
    beat: int
    lease: float
    holder: dict[str, str]

    def told(self) -> str:
        """Tell who has it."""
        holder = self.holder
        what = holder.get("operation") or holder.get("reason", "")
        why = f": {holder['reason']}" if holder.get("operation") and holder.get("reason") else ""
        return f"{holder.get('who', '?')} on {holder.get('where', '?')} since {holder.get('since', '?')} ({what}{why})"


class Lock:
    """One environment's lock, held by us after `acquire` or `take_over`.

    Parameters
    ----------
    lease:
        Seconds that our own beats may stay away before others take us for dead.
    """

    def __init__(self, ledger: Ledger, lease: float) -> None:
        self._items = ledger.items
        self._lease = lease
        self.name = ledger.cloud.environment.name
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._holder: dict[str, str] = {}
        self._renewed = 0.0
        self.token = 0
        self.lost = ""

    @property
    def operation(self) -> str:
        """The deployment that it is held for, empty before there is one: the ledger may know of it."""
        return self._holder.get("operation", "")

    def look(self) -> Seen:
        """Return the lock as it is now."""
        item = self._items.lock()
        if item is None:
            return Seen(0, FREE, 0, self._lease, {})
        try:
            seen = Seen(
                int(item["token"]["N"]),
                item["state"]["S"],
                int(item["beat"]["N"]),
                float(item["lease"]["N"]),
                dict(json.loads(item["holder"]["S"])),
            )
            if seen.state not in _STATES or not is_a(seen.holder, dict[str, str]) or not is_a(seen.lease, float):
                raise ValueError(seen.state)  # noqa: TRY301 - told below
            return seen  # noqa: TRY300
        except (KeyError, ValueError, TypeError, RecursionError):
            raise ConfigurationError(
                f"The ledger of {self.name} has something else where its lock should be.",
                "Was it written by hand? Restore the table to a point before (point-in-time recovery).",
            ) from None

    def acquire(self, holder: dict[str, str], *, wait: float = 0, keep: bool = False) -> None:
        """Take the lock.

        Parameters
        ----------
        holder:
            Who we are: `who`, `where`, `reason`, `operation`, `since`.
        wait:
            Seconds to wait for another holder.
        keep:
            Hold it without a lease, until it is released by hand.

        Raises
        ------
        Locked
            Somebody else has it, or left it in the middle of something.
        """
        until = time.monotonic() + wait
        watched: Seen | None = None
        still, told = time.monotonic(), float("-inf")
        while True:
            seen = self.look()
            if seen.state == FREE and self._write(seen, KEPT if keep else HELD, holder):
                return
            if seen.state == INTERRUPTED:
                raise self._interrupted(seen)
            now = time.monotonic()
            if seen.state == FREE and now < until + _SETTLING:
                time.sleep(_MOMENT)  # somebody was faster
                continue
            if watched is None or (seen.token, seen.beat) != (watched.token, watched.beat):
                watched, still = seen, now
            if seen.state == HELD and now - still > seen.lease and now < until:
                raise self._interrupted(seen, f"its holder has not moved for {seen.lease:.0f} s")
            if now >= until:
                raise self._held(seen, wait)
            if now - told > 10:  # noqa: PLR2004 - a sign of life
                told = now
                console.say(f"  waiting for the lock of {self.name}, {until - now:.0f} s more: {seen.told()}")
            time.sleep(min(_POLL, until - now))

    def require_free(self) -> None:
        """Refuse where somebody has it; takes nothing.

        Raises
        ------
        Locked
            Somebody has it, or left it in the middle of something.
        """
        seen = self.look()
        if seen.state == INTERRUPTED:
            raise self._interrupted(seen)
        if seen.state != FREE:
            raise self._held(seen, 0)

    def take_over(self, holder: dict[str, str]) -> Seen:
        """Take the lock of an operation that was interrupted, or whose holder is dead.

        Returns
        -------
        Seen
            What it was before.

        Raises
        ------
        Refused
            Nothing was interrupted.
        Locked
            Its holder is at work, or it is a person's.
        """
        seen = self.look()
        if seen.state == FREE:
            raise Refused(f"Nothing of {self.name} was interrupted: its lock is free.")
        if seen.state == KEPT:
            raise self._held(seen, 0)
        if seen.state == HELD:
            console.say(f"  is it still at work? Watching its lease for {seen.lease:.0f} s: {seen.told()}")
            until = time.monotonic() + seen.lease
            while time.monotonic() < until:
                time.sleep(min(_POLL, max(0.0, until - time.monotonic())))
                now = self.look()
                if (now.token, now.beat, now.state) != (seen.token, seen.beat, seen.state):
                    if now.state == INTERRUPTED:
                        seen = now
                        break
                    if now.state == FREE:
                        raise Refused(f"Nothing of {self.name} was interrupted: its lock has just been released.")
                    raise Locked(
                        f"{self.name} is being worked on: {now.told()}.", "Wait for it, or stop it first (Ctrl-C)."
                    )
        operation = seen.holder.get("operation", "")
        if not self._write(seen, HELD, {**holder, "operation": holder.get("operation") or operation}):
            raise Locked(
                f"The lock of {self.name} has just moved: somebody else took it, or its holder is at work after all.",
                f"inv lock.status --env={self.name}",
            )
        return seen

    def name_operation(self, operation: str) -> None:
        """Say for which deployment it is held.

        Raises
        ------
        Locked
            It is ours no longer.
        """
        if not self._update(HELD, {**self._holder, "operation": operation}):
            self.lost = self._taken()
        self.require()

    def release(self) -> None:
        """Give it back."""
        self._stop()
        self._update(FREE, {})

    def leave_interrupted(self) -> None:
        """Leave it so that only `--resume` or `--abort` may take it."""
        self._stop()
        self._update(INTERRUPTED, self._holder)

    def within_seconds(self, word: Callable[[], None]) -> None:
        """Say a last word, such as `release`, within seconds or not at all: then the lease runs out."""

        def say() -> None:
            with suppress(Exception):
                word()

        thread = threading.Thread(target=say, daemon=True)
        thread.start()
        thread.join(_LAST_WORD)

    def release_kept(self) -> Seen:
        """Release a person's lock.

        Raises
        ------
        Refused
            An operation has it.
        """
        seen = self.look()
        if seen.state in {HELD, INTERRUPTED}:
            raise Refused(
                f"The lock of {self.name} is an operation's ({seen.state}): {seen.told()}. It was left alone.",
                f"inv deploy.{self.name} --resume finishes it, --abort takes it back.",
            )
        self.token, self._holder = seen.token, {}
        if seen.state == KEPT and not self._update(FREE, {}) and self.look().state != FREE:
            raise Locked("It was taken by somebody else in this moment.", f"inv lock.status --env={self.name}")
        return seen

    def require(self) -> None:
        """Stop where it was lost.

        Raises
        ------
        Locked
            Somebody took it over.
        LedgerUnreachable
            Nobody can tell: it could not be renewed for longer than the lease.
        """
        working = self._thread is not None and not self._ended.is_set()
        late = working and time.monotonic() - self._renewed > self._lease
        # We were stopped ourselves, or the ledger does not answer: others may take us for dead by now.
        if late and not self.lost and not self._update(HELD, None):
            self.lost = self._taken()
        if self.lost:
            raise Locked(self.lost, f"inv lock.status --env={self.name}")

    def _write(self, seen: Seen, state: str, holder: dict[str, str]) -> bool:
        """Become the holder, if it is as it was seen."""
        item = {
            **LOCK,
            "token": {"N": str(seen.token + 1)},
            "state": {"S": state},
            "beat": {"N": "0"},
            "lease": {"N": str(self._lease)},
            "holder": {"S": json.dumps(holder)},
            "schema": {"N": str(SCHEMA)},
            "tool": {"S": TOOL},
            "nonce": {"S": uuid4().hex},
        }
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(pk)"}
        if seen.token:
            condition = {
                "ConditionExpression": "#token = :token AND #state = :state AND #beat = :beat",
                "ExpressionAttributeNames": {"#token": "token", "#state": "state", "#beat": "beat"},
                "ExpressionAttributeValues": {
                    ":token": {"N": str(seen.token)},
                    ":state": {"S": seen.state},
                    ":beat": {"N": str(seen.beat)},
                },
            }
        asked = time.monotonic()
        if not self._items.write_lock("put_item", Item=item, **condition):
            # It is ours nevertheless where the answer to a first attempt got lost, and botocore sent it again.
            now = self._items.lock()
            if now is None or now.get("nonce") != item["nonce"]:
                return False
        self.token, self._holder, self._renewed, self.lost = seen.token + 1, holder, asked, ""
        self._ended, self._thread = threading.Event(), None
        if state == HELD:
            self._thread = threading.Thread(target=self._renew, args=(self._ended,), daemon=True)
            self._thread.start()
        return True

    def _renew(self, ended: threading.Event) -> None:
        while not ended.wait(self._lease / 4):
            try:
                if not self._update(HELD, None):
                    if not ended.is_set():
                        self.lost = self._taken()
                    return
            except SoundbiteError:
                continue  # whoever goes on asks `require` first

    def _update(self, state: str, holder: dict[str, str] | None) -> bool:
        """Set the state, and the holder if one is given; the beat goes up. Returns whether it was still ours."""
        names = {"#token": "token", "#state": "state", "#beat": "beat"}
        values = {
            ":token": {"N": str(self.token)},
            ":state": {"S": state},
            ":one": {"N": "1"},
            ":ours": {"S": HELD},
            ":kept": {"S": KEPT},
        }
        change = "SET #state = :state, #beat = #beat + :one"
        if holder is not None:
            self._holder = holder
            names["#holder"] = "holder"
            values[":holder"] = {"S": json.dumps(holder)}
            change += ", #holder = :holder"
        asked = time.monotonic()
        ours = self._items.write_lock(
            "update_item",
            Key=LOCK,
            UpdateExpression=change,
            ConditionExpression="#token = :token AND #state IN (:ours, :kept)",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )
        if ours:
            self._renewed = asked
        return ours

    def _stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_LAST_BEAT)

    def _taken(self) -> str:
        return f"The lock of {self.name} was taken over by somebody else."

    def _held(self, seen: Seen, wait: float) -> Locked:
        after = f" after {wait:.0f} s" if wait else ""
        hint = (
            f"inv lock.release --env={self.name} releases it."
            if seen.state == KEPT
            else f"--lock-wait=10m waits for it. If it is dead, inv deploy.{self.name} --resume or --abort takes over."
        )
        return Locked(f"{self.name} is locked{after} by {seen.told()}.", hint)

    def _interrupted(self, seen: Seen, why: str = "it was interrupted") -> Locked:
        return Locked(
            f"{self.name} is in the middle of something, and {why}: {seen.told()}.",
            f"inv deploy.{self.name} --resume finishes it, --abort takes it back.",
        )

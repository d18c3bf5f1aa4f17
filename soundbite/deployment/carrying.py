"""An operation carried through its states: planned → staged → switched → recorded. Each step may be done again.

Everything a step needs stands in the operation's plan, in the ledger: so another machine can go on with it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from soundbite import console, publishing, secrets
from soundbite.errors import Locked, SoundbiteError, WentBack
from soundbite.infrastructure import functions
from soundbite.platforms.platform import StageFailed, SwitchFailed
from soundbite.releases import Deployment, Ended, LedgerUnreachable, Operation
from soundbite.releases.records import PLANNED, RECORDED, ROLLBACK, STAGED, SWITCHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.platforms.platform import Platform, Rollout
    from soundbite.releases import Lock

    from .scene import Scene


class Carrier:
    """Who carries one operation: scene, lock, platform, and the operation as it is now."""

    def __init__(self, scene: Scene, lock: Lock, platform: Platform, operation: Operation, record: Deployment) -> None:
        self.scene = scene
        self.lock = lock
        self.platform = platform
        self.operation = operation
        self.record = record
        self._began = time.monotonic()

    @property
    def plan(self) -> dict[str, Any]:
        """The operation's plan."""
        return self.operation.plan

    def carry(self, prepare: Callable[[Carrier], None] | None, *, again: bool = False) -> Deployment:
        """Carry it to its end, whatever state it is in; return the deployment as it is recorded.

        Parameters
        ----------
        prepare:
            Brings infrastructure and artifacts, where that is not done yet.
        again:
            Whether it was cut off: hosts may have been rebooted since, or be new, so what was done there is done anew.

        Raises
        ------
        WentBack
            It failed, and what served before serves.
        SoundbiteError
            It failed before anything was switched, or a rollback failed, or the ledger was lost.
        """
        try:
            return self._carried_or_back(prepare, again=again)
        except SoundbiteError:
            raise
        except BaseException:
            self.leave_interrupted()
            raise

    def back(self, why: str, outcome: str) -> None:
        """Let what served before serve again, hosts and processor, and record how this one ended.

        Raises
        ------
        SoundbiteError
            Some host did not go back; the lock stays interrupted.
        """
        before = self.plan["before"]
        with console.step("go back") as step:
            failures: list[SoundbiteError] = []
            if "bundle" in self.plan or self.operation.state != PLANNED:
                failures = self._rollout(step.tell).back()
            try:
                self._move_processor(before["processor_version"])
            except SoundbiteError as error:
                failures.append(error)
            step.well = not failures
            step.detail = f"{before['deployment'] or 'nothing'} serves" if not failures else "not everywhere"
        if failures:
            self.leave_interrupted()
            raise SoundbiteError(
                f"{why}\nAnd not everything went back to {before['deployment']}:\n"
                + "\n".join(each.message for each in failures),
                f"Mend them, then inv deploy.{self.scene.environment.name} --abort.",
            )
        self._ended(outcome, why)

    def leave_interrupted(self) -> None:
        """Say in the lock that this was cut off, within seconds or not at all."""
        self.platform.close()
        self.lock.within_seconds(self.lock.leave_interrupted)

    def keep(self, state: str, **more: Any) -> None:
        """Write how far it is; the plan takes what more there is.

        Raises
        ------
        LedgerUnreachable, Locked
            It could not be written; the operation is where it was.
        """
        self.lock.require()
        operation = replace(self.operation, state=state, plan={**self.plan, **more})
        self.scene.ledger.put_operation(operation, self.lock.token)
        self.operation = operation

    def _carried_or_back(self, prepare: Callable[[Carrier], None] | None, *, again: bool) -> Deployment:
        try:
            return self._carried(prepare, again=again)
        except (StageFailed, SwitchFailed) as failed:
            raise self._taken_back(failed) from None
        except Locked:
            raise  # it is somebody else's now
        except SoundbiteError as failed:
            raise self._left(failed) from None

    def _carried(self, prepare: Callable[[Carrier], None] | None, *, again: bool) -> Deployment:
        if self._at(PLANNED) and prepare is not None:
            prepare(self)
        if self._at(PLANNED) or (again and self._at(STAGED)):
            self._stage()
        if self._at(STAGED):
            self._switch()
        late = ""
        if self._at(STAGED):
            try:
                self.keep(SWITCHED)
            except LedgerUnreachable as error:
                late = error.message
                console.warn(f"The switch is done, and the ledger cannot be told now: {error.message}")
                self.operation = replace(self.operation, state=SWITCHED)
        elif again and self._at(SWITCHED):
            self._serve_again()
        if self._at(SWITCHED):
            self._drain()
            self._record(late)
        return self.record

    def _at(self, state: str) -> bool:
        return self.operation.state == state

    def _stage(self) -> None:
        self._bring()
        self.keep(STAGED)

    def _bring(self) -> None:
        given = self._secrets_of(self.plan["secrets"])
        with console.step("stage") as step:
            self._rollout(step.tell).stage(given, self._registry())
            step.detail = f"{self.plan['deployment']} is ready beside what serves, on {self.platform.told()}"

    def _switch(self) -> None:
        try:
            with console.step("switch") as step:
                self._rollout(step.tell).switch()
                self._move_processor(self.plan["processor"]["version"])
                step.detail = f"{self.plan['deployment']} serves on {self.platform.told()}"
            self._prove()
        except (SwitchFailed, Locked):
            raise
        except SoundbiteError as failed:
            # AWS refused when some of it was switched already: all of it goes back.
            raise SwitchFailed(failed.message, failed.hint) from None

    def _serve_again(self) -> None:
        """See that what was switched serves still; a host may have been rebooted since, or be new."""
        try:
            self._prove()
        except SwitchFailed:
            self._bring()
            self._switch()

    def _prove(self) -> None:
        with console.step("checks") as step:
            step.detail = self._rollout(step.tell).prove()
            self._prove_processor()

    def _drain(self) -> None:
        with console.step("drain") as step:
            failures = self._rollout(step.tell).drain()
            step.detail = "what served before is stopped"
            for failure in failures:
                if isinstance(failure, Locked):
                    raise failure
                console.warn(f"Left running or lying there: {failure.message}")

    def _record(self, late: str) -> None:
        with console.step("record") as step:
            until = time.monotonic() + (self.scene.environment.workflow.lock_lease if late else 0)
            while True:
                try:
                    self._ended("succeeded", "", verified=True)
                    break
                except LedgerUnreachable as error:
                    if time.monotonic() > until:
                        step.well = False
                        raise LedgerUnreachable(
                            f"{self.plan['deployment']} serves on every host, but the ledger could not be told: "
                            f"{error.message}",
                            f"When it is back: inv deploy.{self.scene.environment.name} --resume records it.",
                        ) from None
                    time.sleep(1)
            step.detail = f"{self.record.id} is verified"

    def _ended(self, outcome: str, why: str, *, verified: bool = False) -> None:
        """Write how it ended, then give the lock back; each part may have been written before."""
        seconds = round(time.monotonic() - self._began, 1)
        ledger, token = self.scene.ledger, self.lock.token
        self.lock.require()
        if self.operation.state != RECORDED or not self.record.outcome:
            record = replace(self.record, outcome=outcome, verified=verified, seconds=seconds)
            entry = self.scene.entry(
                self.operation.verb,
                deployment=record.id,
                release=record.release,
                before=record.before,
                outcome=outcome,
                reason=self.plan.get("reason", ""),
                why=why,
                seconds=seconds,
                plan=self.plan["told"],
                token=token,
            )
            serving: str | None = record.id
            if not verified:
                found = ledger.serving()
                serving = record.before if found == record.id else found
            left, bad = self._left_behind() if verified else (None, {})
            operation = replace(self.operation, state=RECORDED)
            ledger.put_ended(Ended(record, operation, entry, serving, left, bad), token)
            self.record, self.operation = record, operation
        self.lock.release()

    def _left_behind(self) -> tuple[Deployment | None, dict[str, str]]:
        """Return what a rollback left and its release, marked so that nobody goes back to them by mistake."""
        reason = self.plan.get("marks_bad")
        if self.operation.verb != ROLLBACK or not reason or not self.record.before:
            return None, {}
        left = self.scene.ledger.deployment(self.record.before)
        bad = {} if left.release == self.record.release else {left.release: f"{left.id}: {reason}"}
        return left if left.bad else replace(left, bad=reason), bad

    def _taken_back(self, failed: SoundbiteError) -> SoundbiteError:
        name, before = self.scene.environment.name, self.plan["before"]["deployment"]
        if self.operation.verb == ROLLBACK and isinstance(failed, SwitchFailed):
            self.leave_interrupted()
            return SoundbiteError(
                f"The rollback {self.plan['deployment']} failed, and a rollback is never taken back by itself:\n"
                f"{failed.message}",
                f"inv hosts.list --env={name} says what serves where. inv deploy.{name} --resume tries again, "
                f"--abort goes to {before}.",
            )
        why = f"{self.plan['deployment']} failed:\n{failed.message}"
        try:
            self.back(why, "failed")
        except Locked as lost:
            return lost
        except SoundbiteError as error:
            if not isinstance(error, LedgerUnreachable):
                return error
            return SoundbiteError(
                f"{why}\n{before or 'Nothing'} serves again, but the ledger could not be told: {error.message}",
                f"inv deploy.{name} --abort records it when the ledger is back.",
            )
        serves = f"{before} serves, as before." if before else "Nothing serves, as before."
        return WentBack(f"{why}\n{serves}", failed.hint)

    def _left(self, failed: SoundbiteError) -> SoundbiteError:
        """End what failed where no host was switched: away with what was staged, and the lock given back."""
        if self.operation.state in {SWITCHED, RECORDED}:
            self.leave_interrupted()
            return failed
        name, before = self.scene.environment.name, self.plan["before"]["deployment"]
        why = failed.message
        failed.message += f"\nNothing was switched; {before or 'nothing'} serves, as before."
        try:
            if "bundle" in self.plan:
                self._rollout(lambda _: None).abandon()
            self._ended("failed", why)
        except Locked as lost:
            return lost
        except SoundbiteError:
            self.leave_interrupted()
            failed.message += " The ledger could not be told how it ended."
            failed.hint = f"{failed.hint} When it is back: inv deploy.{name} --abort, or --resume.".lstrip()
        return failed

    def _rollout(self, tell: Callable[[str], None]) -> Rollout:
        return self.platform.rollout(self.plan, self.lock.token, tell)

    def _registry(self) -> dict[str, str] | None:
        return publishing.signed_in(self.scene.cloud, self.plan["repository"])

    def _secrets_of(self, wanted: dict[str, list[str]]) -> dict[str, str]:
        return {name: each.value for name, each in secrets.of_versions(wanted, self.scene.cloud).items()}

    def _move_processor(self, version: str | None) -> None:
        function = self.plan["processor"]["function"]
        if function and version:
            functions.point(self.scene.cloud, function, version)

    def _prove_processor(self) -> None:
        function, version = self.plan["processor"]["function"], self.plan["processor"]["version"]
        if function and version:
            found = functions.pointed(self.scene.cloud, function)
            if found != version:
                raise SwitchFailed(f"the processor's alias points to version {found}, not {version}")

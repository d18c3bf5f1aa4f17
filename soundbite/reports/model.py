"""The result of a validation: whose, when, and every verdict."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from soundbite.checks import Outcome

from .text import fit, fitted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.checks import Verdict

SCHEMA = 1
"""The version of the JSON form."""

MARKS = {Outcome.PASS: "✓", Outcome.WARN: "!", Outcome.FAIL: "✗", Outcome.INCONCLUSIVE: "?", Outcome.SKIP: "-"}
COLOURS = {
    Outcome.PASS: "green",
    Outcome.WARN: "yellow",
    Outcome.FAIL: "red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.SKIP: "dim",
}
WORDS = {
    Outcome.PASS: "passed",
    Outcome.WARN: "warned",
    Outcome.FAIL: "failed",
    Outcome.INCONCLUSIVE: "inconclusive",
    Outcome.SKIP: "skipped",
}
WELL = (Outcome.PASS, Outcome.SKIP)
"""The outcomes that nobody has to look at."""


def by_group(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """Return verdicts by their group, in the order in which groups come."""
    groups: dict[str, list[Verdict]] = {}
    for each in verdicts:
        groups.setdefault(each.group, []).append(each)
    return groups


_EXIT_CODES = {Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 6}


def outcome_of(verdicts: Sequence[Verdict], *, strict: bool = False) -> Outcome:
    """Return what verdicts mean together: fail, inconclusive, warn or pass; without any that measured, inconclusive.

    Parameters
    ----------
    strict:
        Whether warnings count as failures.
    """
    found = {each.outcome for each in verdicts}
    if Outcome.FAIL in found or (strict and Outcome.WARN in found):
        return Outcome.FAIL
    if Outcome.INCONCLUSIVE in found or not found & {Outcome.PASS, Outcome.WARN}:
        return Outcome.INCONCLUSIVE
    return Outcome.WARN if Outcome.WARN in found else Outcome.PASS


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """Return the exit code that verdicts mean: 0 all is well, 1 something failed, 6 it is not known."""
    return _EXIT_CODES.get(outcome_of(verdicts), 0)


@dataclass(frozen=True)
class Report:
    """What a validation found.

    Attributes
    ----------
    deployment:
        The deployment that served; None for an environment on this machine, and before the first one.
    release:
        Its release.
    commit:
        Its commit; on this machine, that of the working tree.
    started:
        When, RFC 3339 in UTC.
    seconds:
        How long all of it took.
    interrupted:
        Why it is not complete; empty: it is.
    strict:
        Whether warnings count as failures.
    scope:
        Which checks it was about; empty: all.
    """

    environment: str
    deployment: str | None
    release: str | None
    commit: str
    who: str
    where: str
    started: str
    seconds: float
    verdicts: Sequence[Verdict] = field(default_factory=tuple)
    interrupted: str = ""
    strict: bool = False
    scope: str = ""

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many checks ended in each way."""
        return {outcome: sum(each.outcome is outcome for each in self.verdicts) for outcome in Outcome}

    @property
    def outcome(self) -> Outcome:
        """The whole's outcome: fail, inconclusive, warn, or pass."""
        found = outcome_of(self.verdicts, strict=self.strict)
        return Outcome.INCONCLUSIVE if self.interrupted and found in {Outcome.PASS, Outcome.WARN} else found

    @property
    def exit_code(self) -> int:
        """0 all is well or warned of, 1 something failed, 6 something could not be measured."""
        return _EXIT_CODES.get(self.outcome, 0)

    @property
    def summary(self) -> str:
        """The counts in words, those that are nought left out: `38 passed, 1 failed, 4 skipped`."""
        return ", ".join(f"{self.counts[outcome]} {word}" for outcome, word in WORDS.items() if self.counts[outcome])

    @property
    def judgement(self) -> str:
        """The outcome in a few words: `Validation of staging failed`."""
        words = {
            Outcome.PASS: "passed",
            Outcome.WARN: "passed with warnings",
            Outcome.FAIL: "failed",
            Outcome.INCONCLUSIVE: "is inconclusive",
        }
        return f"Validation of {self.environment} {words[self.outcome]}"

    @property
    def incomplete(self) -> str:
        """Why it cannot count as passed though no check says so; empty: there is no such reason."""
        if self.interrupted:
            return f"not complete: {self.interrupted}"
        return "" if any(each.outcome is not Outcome.SKIP for each in self.verdicts) else "nothing was checked"

    @property
    def facts(self) -> dict[str, str]:
        """What it is about, by name, to be shown above the verdicts; what is not known is left out."""
        known = {
            "environment": self.environment,
            "checks": self.scope,
            "deployment": self.deployment,
            "release": self.release,
            "commit": self.commit,
            "started": self.started,
            "took": f"{self.seconds:.1f} s",
            "by": self.who,
            "where": self.where,
            "warnings": "count as failures" if self.strict else "",
        }
        return {name: text for name, text in known.items() if text}

    def readable(self) -> Report:
        """Return it as it may be written anywhere: secrets masked, no characters that a format chokes on."""
        texts = ("environment", "deployment", "release", "commit", "who", "where", "started", "interrupted", "scope")
        verdicts = tuple(
            replace(
                each,
                check=fit(each.check),
                title=fit(each.title),
                message=fit(each.message),
                hint=fit(each.hint),
                data=fitted(each.data),
            )
            for each in self.verdicts
        )
        return replace(self, **{name: fitted(getattr(self, name)) for name in texts}, verdicts=verdicts)

    def as_json(self) -> dict[str, Any]:
        """Return it as docs/validation.schema.json has it, secrets masked; the ledger keeps it so, too."""
        readable = self.readable()
        return {
            "schema": SCHEMA,
            "environment": readable.environment,
            "deployment": readable.deployment,
            "release": readable.release,
            "commit": readable.commit,
            "who": readable.who,
            "where": readable.where,
            "started": readable.started,
            "seconds": round(readable.seconds, 3),
            "outcome": readable.outcome.value,
            "complete": not readable.interrupted,
            "interrupted": readable.interrupted,
            "strict": readable.strict,
            "scope": readable.scope,
            "counts": {outcome.value: count for outcome, count in readable.counts.items()},
            "checks": [
                {
                    "id": each.check,
                    "title": each.title,
                    "outcome": each.outcome.value,
                    "message": each.message,
                    "hint": each.hint,
                    "seconds": round(each.seconds, 3),
                    "data": each.data,
                }
                for each in readable.verdicts
            ],
        }

"""The command: feeds every subject, and prints what became of it."""

from __future__ import annotations

import argparse
import sys
import time
from typing import NoReturn

from bench.fuzzing import arguments, compose_values, env_files, records, references, values
from bench.fuzzing.subject import Subject, Tally, fuzz

SUBJECTS: list[Subject] = [
    env_files.SUBJECT,
    values.SUBJECT,
    references.SUBJECT,
    compose_values.SUBJECT,
    compose_values.BY_COMPOSE,
    records.SUBJECT,
    arguments.SUBJECT,
]


class _Parser(argparse.ArgumentParser):
    """One that ends with one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, in one line."""
        self.exit(2, f"{self.prog}: {message} (--help shows what there is)\n")


def main(words: list[str] | None = None) -> int:
    """Feed what was asked for; return 1 where there is a fault."""
    options = _options(words)
    began = time.monotonic()
    tallies = []
    for each in options.only:
        print(f"  {each.name} …", file=sys.stderr)
        tallies.append(fuzz(each, max(1, round(each.share * options.inputs)), options.seed))
    print(table(tallies))
    print(f"\nseed {options.seed}, {sum(each.inputs for each in tallies)} inputs in {time.monotonic() - began:.0f} s")
    for tally in tallies:
        for what, smallest in tally.faults.items():
            print(f"\n{tally.subject}: {what}\n  {smallest[:2000]}")
    return int(any(each.faults for each in tallies))


def table(tallies: list[Tally]) -> str:
    """Return the tallies as a Markdown table."""
    rows = [
        f"| {each.subject} | {each.inputs} | {each.accepted} | {each.refused} | {len(each.faults)} |"
        for each in tallies
    ]
    return "\n".join(["| subject | inputs | accepted | refused | faults |", "|---|---|---|---|---|", *rows])


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="bench/fuzz", description="Feed the workflow with nonsense.")
    parser.add_argument("--inputs", type=_count, default=100_000, metavar="N", help="how many in all, at least")
    parser.add_argument("--seed", type=_count, default=20261124, metavar="N", help="the same gives the same inputs")
    names = ", ".join(each.name for each in SUBJECTS)
    parser.add_argument("--only", type=_chosen, default=SUBJECTS, metavar="SUBJECT,…", help=f"of {names}")
    return parser.parse_args(words)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):  # noqa: PLR2004 - a day's work
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _chosen(text: str) -> list[Subject]:
    names = text.split(",")
    unknown = sorted({*names} - {each.name for each in SUBJECTS})
    if unknown:
        raise argparse.ArgumentTypeError(f"there is no subject {', '.join(map(repr, unknown))}")
    return [each for each in SUBJECTS if each.name in names]

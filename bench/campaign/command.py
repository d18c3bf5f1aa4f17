"""The command: a campaign, told line by line and as a table."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bench.campaign.judging import judge
from bench.campaign.performing import perform
from bench.campaign.plan import blows
from bench.campaign.stage import stage
from soundbite import console
from tests.containers.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.campaign.performing import Performed
    from bench.campaign.plan import Blow
    from bench.campaign.stage import Stage

_RATE, _CLIENTS = 60, 6


@dataclass
class Campaign:
    """A campaign that is going on.

    Attributes
    ----------
    rows:
        What became of each operation.
    folder:
        Where the output of what violated something is kept.
    """

    seed: int
    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    requests: int = 0

    @property
    def violations(self) -> int:
        """How many there were."""
        return sum(len(each["violations"]) for each in self.rows)

    def go(self, place: Stage, chosen: Iterable[Blow]) -> None:
        """Do operations, one after another, with clients beside them."""
        with Load(place.place.hosts, rate=_RATE, clients=_CLIENTS) as load:
            try:
                for blow in chosen:
                    lost = len(load.failed)
                    done = perform(place, blow)
                    found, how = judge(place, blow, done, load.failed[lost:])
                    self._note(blow, done, found, how)
                    if any(each.startswith("agree: not even") for each in found):
                        break
            finally:  # also of one that is cut short
                self.requests = load.count
                self._look_into_files(place)

    def table(self) -> str:
        """Return what became of operations by what struck them, as a Markdown table."""
        lines = [
            "| struck by | operations | at work then | exit codes | settled | violations |",
            "|---|---|---|---|---|---|",
        ]
        for fault in sorted({each["fault"] for each in self.rows}):
            rows = [each for each in self.rows if each["fault"] == fault]
            codes = _counted(Counter(str(each["code"]) for each in rows))
            how = _counted(Counter(each["settled"] for each in rows))
            struck = sum(each["struck"] for each in rows)
            lines.append(
                f"| {fault} | {len(rows)} | {struck} | {codes} | {how} | {sum(len(r['violations']) for r in rows)} |"
            )
        return "\n".join(lines)

    def _look_into_files(self, place: Stage) -> None:
        for secret in place.secrets if self.rows else []:
            for each in place.files():
                if secret.encode() in each.read_bytes():
                    self.rows[-1]["violations"].append(f"secret: one stands in the file {each.name}")

    def _note(self, blow: Blow, done: Performed, found: list[str], how: str) -> None:
        row = {
            "number": blow.number,
            "operation": blow.operation,
            "fault": blow.fault,
            "step": blow.step,
            "struck": done.struck,
            "code": done.code,
            "rival": done.rival_code,
            "seconds": round(done.seconds, 1),
            "settled": how,
            "violations": found,
        }
        self.rows.append(row)
        mark = "✗" if found else "✓"
        console.say(
            f"{mark} {blow.number:>3} {blow.operation:<14} {blow.fault:<24} "
            f"{'after' if done.struck else 'too late, after'} {blow.step:<14} "
            f"exit {done.code:>3}  {done.seconds:5.1f} s  {how}"
        )
        if found:
            file = self.folder / f"{self.seed}-{blow.number}.txt"
            file.write_text(f"{blow}\n\n{done.said}\n\n{done.rival}", encoding="utf-8")
            for each in found:
                console.say(f"      {each}")
            console.say(f"      seed {self.seed}, operation {blow.number}; what it said: {file}")


class _Parser(argparse.ArgumentParser):
    """One that ends with one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, in one line."""
        self.exit(2, f"{self.prog}: {message} (--help shows what there is)\n")


def main(words: list[str] | None = None) -> int:
    """Run a campaign; return 1 where something was violated, else 130 where it was cut short."""
    options = _options(words)
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.default_int_handler)  # away with hosts and emulator, also where SIGINT was ignored
    folder = Path(tempfile.mkdtemp(prefix="soundbite-violations-"))
    campaign = Campaign(options.seed, folder)
    began = time.monotonic()
    whole = False
    try:
        with stage() as place:
            began = time.monotonic()
            campaign.go(place, _chosen(options))
            whole = True
    except KeyboardInterrupt:
        console.warn("Interrupted.")
    seconds = time.monotonic() - began
    print(campaign.table())
    print(
        f"\nseed {campaign.seed}: {len(campaign.rows)} operations in {seconds / 60:.0f} minutes, "
        f"{campaign.requests} requests beside them, {campaign.violations} violations"
    )
    if options.json:
        Path(options.json).write_text(json.dumps(campaign.rows, indent=2) + "\n", encoding="utf-8")
    if not campaign.violations:
        folder.rmdir()
    if campaign.violations:
        return 1
    return int(not campaign.rows) if whole else 128 + signal.SIGINT


def _chosen(options: argparse.Namespace) -> Iterator[Blow]:
    if options.operations:
        return islice(blows(options.seed), options.operations)
    until = time.monotonic() + 60 * options.minutes
    return takewhile(lambda _: time.monotonic() < until, blows(options.seed))


def _options(words: list[str] | None) -> argparse.Namespace:
    parser = _Parser(prog="bench/faults", description="Break a rehearsed environment while it is worked on.")
    parser.add_argument(
        "--seed", type=_count, default=1, metavar="N", help="the same gives the same operations and faults"
    )
    parser.add_argument("--minutes", type=_count, default=10, metavar="N", help="how long")
    parser.add_argument("--operations", type=_count, default=0, metavar="N", help="how many, instead")
    parser.add_argument("--json", default="", metavar="FILE", help="where every operation is told")
    return parser.parse_args(words)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 7 and int(text)):  # noqa: PLR2004 - a million is enough
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" if count > 1 else name for name, count in sorted(found.items()))


if __name__ == "__main__":
    sys.exit(main())

"""The command: takes the measurements asked for, and prints the machine and the table."""

from __future__ import annotations

import argparse
import json
import os
import signal
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench import clip, containers, crowd, deploying, listing, machine, reload, statuses, table, up, validating, wrapper
from bench.stand import Stand
from soundbite import console
from soundbite.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from bench.table import Row

MEASUREMENTS: dict[str, Callable[[Stand], Iterable[Row]]] = {
    "listing": listing.measure,
    "wrapper": wrapper.measure,
    "up": up.measure,
    "reload": reload.measure,
    "clip": clip.measure,
    "crowd": crowd.measure,
    "containers": containers.measure,
    "validate": validating.measure,
    "status": statuses.measure,
    "deploy": deploying.measure,
}

_INHERITED = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "NO_COLOR", "TERM"}


def main() -> int:
    """Measure what was asked for, print it, and return the exit code."""
    options = _options()
    _forget_settings()
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _interrupt)
    facts = machine.facts()
    rows: list[Row] = []
    code = 0
    try:
        _measure(options.only, Stand(quick=options.quick), rows)
    except Interrupted as interrupted:
        console.error("Interrupted; what was measured before follows.")
        code = interrupted.exit_code
    print(" · ".join(f"{name} {value}" for name, value in facts.items()), end="\n\n")
    print(table.markdown(rows))
    if options.json:
        found = {"machine": facts, "quick": options.quick, "rows": [asdict(row) for row in rows]}
        options.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return code or int(not all(row.ok for row in rows))


def _measure(names: list[str], stand: Stand, rows: list[Row]) -> None:
    """Take the measurements in turn; one that fails spoils no other."""
    try:
        for name in names:
            try:
                with console.step(name):
                    rows.extend(MEASUREMENTS[name](stand))
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a row of the table
                console.say("".join(traceback.format_exception(error)))
                rows.append(table.failed(name, str(error) or type(error).__name__))
                stand.clear()
    finally:
        stand.clear()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what the README's performance table promises.")
    parser.add_argument(
        "--only", type=_names, default=list(MEASUREMENTS), metavar="NAME,…", help=f"of {', '.join(MEASUREMENTS)}"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything, with each sample, to a file")
    parser.add_argument("--quick", action="store_true", help="repeat less")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in MEASUREMENTS]
    if unknown or not names:
        known = ", ".join(MEASUREMENTS)
        raise argparse.ArgumentTypeError(f"there is no measurement {', '.join(unknown) or text!r}; known are {known}")
    return names


def _forget_settings() -> None:
    """Drop every variable that could choose settings or credentials, or keep Python from writing bytecode."""
    for name in set(os.environ) - _INHERITED:
        del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    # A second signal must not tear the clean-up apart: it has its own deadlines.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(signum)

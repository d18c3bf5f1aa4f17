"""GitHub Actions: what somebody must look at as annotations, and the whole as the summary of the step."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from soundbite import console
from soundbite.checks import Outcome

from . import markdown

if TYPE_CHECKING:
    from .model import Report

_SUMMARY = "GITHUB_STEP_SUMMARY"
_ORDER = (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.WARN)
"""GitHub shows ten annotations of a kind: those that matter most come first."""


def annotate(report: Report, *, on_stderr: bool = False) -> None:
    """Tell GitHub Actions of a report, where it runs us; elsewhere do nothing.

    Parameters
    ----------
    on_stderr:
        Annotate there, since stdout is JSON; GitHub reads both.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for line in commands(report):
        (console.say if on_stderr else console.result)(line)
    try:
        with Path(os.environ[_SUMMARY]).open("a", encoding="utf-8") as stream:
            stream.write(markdown.render(report) + "\n")
    except KeyError:
        console.warn(f"{_SUMMARY} is not set: the step has no summary.")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        console.warn(f"The file of {_SUMMARY} cannot be written: {reason}. The step has no summary.")


def commands(report: Report) -> list[str]:
    """Return a workflow command for each check that somebody must look at."""
    report = report.readable()
    lines = [_command("error", report.judgement, report.incomplete)] if report.incomplete else []
    for outcome in _ORDER:
        level = "warning" if outcome is Outcome.WARN and not report.strict else "error"
        for each in report.verdicts:
            if each.outcome is outcome:
                text = f"{each.message}\n→ {each.hint}" if each.hint else each.message
                lines.append(_command(level, f"{report.environment}: {each.check}", text))
    return lines


def _command(level: str, title: str, text: str) -> str:
    # As toolkit/packages/core/src/command.ts escapes them.
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    title = title.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{text}"

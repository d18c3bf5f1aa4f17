"""Tasks that look and tell: whether an environment is well."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tasks.command import ENV_HELP, JSON_HELP, REHEARSE_HELP, command, exit_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    from invoke import Context

    from soundbite.checks import Load


@command(
    help={
        "env": ENV_HELP,
        "only": "Groups or checks, separated by commas, for example api,resources.queue; default: all.",
        "skip": "Groups or checks to leave out.",
        "strict": "Warnings count as failures.",
        "timeout": "The longest that all of it may take; what is not done then is inconclusive.",
        "journey": "Also where CONFIRM=yes: post a clip, listen to it, and clean up.",
        "load": "RATE:DURATION for the performance checks, for example 50:30s (requests a second).",
        "json": JSON_HELP,
        "junit": "A file for the report as JUnit XML.",
        "markdown": "A file for the report as Markdown.",
        "html": "A file for the report as a page.",
        "rehearse": REHEARSE_HELP,
    }
)
def validate(
    context: Context,
    env: str = "",
    only: str = "",
    skip: str = "",
    strict: bool = False,
    timeout: str = "10m",
    journey: bool = False,
    load: str = "",
    json: bool = False,
    junit: str = "",
    markdown: str = "",
    html: str = "",
    rehearse: bool = False,
) -> None:
    """Check everything of an environment that can be checked; 0 all is well, 1 something failed, 6 unknown."""
    from soundbite import checks, console, environment, reports
    from soundbite.validation import validating
    from tasks.deploy import named
    from tasks.flags import seconds

    here = environment.load(named(env, environment.order()), rehearsal=rehearse)
    scope = validating.Scope(_words(only), _words(skip), seconds("--timeout", timeout or "none"), strict)
    wishes = checks.Wishes(journey, _load(load, scope.timeout)) if load else checks.Wishes(journey)
    with _left_at_once():
        found = validating.validate(here, scope, wishes, rehearsal=rehearse, watch=reports.live)
    report = found.report
    reports.show(report.verdicts)
    files = {"junit": junit, "markdown": markdown, "html": html}
    for problem in reports.write(report, {form: path for form, path in files.items() if path}):
        console.warn(problem)
    reports.annotate(report, on_stderr=json)
    if json:
        console.result_json(report.as_json())
    else:
        console.result(f"{env}: {report.outcome.value}, {report.summary}, in {report.seconds:.1f} s")
    if found.interrupted:
        _leave(found.interrupted.exit_code)
        raise found.interrupted
    _leave(report.exit_code)
    exit_with(report.exit_code)


@command(
    help={
        "env": ENV_HELP,
        "wait": "How long to wait until it is healthy, for example 2m; default: ask once.",
        "rehearse": REHEARSE_HELP,
        "json": JSON_HELP,
    }
)
def health(context: Context, env: str = "", wait: str = "", rehearse: bool = False, json: bool = False) -> None:
    """Ask an environment's application whether it is up and ready, for scripts; 0 yes, 1 no, 6 unknown."""
    from soundbite import console, environment, reports
    from soundbite.validation import validating
    from tasks.deploy import named
    from tasks.flags import seconds

    here = environment.load(named(env, environment.order()), rehearsal=rehearse)
    with _left_at_once():
        verdicts = validating.health(here, seconds("--wait", wait))
    code = reports.exit_code(verdicts)
    if json:
        told = [{"id": each.check, "outcome": each.outcome.value, "message": each.message} for each in verdicts]
        console.result_json({"environment": env, "healthy": code == 0, "checks": told})
    else:
        reports.show(verdicts)
        console.result(f"{env}: {'healthy' if code == 0 else 'not healthy'}, {here.app_url}")
    _leave(code)
    exit_with(code)


@contextmanager
def _left_at_once() -> Iterator[None]:
    """End the process at once, by what the block raises, where a check still hangs in it."""
    from soundbite import checks, console
    from soundbite.errors import Interrupted, SoundbiteError

    try:
        yield
    except (Interrupted, SoundbiteError) as error:
        if checks.hanging():
            console.error("Interrupted." if isinstance(error, Interrupted) else str(error))
            _leave(error.exit_code)
        raise


def _leave(code: int) -> None:
    """End a failed process at once where a check still hangs in it."""
    import os
    import sys

    from soundbite import checks

    if code and checks.hanging():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _words(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each.strip()]


def _load(text: str, timeout: float) -> Load:
    import re

    from soundbite.checks import Load
    from soundbite.environment.kinds import seconds
    from soundbite.errors import ConfigurationError

    rate, _, duration = text.partition(":")
    try:
        found = Load(float(rate) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", rate) else 0, seconds(duration))
    except ValueError:
        found = Load(0, 0)
    if not (0 < found.rate <= 1000 and 0 < found.seconds <= 600):  # noqa: PLR2004 - said below
        raise ConfigurationError(
            f"--load={text} is no RATE:DURATION.", "For example 50:30s; up to 1000 requests a second and 10m."
        )
    if found.seconds >= timeout:
        raise ConfigurationError(
            f"--load={text} takes longer than --timeout, which is {timeout:g} s.",
            "Give --timeout more than the load takes, for example twice that.",
        )
    return found

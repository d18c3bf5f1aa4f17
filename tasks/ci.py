"""inv ci.*: what CI tells of a checkout."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tasks.command import JSON_HELP, REHEARSE_HELP, command

if TYPE_CHECKING:
    from invoke import Context


def _summary(context: Context, markdown: bool = False, rehearse: bool = False, json: bool = False) -> None:
    """Tell commit, tests, images and deployments, also as GitHub's job summary; 0 whatever the results are."""
    from soundbite import console, environment, packaging
    from soundbite.ci import summary, telling
    from soundbite.errors import ConfigurationError
    from soundbite.validation import overview, words

    if json and markdown:
        raise ConfigurationError("--json and --markdown are different forms.", "Give one of them.")
    look = partial(overview.find, environment.order(), rehearsal=rehearse)
    found = summary.gather(packaging.listing, look)
    told = telling.markdown(found, words.facts)
    if json:
        console.result_json(found)
    else:
        console.result(told if markdown else telling.text(found, words.facts))
    summary.tell_github(told)


_HELP = {"markdown": "As Markdown.", "rehearse": REHEARSE_HELP, "json": JSON_HELP}
# Two tasks, since Invoke takes the help out of a task as it reads it.
summary = command(name="summary", help=dict(_HELP))(_summary)
ci_summary = command(name="ci-summary", help=dict(_HELP))(_summary)

"""All environments at once: each loads, and none lacks what the others have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite.errors import ConfigurationError

from .keys import PASSED_ON
from .loading import load, order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Environment


def check_all() -> list[str]:
    """Check every environment's files.

    Returns
    -------
    list
        Their names, in the order of promotion.

    Raises
    ------
    ConfigurationError
        Some do not load, or a variable is there in some and missing in others: all problems at once.
    """
    messages: list[str] = []
    loaded: list[Environment] = []
    for name in order():
        try:
            loaded.append(load(name))
        except ConfigurationError as error:
            messages.append(error.message)
    messages += _missing(loaded)
    if messages:
        raise ConfigurationError("\n".join(messages), "Mend these lines; envs/README.md documents every key.")
    return [each.name for each in loaded]


def summary(environment: Environment) -> dict[str, Any]:
    """Return what identifies an environment, for JSON."""
    return {
        "name": environment.name,
        "purpose": environment.workflow.purpose,
        "promoted_from": environment.workflow.promoted_from,
        "platform": environment.workflow.platform,
        "emulator": environment.emulator.mode,
        "account": environment.aws.account_id,
        "region": environment.aws.region,
        "url": environment.app.url,
    }


def _missing(loaded: list[Environment]) -> Iterator[str]:
    """Yield the variables passed on in some environments but not so much as named in others.

    An empty value says "not here, on purpose" and is no problem.
    """
    passed = {
        each.name: {
            key
            for key, setting in each.settings.items()
            if key.startswith(tuple(PASSED_ON)) and setting.origin.line is not None
        }
        for each in loaded
    }
    every = set().union(*passed.values()) if passed else set()
    for name, keys in passed.items():
        for key in sorted(every - keys):
            having = ", ".join(other for other, theirs in passed.items() if key in theirs)
            yield f"{key} is missing in envs/{name}.env, but set in {having} (write {key}= if that is meant)"

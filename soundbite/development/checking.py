"""Checks of a local environment, as `dev.*` tasks run them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import checks
from soundbite.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from soundbite.cloud import Cloud


def run(cloud: Cloud, groups: Sequence[str], keep: Path) -> list[checks.Verdict]:
    """Run the checks of some groups; whoever asks for `journey` wants the clip that it leaves.

    Parameters
    ----------
    keep:
        A folder for files worth keeping; it is made.

    Raises
    ------
    ConfigurationError
        There is no check in these groups. An application need not have checks in each of them.
    """
    keep.mkdir(parents=True, exist_ok=True)
    checks.load_modules(cloud.environment.workflow.checks)
    chosen = [each for each in checks.choose() if each.group in groups]
    if not chosen:
        raise ConfigurationError(f"There is no check in {', '.join(groups)}.", "CHECKS in the env file names modules.")
    scene = checks.Scene(cloud.environment, cloud, keep, wishes=checks.Wishes(journey=True))
    try:
        return checks.run(chosen, scene)
    except checks.Halted as halted:
        raise halted.interrupted from None

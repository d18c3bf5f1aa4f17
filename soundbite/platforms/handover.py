"""What an application's container is given: variables, and secrets as files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from soundbite.secrets import bind

from . import credentials, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from soundbite.cloud import Cloud


def label(files: Mapping[str, Path]) -> dict[str, str]:
    """Return a label that is another when one of the secrets' files is: what makes compose start a container anew.

    It is the files' times, since a hash of a secret could be guessed.
    """
    times = {name: str(path.stat().st_mtime_ns) for name, path in sorted(files.items())}
    return {"soundbite.secrets": json.dumps(times)} if times else {}


def given(
    cloud: Cloud, output: Callable[[str], str], folder: Path, own: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Path]]:
    """Bind what an environment's application reads.

    Parameters
    ----------
    folder:
        Where secrets' files are kept, in a folder that only its owner can enter.
    own:
        What every application gets: HOST, PORT, RELEASE and REVISION.

    Returns
    -------
    tuple
        Variables, and files by the variable whose value they hold.

    Raises
    ------
    ConfigurationError
        A reference leads nowhere.
    """
    environment = cloud.environment
    bound = bind(environment.app_env, cloud, output)
    files = {
        name: credentials.keep(folder / "secrets" / name, value)
        for name, value in bound.items()
        if serving.is_secret(environment, name)
    }
    aws, lent = credentials.lent(cloud, folder)
    plain = {name: value for name, value in bound.items() if name not in files}
    return {"ENVIRONMENT": environment.name, **own, **aws, **plain}, files | lent

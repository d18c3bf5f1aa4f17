"""Credentials for containers: emulated AWS's own as variables, real ones as a mounted file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from soundbite import console, files
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from pathlib import Path

    from soundbite.cloud import Cloud

_FILE_VARIABLE = "AWS_SHARED_CREDENTIALS"
_NOT_CREDENTIALS = ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


def lent(cloud: Cloud, folder: Path) -> tuple[dict[str, str], dict[str, Path]]:
    """Return what a container needs to reach its environment's AWS.

    Real credentials are those that this process would use, at this moment; they end when they end (an SSO session after
    an hour or more), and the same command brings new ones.

    Parameters
    ----------
    folder:
        Where the file with real credentials is kept, in a folder that only its owner can enter.

    Returns
    -------
    tuple
        Variables, and files by the variable that names them without its `_FILE`.

    Raises
    ------
    SoundbiteError
        There are no credentials.
    """
    environment = cloud.environment
    wanted = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    variables = {name: value for name, value in cloud.variables().items() if name in wanted}
    if environment.emulated:
        return variables | dict.fromkeys(_NOT_CREDENTIALS, os.devnull) | {"AWS_EC2_METADATA_DISABLED": "true"}, {}
    variables = {name: value for name, value in variables.items() if "KEY" not in name}
    found = cloud.credentials()
    if found is None:
        raise SoundbiteError(
            f"There are no credentials for {environment.name}.", "Set AWS_PROFILE, or run aws sso login."
        )
    lines = ["[default]", f"aws_access_key_id = {found.access_key}", f"aws_secret_access_key = {found.secret_key}"]
    if found.token:
        lines.append(f"aws_session_token = {found.token}")
    for secret in (found.secret_key, found.token):
        if secret:
            console.conceal(secret)
    file = keep(folder / "secrets" / _FILE_VARIABLE, "\n".join(lines) + "\n")
    return variables, {_FILE_VARIABLE: file}


def keep(path: Path, value: str) -> Path:
    """Write a secret's file: in a folder that only its owner enters, readable to whoever it is mounted for."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.parent.chmod(0o700)
    files.write(path, value, mode=0o444)
    return path

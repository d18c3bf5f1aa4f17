"""Binding: references become values, at the last moment, and secrets are masked from then on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from . import console
from .cloud import explained
from .errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .cloud import Cloud
    from .environment import Reference, Setting


def bind(settings: Mapping[str, Setting], cloud: Cloud, output: Callable[[str], str]) -> dict[str, str]:
    """Bind settings to their values.

    Parameters
    ----------
    settings:
        Settings by the name that the application reads, such as `Environment.app_env`.
    output:
        Gives the value of a stack output by `Stack.OutputName`; raises ConfigurationError if there is none.

    Raises
    ------
    ConfigurationError
        Some references lead nowhere: all of them at once, each with its file and line.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for name, setting in settings.items():
        if setting.reference is None:
            values[name] = setting.text
            continue
        try:
            if setting.reference.kind == "output":
                values[name] = output(setting.reference.target)
            else:
                values[name] = read(setting.reference, cloud)
        except SoundbiteError as error:
            problems.append(f"  {setting.origin}: {setting.key}={setting.reference}: {error.message}")
    if problems:
        raise ConfigurationError(
            f"{len(problems)} setting(s) of {cloud.environment.name} lead nowhere:\n" + "\n".join(problems),
            "Make the missing secrets; inv cdk.deploy makes missing outputs.",
        )
    return values


def make_missing(settings: Mapping[str, Setting], cloud: Cloud) -> list[str]:
    """Give emulated AWS the secrets that settings refer to and that it lacks, each with a random value.

    Returns
    -------
    list
        The references of those that were made.
    """
    assert cloud.environment.emulated, "real secrets are set by a person"
    made = []
    for setting in settings.values():
        reference = setting.reference
        if reference is None or reference.kind not in {"secretsmanager", "ssm"}:
            continue
        try:
            read(reference, cloud)
        except SoundbiteError:
            _make(reference, cloud)
            made.append(str(reference))
    return made


def _make(reference: Reference, cloud: Cloud) -> None:
    import secrets

    value = secrets.token_urlsafe(24)
    if reference.kind == "ssm":
        with explained("ssm:PutParameter", cloud.environment):
            cloud.client("ssm").put_parameter(Name=reference.target, Value=value, Type="SecureString", Overwrite=True)
        return
    name, _, key = reference.target.partition("#")
    client = cloud.client("secretsmanager")
    with explained("secretsmanager:CreateSecret", cloud.environment):
        try:
            old = json.loads(client.get_secret_value(SecretId=name)["SecretString"]) if key else {}
        except (client.exceptions.ResourceNotFoundException, ValueError):
            old = {}
        text = json.dumps({**old, key: value}) if key else value
        try:
            client.create_secret(Name=name, SecretString=text)
        except client.exceptions.ResourceExistsException:
            client.put_secret_value(SecretId=name, SecretString=text)


def read(reference: Reference, cloud: Cloud) -> str:
    """Read one secret and mask it in all output from now on.

    Raises
    ------
    SoundbiteError
        It is not there, is empty, or may not be read.
    """
    if reference.kind == "env":
        value = os.environ.get(reference.target, "")
    elif reference.kind == "ssm":
        with explained("ssm:GetParameter", cloud.environment):
            answer = cloud.client("ssm").get_parameter(Name=reference.target, WithDecryption=True)
        value = str(answer["Parameter"]["Value"])
    else:
        value = _from_secrets_manager(reference.target, cloud)
    if not value:
        raise SoundbiteError("it is empty or not set")
    console.conceal(value)
    return value


def _from_secrets_manager(target: str, cloud: Cloud) -> str:
    name, _, key = target.partition("#")
    with explained("secretsmanager:GetSecretValue", cloud.environment):
        answer = cloud.client("secretsmanager").get_secret_value(SecretId=name)
    text = answer.get("SecretString")
    if text is None:
        raise SoundbiteError(f"{name} holds binary data, not text")
    console.conceal(text)
    if not key:
        return str(text)
    try:
        value = json.loads(text)[key]
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value)
    except (ValueError, KeyError, TypeError):
        raise SoundbiteError(f"{name} is not a JSON object with the key {key}") from None

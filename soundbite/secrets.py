"""Binding: references become values, at the last moment, and secrets are masked from then on."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from . import console
from .cloud import explained
from .environment import references
from .errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .cloud import Cloud
    from .environment import Reference, Setting


def bind(settings: Mapping[str, Setting], cloud: Cloud, output: Callable[[str], str]) -> dict[str, str]:
    """Bind settings to their values, secrets to their newest.

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


class Secret(NamedTuple):
    """A secret's value, and the version that names it: `version` is empty where there are none (`env:`)."""

    value: str
    version: str


def versions(settings: Mapping[str, Setting], cloud: Cloud) -> dict[str, list[str]]:
    """Return, by name, the reference and the newest version of each setting that is a secret.

    Raises
    ------
    ConfigurationError
        Some cannot be read: all of them at once.
    """
    wanted = {
        name: [str(setting.reference), ""]
        for name, setting in settings.items()
        if setting.reference is not None and setting.reference.secret
    }
    found = of_versions(wanted, cloud)
    return {name: [reference, found[name].version] for name, (reference, _) in wanted.items()}


def of_versions(wanted: Mapping[str, Sequence[str]], cloud: Cloud) -> dict[str, Secret]:
    """Return secrets in exactly the versions that are named.

    Parameters
    ----------
    wanted:
        By name, a reference and a version; "" for the newest.

    Raises
    ------
    ConfigurationError
        Some are gone: all of them at once.
    """
    found: dict[str, Secret] = {}
    problems: list[str] = []
    for name, (text, version) in wanted.items():
        reference = references.parse(text)
        assert reference is not None, "what is no reference was not kept as one"
        try:
            found[name] = _read(reference, cloud, version)
        except SoundbiteError as error:
            which = f" in version {version}" if version else ""
            problems.append(f"  {name}={text}{which}: {error.message}")
    if problems:
        raise ConfigurationError(
            f"{len(problems)} secret(s) of {cloud.environment.name} cannot be read. Nothing was changed.\n"
            + "\n".join(problems),
            "A version that is gone cannot come back: deploy with the newest instead."
            if any(version for _, version in wanted.values())
            else "Make them (aws secretsmanager create-secret, aws ssm put-parameter), or ask for the right to read.",
        )
    return found


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
    return _read(reference, cloud, "").value


def _read(reference: Reference, cloud: Cloud, version: str) -> Secret:
    if reference.kind == "env":
        found = Secret(os.environ.get(reference.target, ""), "")
    elif reference.kind == "ssm":
        name = f"{reference.target}:{version}" if version else reference.target
        with explained("ssm:GetParameter", cloud.environment):
            parameter = cloud.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]
        found = Secret(str(parameter["Value"]), str(parameter.get("Version", "")))
    else:
        found = _from_secrets_manager(reference.target, cloud, version)
    if not found.value:
        raise SoundbiteError("it is empty or not set")
    console.conceal(found.value)
    return found


def _from_secrets_manager(target: str, cloud: Cloud, version: str) -> Secret:
    name, _, key = target.partition("#")
    chosen = {"VersionId": version} if version else {}
    with explained("secretsmanager:GetSecretValue", cloud.environment):
        answer = cloud.client("secretsmanager").get_secret_value(SecretId=name, **chosen)
    text, version = answer.get("SecretString"), str(answer.get("VersionId", ""))
    if text is None:
        raise SoundbiteError(f"{name} holds binary data, not text")
    console.conceal(text)
    if not key:
        return Secret(str(text), version)
    try:
        value = json.loads(text)[key]
        if value is None:
            return Secret("", version)
        return Secret(value if isinstance(value, str) else json.dumps(value), version)
    except (ValueError, KeyError, TypeError):
        raise SoundbiteError(f"{name} is not a JSON object with the key {key}") from None

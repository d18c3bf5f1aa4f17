"""The processor's versions: published from what the stack deployed, and the alias that says which of them runs.

CloudFormation never moves the alias of a deployed environment (cdk/stacks/compute.py): whoever switches does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from soundbite.cloud import explained
from soundbite.environment import naming
from soundbite.errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from soundbite.cloud import Cloud

_UPDATE_TIMEOUT = 120.0


def name(cloud: Cloud, output: Callable[[str], str]) -> str | None:
    """Return the function's name; None where the environment has no processor."""
    if cloud.environment.processor.artifact is None:
        return None
    return output("Compute.FunctionName")


def named(cloud: Cloud, output: Callable[[str], str]) -> str | None:
    """Return the function's name as the stacks tell it; None where there is none, or none yet."""
    try:
        return name(cloud, output)
    except ConfigurationError:
        return None


def publish(cloud: Cloud, function: str) -> str:
    """Publish what is deployed as a version, unless it is one already; return its number.

    Raises
    ------
    SoundbiteError
        Lambda refuses, or is not done with the code within 120 s.
    """
    client = cloud.client("lambda")
    until = time.monotonic() + _UPDATE_TIMEOUT
    with explained("lambda:GetFunctionConfiguration", cloud.environment):
        while (found := client.get_function_configuration(FunctionName=function)).get("LastUpdateStatus") == (
            "InProgress"
        ):
            if time.monotonic() > until:
                raise SoundbiteError(f"Lambda is still updating {function} after {_UPDATE_TIMEOUT:.0f} s.")
            time.sleep(0.5)
    with explained("lambda:PublishVersion", cloud.environment):
        return str(client.publish_version(FunctionName=function, CodeSha256=found["CodeSha256"])["Version"])


def pointed(cloud: Cloud, function: str) -> str:
    """Return the version that the alias points to."""
    with explained("lambda:GetAlias", cloud.environment):
        return str(cloud.client("lambda").get_alias(FunctionName=function, Name=naming.ALIAS)["FunctionVersion"])


def point(cloud: Cloud, function: str, version: str) -> bool:
    """Point the alias to a version; return whether it pointed elsewhere before."""
    if pointed(cloud, function) == version:
        return False
    with explained("lambda:UpdateAlias", cloud.environment):
        cloud.client("lambda").update_alias(FunctionName=function, Name=naming.ALIAS, FunctionVersion=version)
    return True


def require(cloud: Cloud, function: str, version: str) -> None:
    """Refuse where a version is no longer there.

    Raises
    ------
    ConfigurationError
        It was deleted.
    """
    client = cloud.client("lambda")
    with explained("lambda:GetFunctionConfiguration", cloud.environment):
        try:
            client.get_function_configuration(FunctionName=function, Qualifier=version)
        except client.exceptions.ResourceNotFoundException:
            raise ConfigurationError(
                f"The processor's version {version} of {function} is gone. Nothing was changed.",
                "Deploy the release anew instead of going back to it.",
            ) from None

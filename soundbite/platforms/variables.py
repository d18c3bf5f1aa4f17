"""The variables of a deployed application: its own, and where its AWS is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite.environment import naming

if TYPE_CHECKING:
    from collections.abc import Mapping

    from soundbite.cloud import Cloud

_EMULATED = (
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_EC2_METADATA_DISABLED"),
)


def deployed(cloud: Cloud, bound: Mapping[str, str], *, listening: str) -> dict[str, str]:
    """Return the variables of a deployed application, none of them secret.

    The role of the host or the task opens AWS: no credentials of whoever deploys ever get there.

    Parameters
    ----------
    bound:
        Its own.
    listening:
        The address that it listens on in its container.
    """
    environment = cloud.environment
    aws = {"AWS_REGION": environment.aws.region, "AWS_DEFAULT_REGION": environment.aws.region}
    aws |= emulated(cloud) if environment.emulated else {}
    return {"ENVIRONMENT": environment.name, "HOST": listening, "PORT": str(naming.PORT), **aws, **bound}


def emulated(cloud: Cloud) -> dict[str, str]:
    """Return what leads to emulated AWS, in whatever process."""
    return {name: value for name, value in cloud.variables().items() if name in _EMULATED}

"""The guard of the rehearsal layer: nothing leads off this machine, and no credentials of others count."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Environment

_BRIDGES = ("docker", "br-")
"""What the names of Docker's bridges begin with: `docker0`, and `br-…` for networks made since."""

_WHOSE_AWS = (
    *("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "AWS_CONTAINER_CREDENTIALS",
)
"""What the names of variables begin with that tell the AWS SDKs where AWS is and who asks."""


def problems(environment: Environment) -> Iterator[str]:
    """Yield what in a rehearsed environment would leave this machine, a line each."""
    settings, aws = environment.settings, environment.aws
    if not environment.emulated:
        yield f"{settings['EMULATOR'].origin}: EMULATOR=none is AWS itself, and the rehearsal layer is on"
    elif environment.endpoint_url:
        embedded = environment.emulator.mode == "embedded"
        key = "EMULATOR_HOST" if embedded else "AWS_ENDPOINT_URL"
        host = environment.emulator.host if embedded else _host(environment.endpoint_url)
        if not on_this_machine(host):
            yield (
                f"{settings[key].origin}: {key} leads to {host}, which is neither loopback nor a bridge of a Docker "
                "engine on this machine, and the rehearsal layer is on (is the engine running?)"
            )
    if aws.profile:
        yield f"{settings['AWS_PROFILE'].origin}: AWS_PROFILE={aws.profile} lends credentials to a rehearsal; unset it"
    if aws.access_key_id != aws.account_id:
        yield (
            f"{settings['AWS_ACCESS_KEY_ID'].origin}: AWS_ACCESS_KEY_ID is not ${{AWS_ACCOUNT_ID}}: "
            "a rehearsal has no credentials but those that emulated AWS takes for the account"
        )
    repository = environment.image.repository
    if isinstance(repository, str) and not on_this_machine(_host(f"//{repository}")):
        yield f"{settings['IMAGE_REPOSITORY'].origin}: IMAGE_REPOSITORY={repository} is not on this machine"
    for setting in (*environment.app_env.values(), *environment.processor_env.values()):
        if setting.key.partition("_ENV_")[2].startswith(_WHOSE_AWS):
            yield f"{setting.origin}: {setting.key} would take the place of emulated AWS's own; unset it"


def on_this_machine(host: str) -> bool:
    """Tell whether a host is loopback or the address of a Docker bridge of this machine."""
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or str(address) in _bridge_addresses()


def _host(url: str) -> str:
    """Return the host of an address; of one that makes no sense, all of it, which is no machine's."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _bridge_addresses() -> set[str]:
    import psutil

    return {
        each.address
        for name, addresses in psutil.net_if_addrs().items()
        if name.startswith(_BRIDGES)
        for each in addresses
    }

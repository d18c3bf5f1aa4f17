"""The keys of a rehearsal: one to sign in with, one of each host, and the list of those that are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundbite import files, paths
from soundbite.errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from soundbite.environment import Environment

_HOST_KEY = "ssh_host_ed25519_key"


def client(environment: Environment) -> str:
    """Make the key to sign in with where it is missing; return its public half, as authorized_keys has it.

    Raises
    ------
    ConfigurationError
        HOSTS_KEY names no file.
    """
    return _ensured(_file(environment, "HOSTS_KEY", environment.hosts.key))


def host(folder: Path, authorized: str) -> str:
    """Fill the folder that a host has at /etc/ssh/keys; return the host's public key."""
    public = _ensured(folder / _HOST_KEY)
    folder.chmod(0o755)  # the host's sshd reads it as the user who signs in
    files.write(folder / "authorized_keys", f"{authorized}\n")
    return public


def know(environment: Environment, public: Mapping[str, str]) -> None:
    """Write the list of known hosts: the public key by address."""
    lines = [f"{address} {key}\n" for address, key in sorted(public.items())]
    files.write(_file(environment, "HOSTS_KNOWN_HOSTS", environment.hosts.known_hosts), "".join(lines))


def _file(environment: Environment, key: str, value: str | None) -> Path:
    if value is None:
        raise ConfigurationError(
            f"{environment.settings[key].origin}: {key} is empty, and a rehearsal has keys of its own.", "Unset it."
        )
    return paths.ROOT / value


def _ensured(path: Path) -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not path.exists():
        made = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        files.write(path, made.decode(), mode=0o600)
    try:
        private = serialization.load_ssh_private_key(path.read_bytes(), None)
    except ValueError as error:
        raise SoundbiteError(
            f"{path} is no private key: {error}", "Delete it; inv rehearse.up makes another."
        ) from None
    encoding, form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return private.public_key().public_bytes(encoding, form).decode()

"""Building images as the workflow does it: with BuildKit, and with the machine's certificates as a secret."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def certificates() -> Path | None:
    """Return the file of certificates that this machine trusts beside the usual ones, where it names any."""
    for name in ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"):
        path = os.environ.get(name, "")
        if path and Path(path).is_file():
            return Path(path)
    return None


def build(context: Path, *options: str, timeout: float = 170) -> None:
    """Build an image, or what `--output` says, from a folder with a Dockerfile."""
    ca = certificates()
    secrets = [f"--secret=id=ca,src={ca}"] if ca else []
    done = subprocess.run(
        ["docker", "buildx", "build", "--progress=plain", *secrets, *options, str(context)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr[-4000:]

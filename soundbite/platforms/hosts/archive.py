"""The agent as hosts get it: one archive that Python runs (`zipapp`), the same bytes for the same contents."""

from __future__ import annotations

import hashlib
import io
import zipfile
from base64 import b64encode
from functools import cache
from pathlib import Path

NAME = "agent.pyz"
_PACKAGE = Path(__file__).with_name("agent")
_MAIN = "import sys\n\nfrom agent.program import main\n\nsys.exit(main(sys.argv[1:]))\n"
_DIGEST = "agent/digest.py"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that an archive can hold."""


@cache
def content() -> bytes:
    """Return the archive."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in (_texts() | {_DIGEST: f'DIGEST = "{digest()}"\n'.encode()}).items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


@cache
def text() -> str:
    """Return the archive as text (base64), for stdin and for the ledger."""
    return b64encode(content()).decode()


@cache
def digest() -> str:
    """Return the SHA-256 of what the archive is made of, which the agent also tells of itself."""
    return hashlib.sha256(repr(_texts()).encode()).hexdigest()


def _texts() -> dict[str, bytes]:
    """Return its files but for the digest, by their names."""
    modules = {f"agent/{path.name}": path.read_bytes() for path in sorted(_PACKAGE.glob("*.py"))}
    return {"__main__.py": _MAIN.encode(), **modules, _DIGEST: b""}

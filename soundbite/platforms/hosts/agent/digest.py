"""What a host's agent tells of its version; the archive that hosts get has its own here (`archive.py`)."""

from __future__ import annotations

DIGEST = ""

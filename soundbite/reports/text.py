"""Texts of reports: secrets masked, and no character in them that a file format or a terminal chokes on."""

from __future__ import annotations

import math
import re
from typing import Any

from soundbite.console import redact

_NEWLINES = re.compile("\r\n?")
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def fit(text: str) -> str:
    """Return a text that may be written anywhere; what must not be in it becomes `*` or U+FFFD."""
    # Masked again: a secret of several lines may appear only as newlines become the same.
    return redact(_UNFIT.sub("\ufffd", _NEWLINES.sub("\n", redact(text))))


def fitted(value: object) -> Any:
    """Return a value that JSON can hold, with every text in it fit."""
    if isinstance(value, dict):
        return {fit(str(key)): fitted(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [fitted(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    plain = value is None or isinstance(value, bool | int | float)
    return value if plain else fit(str(value))

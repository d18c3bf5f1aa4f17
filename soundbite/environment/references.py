"""References: values that are written as a place to look, and bound at the last moment.

`secretsmanager:NAME#key`, `ssm:/path` and `env:NAME` are secrets; `output:Stack.Name` is an output of
one of the environment's own stacks. A secret itself never stands in an env file.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_FORMS = {
    "secretsmanager": (r"[\w/+=.@-]+(#[\w.-]+)?", "secretsmanager:NAME or secretsmanager:NAME#key"),
    "ssm": (r"/[\w./-]+", "ssm:/path"),
    "env": (r"[A-Za-z_]\w*", "env:NAME"),
    "output": (r"[A-Z]\w*\.[A-Z]\w*", "output:Stack.OutputName"),
}

_SECRET_NAMES = (
    *("SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "CREDENTIAL", "CREDENTIALS"),
    *("APIKEY", "API_KEY", "PRIVATEKEY", "PRIVATE_KEY"),
)
_SECRET_VALUES = {
    "-----BEGIN": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",  # PEM (RFC 7468)
    "AKIA": r"\bAKIA[A-Z0-9]{16}\b",  # AWS access key ids: IAM user guide, "unique ID prefixes"
    "ASIA": r"\bASIA[A-Z0-9]{16}\b",
    "gh": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",  # GitHub tokens
    "xox": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",  # Slack tokens
    "://": r"://[^/\s:@]+:[^/\s:@]+@",  # a password in an address
}
"""Patterns by a part that every match has: looking for the part is cheaper than compiling the pattern."""


class Reference(NamedTuple):
    """A place to look a value up: `kind` is one of secretsmanager, ssm, env, output."""

    kind: str
    target: str

    @property
    def secret(self) -> bool:
        """Whether what it leads to must never be shown."""
        return self.kind != "output"

    def __str__(self) -> str:
        return f"{self.kind}:{self.target}"


def parse(text: str) -> Reference | None:
    """Return the reference that `text` is, or None for a plain value.

    Raises
    ------
    ValueError
        The text begins like a reference but has not its form.
    """
    kind, colon, target = text.partition(":")
    if not colon or kind not in _FORMS:
        return None
    pattern, form = _FORMS[kind]
    if not re.fullmatch(pattern, target, re.ASCII):
        raise ValueError(f"is not of the form {form}")
    return Reference(kind, target)


def in_the_clear(key: str, text: str) -> bool:
    """Tell whether a plain value looks like a secret, by its key's name or its own shape."""
    if not text:
        return False
    if any(f"_{name}_" in f"_{key}_" for name in _SECRET_NAMES):
        return True
    return any(part in text and re.search(pattern, text) for part, pattern in _SECRET_VALUES.items())

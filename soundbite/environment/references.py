"""References: values that are written as a place to look, and bound at the last moment.

`secretsmanager:NAME#key`, `ssm:/path` and `env:NAME` are secrets; `output:Stack.Name` is an output of
one of the environment's own stacks. A secret itself never stands in an env file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_FORMS = {
    "secretsmanager": (re.compile(r"[\w/+=.@-]+(#[\w.-]+)?"), "secretsmanager:NAME or secretsmanager:NAME#key"),
    "ssm": (re.compile(r"/[\w./-]+"), "ssm:/path"),
    "env": (re.compile(r"[A-Za-z_]\w*"), "env:NAME"),
    "output": (re.compile(r"[A-Z]\w*\.[A-Z]\w*"), "output:Stack.OutputName"),
}

_SECRET_NAME = re.compile(
    r"(?:^|_)(?:SECRET|PASSWORD|PASSWD|PASSPHRASE|TOKEN|CREDENTIALS?|API_?KEY|PRIVATE_?KEY)(?:_|$)"
)
_SECRET_VALUE = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"  # PEM (RFC 7468)
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"  # AWS access key ids: IAM user guide, "unique ID prefixes"
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}\b"  # GitHub tokens
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"  # Slack tokens
    r"|://[^/\s:@]+:[^/\s:@]+@"  # a password in an address
)


@dataclass(frozen=True)
class Reference:
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
    if not pattern.fullmatch(target):
        raise ValueError(f"is not of the form {form}")
    return Reference(kind, target)


def in_the_clear(key: str, text: str) -> bool:
    """Tell whether a plain value looks like a secret, by its key's name or its own shape."""
    return bool(text) and bool(_SECRET_NAME.search(key) or _SECRET_VALUE.search(text))

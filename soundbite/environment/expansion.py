"""Expansion of `${NAME}` inside values, after all layers are merged.

The rules, the same in every file: `${NAME}` and `$NAME` are replaced, `${NAME:-default}` takes the
default where NAME is unset or empty, `$$` is one `$`, single quotes keep everything as written. An
unset name and a cycle are errors, because an empty string in their place is found in production.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .layers import Binding

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?:\$|\{{(?P<braced>{_NAME})(?P<fallback>:-[^}}]*)?\}}|(?P<bare>{_NAME})|(?P<broken>\{{))")


_DEEPEST = 50
"""Names that refer to one another in a row; Python's own end of recursion is not far behind."""


def expand(merged: Mapping[str, Binding], extra: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """Expand every value.

    Parameters
    ----------
    merged:
        The bindings that won.
    extra:
        Names that may be used in values though no layer sets them, such as `ENVIRONMENT`.
    problems:
        Where what is wrong goes, one line each, with the file and line of the value.

    Returns
    -------
    dict
        Each key that could be expanded, with its final text.
    """
    expander = _Expander(merged, extra, problems)
    for key in merged:
        expander.value_of(key, ())
    return expander.done


class _Broken(Exception):
    """The value cannot be expanded; why is among the problems."""


class _Expander:
    """The values that are done, and those that cannot be, while the others are expanded."""

    def __init__(self, merged: Mapping[str, Binding], extra: Mapping[str, str], problems: list[str]) -> None:
        self.done: dict[str, str] = {}
        self._failed: set[str] = set()
        self._merged, self._extra, self._problems = merged, extra, problems

    def value_of(self, key: str, chain: tuple[str, ...]) -> str | None:
        """Return a key's final text, or None if it has none; `chain` are the keys that led here."""
        if key not in self.done and key not in self._failed:
            binding = self._merged[key]
            try:
                self.done[key] = (
                    binding.value
                    if binding.literal
                    else _REFERENCE.sub(lambda match: self._replacement(match, (*chain, key)), binding.value)
                )
            except _Broken as broken:
                self._failed.add(key)
                if broken.args:
                    self._problems.append(f"{binding.origin}: {key} {broken}")
        return self.done.get(key)

    def _replacement(self, match: re.Match[str], chain: tuple[str, ...]) -> str:
        if match["broken"]:
            raise _Broken("has a '${' that is not closed (write $$ for a plain $)")
        name = match["braced"] or match["bare"]
        if name is None:
            return "$"
        if len(chain) > _DEEPEST:
            raise _Broken(f"refers to others more than {_DEEPEST} deep")
        if name in chain:
            raise _Broken(f"refers to itself: {' → '.join((*chain[chain.index(name) :], name))}")
        fallback = match["fallback"]
        if name in self._merged:
            found = self.value_of(name, chain)
            if found is None:
                raise _Broken
        elif name in self._extra or fallback is not None:
            found = self._extra.get(name, "")
        else:
            raise _Broken(f"uses {name}, which is not set (write $$ for a plain $)")
        return found or (fallback or ":-")[2:]

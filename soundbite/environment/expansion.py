"""Expansion of `${NAME}` inside values, after all layers are merged.

The rules, the same in every file: `${NAME}` and `$NAME` are replaced, `${NAME:-default}` takes the
default where NAME is unset or empty, `$$` is one `$`, single quotes keep everything as written. An
unset name and a cycle are errors, because an empty string in their place is found in production.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .layers import Binding

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"\$(?:\$|\{{(?P<braced>{_NAME})(?P<fallback>:-[^}}]*)?\}}|(?P<bare>{_NAME})|(?P<broken>\{{))")


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
    done: dict[str, str] = {}
    failed: set[str] = set()

    def value_of(key: str, chain: tuple[str, ...]) -> str | None:
        if key in done:
            return done[key]
        if key in failed:
            return None
        binding = merged[key]
        if binding.literal:
            done[key] = binding.value
            return binding.value
        chain = (*chain, key)
        broken = False

        def replace(match: re.Match[str]) -> str:
            nonlocal broken
            name = match["braced"] or match["bare"]
            if name is None:
                if match["broken"]:
                    problems.append(f"{binding.origin}: {key} has a '${{' that is not closed (write $$ for a plain $)")
                    broken = True
                return "$"
            fallback = match["fallback"]
            found: str | None = None
            if name in chain:
                problems.append(
                    f"{binding.origin}: {key} refers to itself: {' → '.join((*chain[chain.index(name) :], name))}"
                )
                broken = True
            elif name in merged:
                found = value_of(name, chain)
                broken = broken or found is None
            elif name in extra:
                found = extra[name]
            elif fallback is None:
                problems.append(f"{binding.origin}: {key} uses {name}, which is not set (write $$ for a plain $)")
                broken = True
            if not found and fallback is not None:
                return fallback[2:]
            return found or ""

        text = _REFERENCE.sub(replace, binding.value)
        if broken:
            failed.add(key)
            return None
        done[key] = text
        return text

    for key in merged:
        value_of(key, ())
    return done

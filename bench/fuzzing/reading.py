"""What settings mean by envs/README.md, read a second time: from its words, not from the workflow's code."""

from __future__ import annotations

import ipaddress
import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DIGITS, _LETTERS = "0123456789", "abcdefghijklmnopqrstuvwxyz"
_CAPITALS = _LETTERS.upper()
_WORD = _DIGITS + _LETTERS + _CAPITALS + "_"


class Wrong(Exception):
    """By the documentation it must be refused; why."""


def only(text: str, characters: str) -> bool:
    """Tell whether a text has some of these characters and no others."""
    return bool(text) and set(text) <= set(characters)


def variable(name: str) -> bool:
    """Tell whether a name is one that a variable can have, as shells and compose have it."""
    return only(name, _WORD) and name[0] not in _DIGITS


def seconds(text: str) -> float:
    """Read a duration: digits, perhaps with a fraction, and a unit."""
    number = text.rstrip(_LETTERS)
    whole, dot, fraction = number.partition(".")
    if text[len(number) :] not in _UNITS or not only(whole, _DIGITS) or (dot and not only(fraction, _DIGITS)):
        raise Wrong("no duration")
    return float(number) * _UNITS[text[len(number) :]]


def reference(text: str) -> bool:
    """Tell whether a text is a reference; one that only begins like one is wrong."""
    kind, colon, target = text.partition(":")
    name, hash_, key = target.partition("#")
    stack, _, output = target.partition(".")
    well = {
        "secretsmanager": only(name, _WORD + "/+=.@-") and (not hash_ or only(key, _WORD + ".-")),
        "ssm": target.startswith("/") and only(target[1:], _WORD + "./-"),
        "env": variable(target),
        "output": all(only(each, _WORD) and each[0] in _CAPITALS for each in (stack, output)),
    }
    if not colon or kind not in well:
        return False
    if not well[kind]:
        raise Wrong(f"no {kind} reference")
    return True


def value(kind: str, text: str) -> Any:
    """Return what a text is as a kind of the table; None where only its form is known."""
    if kind.startswith("duration from "):
        low, _, high = kind.removeprefix("duration from ").partition(" to ")
        found = seconds(text)
        _require(seconds(low) <= found <= seconds(high), f"no {kind}")
        return found
    bounds = {"port": "1 to 65535"}.get(kind, kind).split(" to ")
    if len(bounds) == 2 and all(only(each, _DIGITS) for each in bounds):  # noqa: PLR2004 - from and to
        _require(only(text, _DIGITS) and len(text) < 10 and int(bounds[0]) <= int(text) <= int(bounds[1]), f"no {kind}")  # noqa: PLR2004
        return int(text)
    if kind in _FORMS:
        _require(_FORMS[kind](text), f"no {kind}")
        return None
    options = kind.split(" / ")
    _require(text in options, f"no {kind}")
    return {"yes": True, "no": False}.get(text, int(text) if only(text, _DIGITS) else text)


def expanded(raw: Mapping[str, tuple[str, bool]], extra: Mapping[str, str]) -> dict[str, str]:
    """Expand values, each given with whether it was in single quotes; without recursion, so of any depth.

    Raises
    ------
    Wrong
        A name is not set, a brace not closed, or some values refer to each other in a circle.
    """
    waiting = {key: [text] if literal else _parts(text) for key, (text, literal) in raw.items()}
    for key, parts in waiting.items():
        if any(isinstance(each, tuple) and each[0] not in {*raw, *extra} and each[1] is None for each in parts):
            raise Wrong(f"{key} uses what is not set")
    done: dict[str, str] = {}
    while waiting:
        ready = [
            key
            for key, parts in waiting.items()
            if not any(each[0] in waiting for each in parts if isinstance(each, tuple))
        ]
        if not ready:
            raise Wrong("a circle")
        for key in ready:
            done[key] = "".join(
                each if isinstance(each, str) else done.get(each[0], extra.get(each[0], "")) or each[1] or ""
                for each in waiting.pop(key)
            )
    return done


def _parts(text: str) -> list[str | tuple[str, str | None]]:
    """Take a value apart: texts, and names with their defaults."""
    found: list[str | tuple[str, str | None]] = []
    while text:
        plain, dollar, text = text.partition("$")
        found.append(plain)
        name = re.match(r"[A-Za-z_][A-Za-z0-9_]*", text.removeprefix("{"))
        if text.startswith("{"):
            inside, closed, rest = text[1:].partition("}")
            default = inside[name.end() :] if name else ""
            if not closed or name is None or (default and not default.startswith(":-")):
                raise Wrong("a brace that is not closed")
            found.append((name[0], default[2:] if default else None))
            text = rest
        elif name:
            found.append((name[0], None))
            text = text[name.end() :]
        else:
            found.append(dollar)
            text = text.removeprefix("$") if dollar else text
    return found


def _require(well: bool, why: str) -> None:
    if not well:
        raise Wrong(why)


def _address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # ValueError where it is none
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _gateway(text: str) -> bool:
    if text == "ssm":
        return True
    _, _, place = text.rpartition("@")
    host, colon, port = place.rpartition(":")
    if colon and ":" not in host:
        return bool(host) and only(port, _DIGITS) and 1 <= int(port) <= 65535  # noqa: PLR2004 - ports
    return bool(place)


def _ip(text: str) -> bool:
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def _command(text: str) -> bool:
    try:
        return bool(shlex.split(text))
    except ValueError:
        return False


def _percentage(text: str) -> bool:
    whole, dot, fraction = text.removesuffix("%").partition(".")
    well = text.endswith("%") and only(whole, _DIGITS) and (not dot or only(fraction, _DIGITS))
    return well and float(text[:-1]) <= 100  # noqa: PLR2004 - what a hundred means here, everybody knows


def _secret(text: str) -> bool:
    return reference(text) and not text.startswith("output:")


def _repository(text: str) -> bool:
    if text.startswith("output:"):
        return reference(text)
    host, slash, name = text.partition("/")
    _, colon, port = host.partition(":")
    return bool(slash and name) and text.isascii() and text == text.lower() and (not colon or only(port, _DIGITS))


_FORMS: dict[str, Callable[[str], bool]] = {
    "text": lambda _: True,
    "words": lambda _: True,
    "command": _command,
    "12 digits": lambda text: only(text, _DIGITS) and len(text) == 12,  # noqa: PLR2004 - an account
    "AWS region": lambda text: only(text, _DIGITS + _LETTERS + "-") and text.count("-") > 1 and text[-1] in _DIGITS,
    "address": _address,
    "URL path": lambda text: text.startswith("/") and not set(text) & set(" \t\r\n?#"),
    "0% to 100%": _percentage,
    "IP address": _ip,
    "secret's reference": _secret,
    "repository": _repository,
    "user@address:port / ssm": _gateway,
    "certificate's ARN": lambda text: text.startswith("arn:aws") and text.count(":") == 5 and text.isascii(),  # noqa: PLR2004
    "name": lambda text: only(text, _WORD + "-"),
    "environment": lambda text: only(text, _DIGITS + _LETTERS + "-") and text[0] in _LETTERS,
}

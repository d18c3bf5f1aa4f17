"""How the text of a setting becomes a value: one parser a kind, each raising ValueError with a reason."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from . import references

if TYPE_CHECKING:
    from collections.abc import Callable

    from .references import Reference

_DURATION = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"
_DIGITS = 10
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Kind(NamedTuple):
    """A kind of value: its name in the documentation and its parser."""

    name: str
    parse: Callable[[str], Any]


def _matching(pattern: str, form: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text, re.ASCII):
            raise ValueError(f"must be {form}")
        return text

    return parse


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and low <= int(text) <= high):
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(text)

    return parse


def _flag(text: str) -> bool:
    if text not in {"yes", "no"}:
        raise ValueError("must be yes or no")
    return text == "yes"


def seconds(text: str) -> float:
    """Parse a duration such as `30s`, `5m` or `14d` into seconds."""
    match = re.fullmatch(_DURATION, text, re.ASCII)
    if not match:
        raise ValueError("must be a duration such as 500ms, 30s, 5m, 2h or 14d")
    return float(match[1]) * _SECONDS[match[2]]


def _duration(low: float, high: float, shown: str) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = seconds(text)
        if not low <= value <= high:
            raise ValueError(f"must be a duration {shown}")
        return value

    return parse


def _percentage(text: str) -> float:
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)%", text, re.ASCII)
    if not match or float(match[1]) > 100:  # noqa: PLR2004 - what a hundred means here, everybody knows
        raise ValueError("must be a percentage from 0% to 100%, such as 0.1%")
    return float(match[1])


def _command(text: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise ValueError(f"is not a command: {error}") from None
    if not words:
        raise ValueError("must be a command")
    return words


def _address(text: str) -> str:
    import ipaddress

    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address such as 127.0.0.1") from None


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", text) or not _has_host(text):
        raise ValueError("must be an address such as https://api.example.com")
    return text


def _gateway(text: str) -> str:
    matched = re.fullmatch(r"ssm|([\w.-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?", text, re.ASCII)
    if not matched or not _has_host(f"ssh://{text}"):
        raise ValueError("must be a jump host such as ops@bastion.example.com:22, or ssm")
    return text


def _has_host(url: str) -> bool:
    """Tell whether an address has a host, and a port that there is if it has one."""
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _secret(text: str) -> Reference:
    found = references.parse(text)
    if found is None or not found.secret:
        raise ValueError("must be a reference: secretsmanager:NAME#key, ssm:/path or env:NAME")
    return found


def _repository(text: str) -> str | Reference:
    found = references.parse(text) if text.startswith("output:") else None
    if found is None and not re.fullmatch(r"[a-z0-9.-]+(:\d+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+", text, re.ASCII):
        raise ValueError("must be a repository such as 127.0.0.1:5000/soundbite/api, or output:Stack.OutputName")
    return found or text


def words(text: str) -> tuple[str, ...]:
    """Split at white space."""
    return tuple(text.split())


TEXT = Kind("text", str)
FLAG = Kind("yes / no", _flag)
COMMAND = Kind("command", _command)
WORDS = Kind("words", words)
PORT = Kind("port", _integer(1, 65535))
ACCOUNT = Kind("12 digits", _matching(r"\d{12}", "an AWS account id of 12 digits"))
REGION = Kind("AWS region", _matching(r"[a-z]{2}(-[a-z]+)+-\d", "an AWS region such as eu-central-1"))
URL = Kind("address", _url)
URL_PATH = Kind("URL path", _matching(r"/[^\s?#]*", "a path beginning with /"))
PERCENTAGE = Kind("0% to 100%", _percentage)
HOST = Kind("IP address", _address)
SECRET = Kind("secret's reference", _secret)
REPOSITORY = Kind("repository", _repository)
GATEWAY = Kind(
    "user@address:port / ssm",
    _gateway,
)
CERTIFICATE = Kind(
    "certificate's ARN",
    _matching(
        r"arn:aws[a-z-]*:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+",
        "the ARN of a certificate such as arn:aws:acm:eu-central-1:123456789012:certificate/1234abcd-…",
    ),
)
COMPOSE_NAME = Kind("name", _matching(r"[a-z0-9][a-z0-9_-]{0,62}", "a name of lower-case letters, digits, - and _"))
PROJECT_NAME = Kind("name", _matching(r"[A-Za-z][A-Za-z0-9]{0,30}", "a name of up to 31 letters and digits"))
ENVIRONMENT_NAME = Kind("environment", _matching(r"[a-z][a-z0-9-]*", "an environment's name"))


def integer(low: int, high: int) -> Kind:
    """Return the kind of whole numbers from `low` to `high`."""
    return Kind(f"{low} to {high}", _integer(low, high))


def duration(low: float, high: float, shown: str) -> Kind:
    """Return the kind of durations from `low` to `high` seconds; `shown` puts the bounds in words."""
    return Kind(f"duration {shown}", _duration(low, high, shown))


def choice(*options: str) -> Kind:
    """Return the kind of values that are one of `options`."""

    def parse(text: str) -> str:
        if text not in options:
            raise ValueError(f"must be one of {', '.join(options)}")
        return text

    return Kind(" / ".join(options), parse)


def one_of_numbers(*options: int) -> Kind:
    """Return the kind of whole numbers that are one of `options`."""
    listed = choice(*map(str, options))
    return Kind(listed.name, lambda text: int(listed.parse(text)))

"""Flags whose text means something: durations, numbers, times. What is none is told with the flag's name."""

from __future__ import annotations

_DIGITS = 9


def seconds(flag: str, text: str) -> float:
    """Return a duration such as 90s or 10m in seconds; empty is none.

    Raises
    ------
    ConfigurationError
        It is no duration, or longer than a day.
    """
    from soundbite.environment import kinds
    from soundbite.errors import ConfigurationError

    if not text:
        return 0.0
    try:
        return float(kinds.duration(0, 86400, "from 0s to 24h").parse(text))
    except ValueError as error:
        raise ConfigurationError(f"{flag} {error}, not {text!r}.") from None


def number(flag: str, text: str) -> int:
    """Return a whole number, from 0 on.

    Invoke's own numbers are no help: what is none ends in a traceback.

    Raises
    ------
    ConfigurationError
        It is none.
    """
    from soundbite.errors import ConfigurationError

    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        shown = text if len(text) <= _DIGITS else f"{text[:_DIGITS]}…"
        raise ConfigurationError(f"{flag}={shown} is no number.", f"For example {flag}=2.")
    return int(text)


def moment(flag: str, text: str) -> str:
    """Return a date, or a time as RFC 3339 has it, as it is written; empty is none.

    Raises
    ------
    ConfigurationError
        It is neither.
    """
    from datetime import datetime

    from soundbite.errors import ConfigurationError

    try:
        well = not text or (text.isascii() and bool(datetime.fromisoformat(text)))
    except ValueError:
        well = False
    if not well:
        raise ConfigurationError(f"{flag}={text} is no time.", f"For example {flag}=2026-11-23T14:00:00Z.")
    return text

"""How long ago something was."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE = 60
_UNITS = ((86400, "d"), (3600, "h"), (_MINUTE, "min"))


def age(time: str) -> float | None:
    """Return how many seconds ago a time was (RFC 3339; UTC where it does not say); None if it is no time."""
    try:
        then = datetime.fromisoformat(time)
    except ValueError:
        return None
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return round((datetime.now(UTC) - then).total_seconds(), 1)


def ago(seconds: float | None) -> str:
    """Return how long ago something was, in words."""
    if seconds is None:
        return "at an unknown time"
    if seconds < -_MINUTE:
        return "in the future, by this machine's clock"
    if seconds < _MINUTE:
        return "just now"
    unit, word = next(each for each in _UNITS if seconds >= each[0])
    return f"{seconds // unit:.0f} {word} ago"


def now() -> str:
    """Return the time, RFC 3339 in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

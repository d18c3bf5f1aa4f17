"""What was found of an environment, in a few words a fact: for people, at a terminal and in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import checkout
from soundbite.ages import ago

if TYPE_CHECKING:
    from collections.abc import Callable

GOOD, BAD, UNKNOWN, PLAIN = "good", "bad", "unknown", "plain"
"""What somebody should think of a fact. Only what was found to be well is GOOD."""

_DIGITS = 12
_PARTS = ("deployment", "health", "alarms", "lock", "verdict")


class Fact(NamedTuple):
    """A text, and what to think of it."""

    text: str
    tone: str = PLAIN


def facts(told: dict[str, Any]) -> dict[str, Fact]:
    """Return what is known of an environment, by the name of each row; what is not known is `?`.

    Parameters
    ----------
    told:
        An environment as `overview` tells it.
    """
    account = Fact(str(told["account"])) if told["reached"] else Fact(f"not reached: {_line(told['problem'])}", BAD)
    found = {"account": account, **_deployment(told), "health": _of(told["health"], _health)}
    found["alarms"] = _of(told["alarms"], _alarms)
    found["lock"] = _of(told["lock"], _lock)
    for name, row in (("queue", "queue"), ("dead_letters", "dead letters")):
        part = told["queue"] if "unknown" in told["queue"] else told["queue"][name]
        found[row] = _of(part, _dead_letters if name == "dead_letters" else _depth)
    serving = told["deployment"] or {}
    found["verdict"] = (
        Fact("none") if told["verdict"] is None else _of(told["verdict"], lambda of: _verdict(of, serving))
    )
    return found


def reasons(told: dict[str, Any]) -> list[str]:
    """Return why something is unknown of an environment, each reason once."""
    name = told["environment"]
    if not told["reached"]:
        hint = f"\n  → {told['hint']}" if told["hint"] else ""
        return [f"{name}: {told['problem']}{hint}"]
    found: dict[str, list[str]] = {}
    queues = told["queue"] if "unknown" not in told["queue"] else {"queue": told["queue"]}
    for part, value in {**{part: told[part] for part in _PARTS}, **queues}.items():
        if value is not None and "unknown" in value:
            found.setdefault(value["unknown"], []).append(part.replace("_", " "))
    return [f"{name}: {', '.join(parts)}: {why}" for why, parts in found.items()]


def _deployment(told: dict[str, Any]) -> dict[str, Fact]:
    deployment = told["deployment"]
    rows = ("release", "digest", "commit", "deployed", "by")
    if deployment is None:
        nothing = "nothing runs" if told["local"] else "nothing deployed"
        return {"release": Fact(nothing), **dict.fromkeys(rows[1:], Fact("-"))}
    if "unknown" in deployment:
        return dict.fromkeys(rows, Fact("?", UNKNOWN))
    if "working_tree" in deployment:
        return {"release": Fact(f"working tree {deployment['working_tree']}"), **dict.fromkeys(rows[1:], Fact("-"))}
    state, bad = deployment["state"], deployment["bad"]
    doubts = [text for text in ("" if state == "verified" else state, bad and f"bad: {bad}") if text]
    release = f"{deployment['release']} ({', '.join([deployment['id'], *doubts])})"
    return {
        "release": Fact(release, BAD if bad else UNKNOWN if doubts else PLAIN),
        "digest": Fact(deployment["digest"].removeprefix("sha256:")[:_DIGITS]),
        "commit": Fact(deployment["commit"]),
        "deployed": Fact(ago(deployment["age_seconds"])),
        "by": Fact(who(deployment["who"])),
    }


def who(arn: str) -> str:
    """Return the last part of an ARN: whose it is."""
    return arn.replace(":", "/").rpartition("/")[2] or "?"


def _of(part: dict[str, Any], tell: Callable[[dict[str, Any]], Fact]) -> Fact:
    return Fact("?", UNKNOWN) if "unknown" in part else tell(part)


def _health(health: dict[str, Any]) -> Fact:
    if health["ok"]:
        return Fact(f"ok, {health['ms']} ms", GOOD)
    return Fact(_line(health["problem"]), BAD)


def _alarms(alarms: dict[str, Any]) -> Fact:
    count, defined, mute = len(alarms["in_alarm"]), alarms["defined"], len(alarms["without_data"])
    if not defined:
        return Fact("none defined", UNKNOWN)
    without = f", {mute} without data" if mute else ""
    if count:
        return Fact(f"{count} of {defined} in ALARM: {', '.join(alarms['in_alarm'])}{without}", BAD)
    return Fact(f"0 of {defined} in ALARM{without}", UNKNOWN if mute else GOOD)


def _lock(lock: dict[str, Any]) -> Fact:
    if lock["state"] == "free":
        return Fact("free")
    why = ": ".join(lock[name] for name in ("operation", "reason") if lock.get(name))
    text = f"{lock['state']}, {who(lock.get('who', ''))}, since {ago(lock['age_seconds']).removesuffix(' ago')}"
    tone = BAD if lock["state"] == "interrupted" else UNKNOWN
    return Fact(f"{text} ({why})" if why else text, tone)


def _depth(depth: dict[str, int]) -> Fact:
    more = [f"{depth[name]} {word}" for name, word in (("in_work", "in work"), ("delayed", "delayed")) if depth[name]]
    return Fact(", ".join([f"{depth['waiting']} waiting", *more]))


def _dead_letters(depth: dict[str, int]) -> Fact:
    count = sum(depth.values())
    return Fact(str(count), BAD if count else PLAIN)


def _verdict(verdict: dict[str, Any], serving: dict[str, Any]) -> Fact:
    doubts = []
    if not serving or "unknown" in serving or serving.get("id") != verdict["deployment"]:
        doubts.append(f"of {verdict['deployment'] or verdict['commit'] or 'nothing deployed'}")
    elif "working_tree" in serving and serving["working_tree"] != verdict["commit"]:
        doubts.append(f"of {verdict['commit']}")
    elif not checkout.is_clean(serving.get("working_tree", "")):
        doubts.append("of changes that may be others by now")
    if verdict["scope"]:
        doubts.append(str(verdict["scope"]))
    if not verdict["complete"]:
        doubts.append("not complete")
    tones = {"pass": PLAIN if doubts else GOOD, "fail": BAD}
    text = ", ".join([str(verdict["outcome"]), ago(verdict["age_seconds"]), *doubts])
    return Fact(text, tones.get(str(verdict["outcome"]), UNKNOWN))


def _line(text: str) -> str:
    return text.splitlines()[0] if text else "?"

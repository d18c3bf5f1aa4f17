"""What a check's clip leaves behind, and how it goes away: its claim, its item, its audio."""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from soundbite.checks import Debt, Failed, Scene, Warned
from soundbite.checks.asking import ask
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPOKEN_WITHIN = 5.0
_LANDED_WITHIN = 0.3
"""Seconds that a request which was under way when everything ended may take to make its clip."""


@contextmanager
def removed(scene: Scene, check: str, user: str, key: str) -> Iterator[None]:
    """Remove in the end what was made under an Idempotency-Key, however it ended.

    Raises
    ------
    Warned
        All was well but for the removal.
    """
    what = f"the clip of {user} with Idempotency-Key {key} (item {_claim_key(user, key)})"
    debt = Debt(check, what, lambda: _remove(scene, user, key, _LANDED_WITHIN))
    with suppress(SoundbiteError, Failed):
        # Where it will be is asked for before it is made: in the end there may be no time for more than removing it.
        _item(scene, _claim_key(user, key))
    scene.owe(debt)
    try:
        yield
    except BaseException:
        if not _remove(scene, user, key):
            scene.settle(debt)
        raise
    problem = _remove(scene, user, key)
    scene.settle(debt)
    if problem:
        raise Warned(f"works, but its clip could not be removed: {problem}")


def _remove(scene: Scene, user: str, key: str, landing: float = 0.0) -> str:
    """Return why it could not be removed; empty: it is.

    Parameters
    ----------
    landing:
        Seconds that are waited for it to be there at all.
    """
    try:
        claim = _claim_key(user, key)
        until = time.monotonic() + landing
        while not (clip := _item(scene, claim).get("clipId", "")) and time.monotonic() < until:
            time.sleep(0.05)
        if clip:
            item = _spoken(scene, f"clip#{clip}")
            if "s3Key" in item:
                ask(scene, "s3", "delete_object", Bucket=scene.output("Storage.BucketName"), Key=item["s3Key"])
            for each in (f"clip#{clip}", claim):
                table = scene.output("Database.TableName")
                ask(scene, "dynamodb", "delete_item", TableName=table, Key={"pk": {"S": each}})
    except SoundbiteError as error:
        return error.message
    except Failed as failed:
        return str(failed)
    return ""


def _spoken(scene: Scene, key: str) -> dict[str, str]:
    """Return a clip's item, once nobody works on it any more: the processor holds a message without a clip for lost."""
    end = time.monotonic() + _SPOKEN_WITHIN
    while (item := _item(scene, key)).get("status") == "pending":
        if time.monotonic() > end:
            raise Failed("it is still pending")
        time.sleep(0.2)
    return item


def _item(scene: Scene, key: str) -> dict[str, str]:
    """Return the texts of an item; empty: there is none."""
    table = scene.output("Database.TableName")
    found = ask(scene, "dynamodb", "get_item", TableName=table, Key={"pk": {"S": key}}, ConsistentRead=True)
    item: dict[str, dict[str, Any]] = found.get("Item", {})
    return {name: str(value["S"]) for name, value in item.items() if "S" in value}


def _claim_key(user: str, key: str) -> str:
    """As `claimKey` in src/clips/idempotency.ts has it."""
    told = json.dumps([user, key], separators=(",", ":"), ensure_ascii=False)
    return f"idempotency#{hashlib.sha256(told.encode()).hexdigest()}"

"""Many clips at once from several customers: all are spoken, none twice, and all outlive a stop."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

import httpx

from bench.customer import Customer
from bench.table import Row
from soundbite.cloud import explained
from soundbite.errors import SoundbiteError
from soundbite.infrastructure import stacks

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.local import Local
    from bench.stand import Stand

_CUSTOMERS = 8
_DEADLINE = 240.0
"""Seconds for all clips together."""

_REFUSED = "refused"


@dataclass(frozen=True)
class Tally:
    """How often each clip was spoken and how many objects it has in S3, by its id; from AWS, not from the API."""

    spoken: dict[str, int]
    objects: Counter[str]

    def twice(self, clips: list[str]) -> int:
        """Return how many clips were spoken more than once, or have more than one object."""
        return sum(self.spoken.get(each, 0) > 1 or self.objects[each] > 1 for each in clips)

    def lost(self, clips: list[str]) -> int:
        """Return how many clips were never spoken, or have no object."""
        return sum(self.spoken.get(each, 0) == 0 or self.objects[each] == 0 for each in clips)


def measure(stand: Stand) -> list[Row]:
    """Post clips from eight customers at once, count in AWS what became of them, and again after down and up."""
    local = stand.local()
    count = stand.times(500, quick=60)
    started = time.perf_counter()
    statuses, clips = _post_all(local.url, count)
    took = time.perf_counter() - started
    how = f"{count / took:.0f} clips/s; counted in DynamoDB and S3"
    first = _row(f"{count} clips posted by {_CUSTOMERS} at once", count, statuses, clips, _tally(local), how)

    local.down()
    back = local.up()
    again = _ask_all(local.url, clips)
    kept = _row("… after `dev.down` and up again", count, again, clips, _tally(local), f"up in {back:.1f} s")
    return [first, kept]


def _row(what: str, count: int, statuses: Counter[str], clips: list[str], tally: Tally, how: str) -> Row:
    twice, lost = tally.twice(clips), tally.lost(clips) + count - len(clips)
    ready = statuses["ready"]
    others = "".join(f", {number} {status}" for status, number in statuses.items() if status != "ready")
    return Row(
        what,
        target="all ready, none lost, none twice",
        measured=f"{ready} ready, {lost} lost, {twice} twice{others}",
        ok=ready == count and len(set(clips)) == count and not lost and not twice,
        how=how,
    )


def _post_all(url: str, count: int) -> tuple[Counter[str], list[str]]:
    """Return how often each last status came, and the ids of the clips that were accepted."""
    until = time.monotonic() + _DEADLINE

    def customer(share: range, leave: Event) -> list[tuple[str, str]]:
        with Customer(url, leave) as one:
            clips = [_post(one, number) for number in share if not leave.is_set()]
            return [(one.wait(clip, until) if clip else _REFUSED, clip) for clip in clips]

    found = [each for each in _at_once(customer, count) if not isinstance(each, Exception)]
    return Counter(status for status, _ in found), [clip for _, clip in found if clip]


def _ask_all(url: str, clips: list[str]) -> Counter[str]:
    """Return how often each status comes when every clip is asked for once."""

    def customer(share: range, leave: Event) -> list[str]:
        with Customer(url) as one:
            return [one.status(clips[number]) for number in share if not leave.is_set()]

    return Counter(_at_once(customer, len(clips)))


def _at_once(customer: Callable[[range, Event], list[Any]], count: int) -> list[Any]:
    """Give each of the customers its share of some numbers, all at once; an interruption makes them leave."""
    leave = Event()
    with ThreadPoolExecutor(_CUSTOMERS) as pool:
        jobs = [pool.submit(customer, range(first, count, _CUSTOMERS), leave) for first in range(_CUSTOMERS)]
        try:
            return [each for job in jobs for each in job.result()]
        finally:
            leave.set()


def _post(customer: Customer, number: int) -> str:
    """Post one clip; return its id, or nothing if it was refused."""
    try:
        return customer.post(f"Crowd clip number {number}.")
    except (SoundbiteError, httpx.HTTPError):
        return ""


def _tally(local: Local) -> Tally:
    cloud = local.cloud()
    output = stacks.outputs(cloud)
    spoken: dict[str, int] = {}
    objects: Counter[str] = Counter()
    with explained("dynamodb:Scan", cloud.environment):
        pages = cloud.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(TableName=output("Database.TableName"), ConsistentRead=True):
            for item in page["Items"]:
                kind, _, clip = item["pk"]["S"].partition("#")
                if kind == "clip":
                    spoken[clip] = int(item.get("spoken", {"N": "0"})["N"])
    with explained("s3:ListBucket", cloud.environment):
        pages = cloud.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=output("Storage.BucketName"), Prefix="clips/"):
            objects.update(each["Key"].removeprefix("clips/").partition(".")[0] for each in page.get("Contents", []))
    return Tally(spoken, objects)

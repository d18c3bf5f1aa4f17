"""Our host steps as a process of their own: python ours.py CHECKOUT ORDER.json; prints seconds by step."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

_STARTED = time.perf_counter()


def main(order: dict[str, Any]) -> dict[str, float]:
    """Stage, switch, prove and drain one deployment on one host, as `inv deploy` does once all is decided."""
    from soundbite import environment as environments
    from soundbite.platforms.hosts import Host, Remotes, bundle
    from soundbite.platforms.hosts.rollout import Rollout

    environment = environments.load(order["environment"], rehearsal=True)
    host = Host(order["address"], order["address"], order["address"], order["port"])
    plan = {**order["plan"], **bundle.ground(environment)}
    marks = [("imports and settings", time.perf_counter())]
    with Remotes([host], environment) as remotes:
        rollout = Rollout(remotes, plan, order["token"], lambda _: None)
        for remote in remotes.all:
            remote.status()
        marks.append(("connect and status", time.perf_counter()))
        rollout.stage(order["secrets"], None)
        marks.append(("stage", time.perf_counter()))
        rollout.switch()
        marks.append(("switch", time.perf_counter()))
        rollout.prove()
        marks.append(("prove", time.perf_counter()))
        failures = rollout.drain()
        marks.append(("drain", time.perf_counter()))
    if failures:
        raise failures[0]
    before = [_STARTED, *(at for _, at in marks)]
    return {name: round(at - begin, 3) for (name, at), begin in zip(marks, before, strict=False)}


if __name__ == "__main__":
    sys.path[0] = sys.argv[1]
    print(json.dumps(main(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))))

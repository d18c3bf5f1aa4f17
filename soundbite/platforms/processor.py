"""The processor beside a local application: its log shown here, its new code given to the emulated function.

Run as `python -m soundbite.platforms.processor ENVIRONMENT`, a process of its own like the application.
"""

from __future__ import annotations

import io
import signal
import sys
import time
import zipfile
from typing import TYPE_CHECKING

from soundbite import application, console, files, paths
from soundbite.cloud import Cloud, explained
from soundbite.environment import naming
from soundbite.errors import SoundbiteError
from soundbite.processes import Process

if TYPE_CHECKING:
    from pathlib import Path

    from soundbite.environment import Environment

NAME = "processor"
STOP_GRACE = 2.0

_POLL = 0.5
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The oldest time a zip file can hold: the same code makes the same bytes."""


def process(environment: Environment) -> Process:
    """Return the process that follows the processor."""
    return Process(NAME, environment.state)


def start(environment: Environment, cloud: Cloud, function: str, log_group: str) -> bool:
    """Start following, unless it runs already for the same function.

    Returns
    -------
    bool
        Whether it was started now.
    """
    follower = process(environment)
    record = follower.record()
    notes = {"function": function, "log_group": log_group, "endpoint": environment.endpoint_url}
    if follower.pid() is not None and record is not None and notes.items() <= record.items():
        return False
    follower.stop(STOP_GRACE)
    argv = [sys.executable, "-m", __name__, environment.name, function, log_group]
    # The settings as they are now, whatever the process's own variables will be.
    local = {
        name: each.text for name, each in environment.settings.items() if each.origin.source in {"process", "--set"}
    }
    follower.start(argv, env=cloud.variables() | local, cwd=paths.ROOT, notes=notes)
    return True


def replace_code(cloud: Cloud, function: str, folder: Path) -> str:
    """Give the function the code in a folder, and move its alias to it.

    Returns
    -------
    str
        The new version.
    """
    client = cloud.client("lambda")
    with explained("lambda:UpdateFunctionCode", cloud.environment):
        client.update_function_code(FunctionName=function, ZipFile=archive(folder))
        client.get_waiter("function_updated_v2").wait(FunctionName=function)
        version = str(client.publish_version(FunctionName=function)["Version"])
        client.update_alias(FunctionName=function, Name=naming.ALIAS, FunctionVersion=version)
    return version


def archive(folder: Path) -> bytes:
    """Return a zip file of a folder; the same content gives the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archived:
        for path in files.matching(folder, ["*"]):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.external_attr = 0o644 << 16
            archived.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def follow(environment: Environment, function: str, log_group: str) -> None:
    """Print the function's log, and on emulated AWS replace its code when the build has changed; until ended."""
    cloud = Cloud(environment)
    folder = application.processor(environment)
    build = _Build(folder)
    current = build.digest()
    seen: set[str] = set()
    since = int(time.time() * 1000)
    troubled = ""
    while True:
        time.sleep(_POLL)
        try:
            since = _print_new(cloud, log_group, since, seen)
            changed = build.digest()
            # Twice the same: the build has finished writing.
            if environment.emulated and folder is not None and changed != current:
                time.sleep(_POLL / 2)
                if changed and changed == build.digest():
                    version = replace_code(cloud, function, folder)
                    current = changed
                    console.result(f"new code is live as version {version}")
            troubled = ""
        except SoundbiteError as error:
            if error.message != troubled:
                troubled = error.message
                console.result(error.message)


class _Build:
    """What the build has left in a folder, looked at twice a second: read only when its files have other times."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._times: list[tuple[Path, int, int]] = []
        self._digest = ""

    def digest(self) -> str:
        """Return the digest of its files; empty: there are none, or they change at the moment."""
        if self._folder is None:
            return ""
        try:
            found = [(path, path.stat()) for path in files.matching(self._folder, ["*"])]
            times = [(path, stat.st_mtime_ns, stat.st_size) for path, stat in found]
            if times != self._times:
                self._digest = files.digest(self._folder, ["*"])
                self._times = times
        except FileNotFoundError:
            return ""
        return self._digest


def _print_new(cloud: Cloud, log_group: str, since: int, seen: set[str]) -> int:
    """Print what has come since a time in ms; return the time to ask from next."""
    client = cloud.client("logs")
    latest = since
    with explained("logs:FilterLogEvents", cloud.environment):
        try:
            pages = client.get_paginator("filter_log_events").paginate(logGroupName=log_group, startTime=since)
            for page in pages:
                for event in page["events"]:
                    # The emulator gives events no id.
                    known = event.get("eventId") or f"{event['logStreamName']} {event['timestamp']} {event['message']}"
                    if known not in seen:
                        seen.add(known)
                        _print_event(event["message"])
                    latest = max(latest, event["timestamp"])
        except client.exceptions.ResourceNotFoundException:
            return since  # the group is made by the first message
    if len(seen) > _REMEMBERED:
        seen.clear()
        latest += 1
    return latest


_REMEMBERED = 50_000
_LAMBDA_OWN = ("START ", "END ", "REPORT ")


def _print_event(message: str) -> None:
    for line in message.rstrip().splitlines():
        if not line.startswith(_LAMBDA_OWN):
            console.result(line)


def _main() -> None:
    from soundbite import environment

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    name, function, log_group = sys.argv[1:]
    follow(environment.load(name), function, log_group)


if __name__ == "__main__":
    _main()

"""Where a campaign happens: an environment rehearsed on three hosts, with a wire to AWS and somebody else beside it."""

from __future__ import annotations

import json
import tempfile
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.campaign.plan import HOSTS
from bench.campaign.wire import Wire
from soundbite import console
from tests.conftest import copied
from tests.containers.rehearsals import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTINGS = {"LOCK_LEASE": "3s", "HOSTS_DRAIN": "1s", "APP_START_TIMEOUT": "10s"}


@dataclass
class Stage:
    """The environment, and what is known to serve.

    Attributes
    ----------
    elsewhere:
        The same environment from another checkout.
    content:
        The service that serves, by its name.
    serving:
        Its deployment, as the ledger has it.
    verified:
        The names of services that may serve: those that were deployed well.
    secrets:
        What must be seen nowhere.
    """

    place: Rehearsal
    elsewhere: Rehearsal
    wire: Wire
    secrets: list[str]
    content: str = ""
    serving: dict[str, Any] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)

    def ledger(self) -> str:
        """Return everything that the ledger holds, as text."""
        client = self.place.aws("dynamodb")
        names = [each for each in client.list_tables()["TableNames"] if each.endswith("-ledger")]
        return json.dumps([client.scan(TableName=each)["Items"] for each in names], default=str)

    def files(self) -> Iterator[Path]:
        """Yield the files that the workflow has written here: logs, records, caches; not emulated AWS's own."""
        for root in (self.place.checkout.root / ".soundbite", Path(self.place.variables["STATE_DIR"])):
            for each in root.rglob("*"):
                if each.is_file() and "emulator" not in each.relative_to(root).parts and not each.is_symlink():
                    yield each


@contextmanager
def stage(hosts: int = HOSTS) -> Iterator[Stage]:
    """Give a stage on which two releases were deployed well; everything of it is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="soundbite-faults-") as name:
        folder, unique = Path(name), f"sbtest-{uuid.uuid4().hex[:10]}"
        place = rehearsal(copied(folder / "project"), unique, folder / "home", folder / "state")
        place.variables |= _SETTINGS
        wire = Wire(int(place.variables["EMULATOR_PORT"]))
        try:
            with console.step("stage") as step:
                step.progress = f"{hosts} hosts"
                place.up(hosts)
                place.variables |= {"EMULATOR": "external", "AWS_ENDPOINT_URL": wire.url}
                place.deploy("first")
                place.deploy("second")
                step.detail = ", ".join(place.hosts)
            made = Stage(place, place.another("elsewhere"), wire, _secrets(place), "second")
            made.verified = {"first", "second"}
            made.serving = next(each for each in place.json("history") if each["serving"])
            yield made
        finally:
            for key in ("EMULATOR", "AWS_ENDPOINT_URL"):
                place.variables.pop(key, None)
            with console.step("away with it"):
                place.down()
                wire.close()


def _secrets(place: Rehearsal) -> list[str]:
    client = place.aws("secretsmanager")
    texts = [
        client.get_secret_value(SecretId=each["ARN"])["SecretString"] for each in client.list_secrets()["SecretList"]
    ]
    found = [str(value) for text in texts for value in json.loads(text).values()]
    assert found, "there are secrets to look for"
    return found

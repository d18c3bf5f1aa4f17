"""A short fault campaign, of what has the most ways to go wrong; and that its judge can say no."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.campaign.command import Campaign
from bench.campaign.judging import judge
from bench.campaign.performing import Performed
from bench.campaign.plan import CONFIGURATION, RELEASE, ROLLBACK, Blow
from bench.campaign.stage import Stage, stage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(1200)]

BLOWS = [
    Blow(1, RELEASE, "", "tool gets SIGKILL", "switch", 0.0, 1.0, 1, "--resume", elsewhere=True),
    Blow(2, CONFIGURATION, "", "second operator", "compare", 0.0, 1.0, 1, "--abort", elsewhere=False),
    Blow(3, ROLLBACK, "", "AWS fails", "examine", 0.0, 2.0, 1, "--abort", elsewhere=False),
]


@pytest.fixture(scope="module")
def place(engine: str) -> Iterator[Stage]:
    with stage(hosts=1) as made:
        yield made


def test_whatever_strikes_something_verified_serves_and_everybody_agrees(place: Stage, tmp_path: Path) -> None:
    campaign = Campaign(0, tmp_path)
    campaign.go(place, BLOWS)
    assert [each["violations"] for each in campaign.rows] == [[]] * len(BLOWS)
    killed = campaign.rows[0]
    assert (killed["code"], killed["struck"]) == (-9, True)
    assert campaign.requests > 500


def test_the_judge_sees_what_is_wrong(place: Stage) -> None:
    before = place.serving["id"]
    nothing = Blow(9, CONFIGURATION, "", "none", "stage", 0.0, 0.0, 1, "--abort", elsewhere=False)
    secret = place.secrets[0]
    done = Performed(
        0, f"Traceback (most recent call last): {secret}", 1.0, True, "never", True, None, "", [secret[:4]]
    )
    found, _ = judge(place, nothing, done, ["10.0.0.1: 502 b''"])
    kinds = {each.partition(":")[0] for each in found}
    assert kinds == {"hang", "words", "secret", "code", "clients"}, found
    # A host that serves something else than the ledger says.
    older = next(each for each in place.place.json("hosts.list")[0]["deployments"] if each != before)
    place.place.run("hosts.switch", "--offline", f"--to={older}", "--confirm=dev-aws-deployed")
    well = Performed(1, "✗ ", 1.0, False, "", True, None, "", [])
    found, how = judge(place, nothing, well, [])
    assert any(each.startswith("agree: ") for each in found), found
    assert how == "free, converged"
    assert place.serving["id"] == before

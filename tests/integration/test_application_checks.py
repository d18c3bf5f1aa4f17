"""SoundBite's own checks and those of its address, against a SoundBite that works."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from soundbite import checks, environment
from soundbite.checks import Load, Outcome, Scene, Verdict, Wishes
from soundbite.cloud import Cloud

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.conftest import Dev

SKIPPED = {
    "api.tls": "APP_URL is http",
    "api.headers": "is for deployed only",
    "api.cors_refused": "APP_ENV_CORS_ORIGINS is *",
    "api.rate_limit_refuses": "limit 100000 needs too many requests",
}
GROUPS = {"identity", "api", "journey", "performance"}


def scene_of(dev: Dev, keep: Path) -> Scene:
    """Return the scene of a local environment."""
    loaded = environment.load(dev.env, dev.inv.variables)
    return Scene(loaded, Cloud(loaded), keep, wishes=Wishes(load=Load(40, 0.6)))


@pytest.fixture(scope="module")
def scene(running: Dev, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return the scene of what runs."""
    return scene_of(running, tmp_path_factory.mktemp("keep"))


@pytest.fixture(scope="module")
def verdicts(scene: Scene) -> dict[str, Verdict]:
    """Run everything at once, as `inv validate` does."""
    checks.load_modules(["app.checks"])
    chosen = [each for each in checks.choose() if each.group in GROUPS]
    return {each.check: each for each in checks.run(chosen, scene)}


def test_a_working_application_passes_or_skips_for_the_right_reason(verdicts: dict[str, Verdict]) -> None:
    mine = GROUPS - {"identity"}
    found = {name: each for name, each in verdicts.items() if each.group in mine or name == "identity.health"}
    assert {name: each.message for name, each in found.items() if each.outcome is Outcome.SKIP} == SKIPPED
    wrong = [each for each in found.values() if each.outcome not in {Outcome.PASS, Outcome.SKIP}]
    assert not wrong
    assert len(found) - len(SKIPPED) == 13


def test_the_audio_is_kept(verdicts: dict[str, Verdict], scene: Scene) -> None:
    name = verdicts["journey.clip"].data["audio"]
    assert (scene.keep / name).stat().st_size > 1000


def test_the_journeys_leave_nothing_behind(verdicts: dict[str, Verdict], scene: Scene) -> None:
    assert verdicts["journey.idempotent"].outcome is Outcome.PASS
    items = scene.cloud.client("dynamodb").scan(TableName=scene.output("Database.TableName"))
    assert items["Count"] == 0
    objects = scene.cloud.client("s3").list_objects_v2(Bucket=scene.output("Storage.BucketName"))
    assert objects["KeyCount"] == 0


def test_a_clip_that_cannot_be_removed_is_a_warning(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def outputs(name: str) -> str:
        return "no-such-table" if name == "Database.TableName" else real(name)

    real = scene.output
    monkeypatch.setattr(scene, "output", outputs)
    verdict = checks.run(checks.choose(["journey.idempotent"]), scene)[0]
    assert verdict.outcome is Outcome.WARN
    assert verdict.message.startswith("works, but its clip could not be removed: ")


@pytest.mark.usefixtures("stocked")
def test_a_small_rate_limit_and_listed_origins(dev: Dev) -> None:
    more = {"APP_ENV_RATE_LIMIT": "60", "APP_ENV_CORS_ORIGINS": "https://a.example,https://b.example"}
    dev.variables = more | {"APP_ENV_RATE_WINDOW_SECONDS": "15"}
    dev.up()
    checks.load_modules(["app.checks"])
    ids = ("api.cors", "api.cors_refused", "api.errors", "api.rate_limit", "api.rate_limit_refuses", "journey.clip")
    verdicts = checks.run(checks.choose(ids), scene_of(dev, dev.state))
    assert [(each.check, each.message) for each in verdicts if each.outcome is not Outcome.PASS] == []
    # The limit is used up, and who validates again at once still finds all well.
    with httpx.Client() as client:  # a new one for each request costs more than the window has time for
        answers = (client.get(f"{dev.url}/soundbite/no-uuid").status_code for _ in range(200))
        assert 429 in answers
    again = checks.run(checks.choose(["api.rate_limit", "api.errors", "journey.clip"]), scene_of(dev, dev.state))
    assert {each.outcome for each in again} == {Outcome.PASS}, again
    done = dev.inv("validate", f"--env={dev.env}", "--json", "--only=performance,api.rate_limit_refuses")
    assert done.returncode == 0, done.stdout + done.stderr
    refused = next(each for each in json.loads(done.stdout)["checks"] if each["id"] == "api.rate_limit_refuses")
    assert refused["message"].startswith("429 after ")

"""What the checks of a release say of hosts that are missing, silent, or serve something else."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.checks import Outcome, Scene, Verdict, release
from soundbite.checks.model import REGISTRY
from soundbite.checks.running import judge
from soundbite.cloud import Cloud
from soundbite.platforms import hosts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SERVING = SimpleNamespace(id="staging-7", image="registry/api@sha256:77")
SERVED: dict[str, Any] = {"deployment": "staging-7", "state": "running", "image": SERVING.image, "restarts": 0}
WELL = {"serving": SERVED, "free": 2**40}
STALE = {**WELL, "serving": {**SERVED, "deployment": "staging-6", "image": "registry/api@sha256:66"}}


class Ec2:
    """EC2 with instances of some states, as DescribeInstances filters them."""

    def __init__(self, states: dict[str, str]) -> None:
        self._states = states

    def get_paginator(self, _: str) -> Ec2:
        """Return what pages."""
        return self

    def paginate(self, Filters: list[dict[str, Any]]) -> list[dict[str, Any]]:  # noqa: N803 - as boto3 has it
        """Return the one page."""
        wanted = next(each["Values"] for each in Filters if each["Name"] == "instance-state-name")
        found = [
            {
                "InstanceId": f"i-{name}",
                "PrivateIpAddress": "10.0.0.1",
                "State": {"Name": state},
                "Tags": [{"Key": "Name", "Value": name}],
            }
            for name, state in self._states.items()
            if state in wanted
        ]
        return [{"Reservations": [{"Instances": found}]}]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Verdict]:
    """Return a function that runs a check where EC2 has some instances, and each tells something of itself."""

    def run(id: str, states: dict[str, str], told: dict[str, Any], **settings: str) -> Verdict:
        loaded = environment.load("staging", {"STATE_DIR": str(tmp_path), **settings})
        cloud = Cloud(loaded)
        monkeypatch.setattr(cloud, "client", lambda _: Ec2(states))
        monkeypatch.setattr(release, "serving", lambda _: SERVING)

        def look(remote: hosts.Remote) -> dict[str, Any]:
            answer = told[remote.host.name]
            if isinstance(answer, str):
                raise hosts.HostFailed(remote.host, answer)
            return dict(answer)

        monkeypatch.setattr(release, "_look", look)
        return judge(REGISTRY.checks[id], Scene(loaded, cloud, tmp_path))

    return run


@pytest.mark.parametrize("state", ["stopped", "stopping", "pending"])
def test_a_host_that_does_not_run_is_missed(judged: Callable[..., Verdict], state: str) -> None:
    states = {"api-1": "running", "api-2": state}
    verdict = judged("release.hosts", states, {"api-1": WELL}, HOSTS_COUNT="2")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.message == f"1 of the 2 hosts that HOSTS_COUNT asks for run; api-2 is {state}"
    verdict = judged("release.hosts", states, {"api-1": WELL}, HOSTS_COUNT="0")
    assert (verdict.outcome, verdict.message) == (Outcome.FAIL, f"api-2 is {state}")


def test_a_host_that_is_gone_is_missed(judged: Callable[..., Verdict]) -> None:
    states = {"api-1": "running", "api-2": "terminated"}
    verdict = judged("release.hosts", states, {"api-1": WELL}, HOSTS_COUNT="2")
    assert verdict.outcome is Outcome.FAIL
    assert verdict.message == "1 of the 2 hosts that HOSTS_COUNT asks for run"
    verdict = judged("release.hosts", states, {"api-1": WELL}, HOSTS_COUNT="0")
    assert (verdict.outcome, verdict.message) == (Outcome.PASS, "api-1 serve staging-7")


def test_no_host_at_all_is_a_failure(judged: Callable[..., Verdict]) -> None:
    verdict = judged("release.hosts", {"api-1": "stopped"}, {}, HOSTS_COUNT="1")
    assert verdict.outcome is Outcome.FAIL
    assert "staging has no hosts" in verdict.message
    assert verdict.message.endswith("; api-1 is stopped")


@pytest.mark.parametrize(
    ("id", "words"),
    [
        ("release.hosts", "api-1 serves staging-6, not staging-7"),
        ("release.digest", "api-1 runs registry/api@sha256:66, not sha256:77"),
    ],
)
def test_a_silent_host_hides_no_wrong_one(judged: Callable[..., Verdict], id: str, words: str) -> None:
    states = {"api-1": "running", "api-2": "running"}
    verdict = judged(id, states, {"api-1": STALE, "api-2": "no SSH connection"})
    assert verdict.outcome is Outcome.FAIL
    assert verdict.message == f"{words}; api-2 (i-api-2): no SSH connection"
    verdict = judged(id, states, {"api-1": WELL, "api-2": "no SSH connection"})
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.message == "api-2 (i-api-2): no SSH connection"
    assert "inv hosts.ping --env=staging" in verdict.hint


def test_restarts_and_room_are_not_known_of_a_silent_host(judged: Callable[..., Verdict]) -> None:
    states = {"api-1": "running", "api-2": "running"}
    full = {**WELL, "serving": {**SERVED, "restarts": 3}, "free": 0}
    told = {"api-1": full, "api-2": "no SSH connection"}
    verdict = judged("release.restarts", states, told)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.message == "api-2 (i-api-2): no SSH connection; api-1: 3 restarts"
    verdict = judged("release.room", states, told)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.message.endswith("api-1 0.0 GiB free")


def test_hosts_without_room_for_the_next_image_are_named_and_no_others(judged: Callable[..., Verdict]) -> None:
    states = dict.fromkeys(("a", "b", "c"), "running")
    told = {name: {**WELL, "free": int(size * 2**30)} for name, size in {"a": 1.5, "b": 9, "c": 0}.items()}
    verdict = judged("release.room", states, told)
    assert (verdict.outcome, verdict.message) == (Outcome.WARN, "a 1.5 GiB free, c 0.0 GiB free")
    told = {name: {**WELL, "free": 9 * 2**30} for name in states}
    verdict = judged("release.room", states, told)
    assert (verdict.outcome, verdict.message) == (Outcome.PASS, ", ".join(f"{name} 9.0 GiB free" for name in states))


@pytest.mark.parametrize(
    ("built", "runs", "outcome", "words"),
    [
        ("sha256:1", "sha256:1", Outcome.PASS, "soundbite/api:a, sha256:1"),
        ("sha256:2", "sha256:1", Outcome.FAIL, "the container runs sha256:1, and soundbite/api:a is sha256:2: inv dev"),
        ("", "sha256:1", Outcome.FAIL, "the image soundbite/api:a is gone, and its container runs sha256:1: inv dev"),
        ("sha256:1", "", Outcome.FAIL, "there is no container of soundbite/api:a: inv dev.down"),
    ],
)
def test_a_local_container_runs_what_was_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, built: str, runs: str, outcome: Outcome, words: str
) -> None:
    loaded = environment.load("dev-localstack", {"STATE_DIR": str(tmp_path)})
    scene = Scene(loaded, Cloud(loaded), tmp_path)
    check = REGISTRY.checks["release.container"]
    assert judge(check, scene).message == "it runs from its source, without containers"
    note = tmp_path / "dev-localstack" / "run" / "containers.json"
    note.parent.mkdir(parents=True)
    note.write_text(json.dumps({"images": {"API_IMAGE": "soundbite/api:a"}}))
    monkeypatch.setattr("soundbite.engine.image", lambda name: {"Id": built} if built and name.endswith(":a") else None)
    monkeypatch.setattr("soundbite.engine.service", lambda *_: {"Image": runs} if runs else None)
    verdict = judge(check, scene)
    assert verdict.outcome is outcome, verdict
    assert verdict.message.startswith(words)

"""`PLATFORM=ecs`: real containers behind emulated ECS, its circuit breaker included, and the move between platforms."""

from __future__ import annotations

import signal
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import copied
from tests.containers.conftest import docker
from tests.containers.killing import killed
from tests.containers.rehearsals import ACCOUNT, Rehearsal, answer, rehearsal, until_said

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.timeout(1200)]

ENVIRONMENT = "dev-aws-deployed"


@pytest.fixture(scope="module")
def place(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Give an environment whose only line about its platform says ecs, with a verified deployment."""
    folder = tmp_path_factory.mktemp("ecs")
    name = f"sbtest-{uuid.uuid4().hex[:10]}"
    made = rehearsal(copied(folder / "project"), name, folder / "home", folder / "state")
    made.variables["EMULATOR_ENGINE"] = "yes"
    made.checkout.put(ENVIRONMENT, PLATFORM="ecs")
    try:
        made.up(1)
        made.deploy("first")
        yield made
    finally:
        made.down()


def who(place: Rehearsal) -> dict[str, Any]:
    """Return what answers at APP_URL."""
    return answer("127.0.0.1", port=int(place.variables["PROXY_PORT"]), named=f"{ENVIRONMENT}.localhost")


def service(place: Rehearsal) -> dict[str, Any]:
    """Return the service as ECS has it."""
    ecs = place.aws("ecs")
    (cluster,) = ecs.list_clusters()["clusterArns"]
    (found,) = ecs.describe_services(cluster=cluster, services=["api"])["services"]
    return dict(found)


def settled(place: Rehearsal) -> dict[str, Any]:
    """See that ledger, service and answers agree, and that the lock is free; return what serves."""
    lock, history = place.told("lock.status", "history")
    assert lock["state"] == "free", lock
    serving = next(each for each in history if each["serving"])
    assert serving["verified"]
    assert who(place)["release"] == serving["release"]
    place.run("validate", "--only=release.hosts,release.digest,release.recorded")
    return dict(serving)


def test_a_deployment_serves_by_digest_with_its_secret_and_nothing_is_done_twice(place: Rehearsal) -> None:
    place.deploy("good")
    serving = settled(place)
    told = who(place)
    assert (told["name"], told["token"]) == ("good", 32)
    definition = place.aws("ecs").describe_task_definition(taskDefinition=service(place)["taskDefinition"])
    (container,) = definition["taskDefinition"]["containerDefinitions"]
    assert container["image"] == serving["image"]
    assert "@sha256:" in container["image"]
    assert "METRICS_TOKEN" not in {each["name"] for each in container["environment"]}
    (secret,) = container["secrets"]
    assert secret["valueFrom"].startswith(f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:")
    assert "serves already on its ECS service; nothing to do" in place.deploy()
    assert settled(place)["id"] == serving["id"]


def test_a_configuration_alone_is_a_deployment(place: Rehearsal) -> None:
    place.deploy("", "--set=APP_ENV_GREETING=salve")
    assert who(place)["greeting"] == "salve"
    settled(place)


def test_a_crashing_image_is_given_up_by_ecs_and_that_is_a_failed_deploy(place: Rehearsal) -> None:
    before = settled(place)
    said = place.deploy("bad crash", code=5)
    assert "circuit breaker was triggered" in said
    assert "ended with exit code 1: Essential container exited" in said
    assert "cannot start: no luck today" in said  # the container's own words
    assert f"{before['id']} serves, as before." in said
    assert settled(place)["id"] == before["id"]
    failed = place.json("history")[0]
    assert (failed["state"], failed["verified"]) == ("failed", False)


@pytest.mark.parametrize("ailment", ["unready", "deaf"])
def test_what_runs_and_never_gets_ready_is_taken_back(place: Rehearsal, ailment: str) -> None:
    before = settled(place)
    said = place.deploy(f"bad {ailment}", code=5)
    assert "/health/ready does not answer through the load balancer" in said
    assert f"{before['id']} serves, as before." in said
    assert settled(place)["id"] == before["id"]


def test_a_slow_start_is_waited_for(place: Rehearsal) -> None:
    place.deploy("tardy slow")
    settled(place)
    assert who(place)["name"] == "tardy"


def test_an_image_that_is_gone_says_why_no_task_starts(place: Rehearsal) -> None:
    before = settled(place)
    place.write("vanished")
    process = place.start()
    until_said(process, "✓ artifacts")
    # Between push and pull the registry goes away.
    registry = f"{place.variables['PROXY_PROJECT']}-registry"
    docker("stop", "--time=1", registry)
    try:
        said = process.communicate(timeout=150)[0]
    finally:
        docker("start", registry)
    if process.returncode:  # else ECS was faster
        assert process.returncode == 5, said
        assert "CannotPullContainerError" in said
        assert settled(place)["id"] == before["id"]
    settled(place)


def test_a_rollback_and_its_history(place: Rehearsal) -> None:
    place.deploy("older")
    older = settled(place)
    place.deploy("newer")
    place.run("rollback", "--reason=too new")
    now = settled(place)
    assert (now["verb"], now["source"], now["release"]) == ("rollback", older["id"], older["release"])
    assert who(place)["name"] == "older"
    assert "too new" in place.deploy("newer", code=3)


@pytest.mark.parametrize(("point", "how"), [("artifacts", "--resume"), ("stage", "--resume"), ("stage", "--abort")])
def test_a_deploy_that_was_killed_is_finished_or_taken_back(place: Rehearsal, point: str, how: str) -> None:
    name = f"killed-{uuid.uuid4().hex[:6]}"
    before = who(place)["name"]
    place.write(name)
    process = place.start()
    until_said(process, f"✓ {point}")
    killed(process, signal.SIGKILL)
    place.run(f"deploy.{ENVIRONMENT}", how)
    settled(place)
    assert who(place)["name"] == (name if how == "--resume" else before)


def test_a_whole_validation_passes(place: Rehearsal) -> None:
    done = place.inv(
        "validate", f"--env={ENVIRONMENT}", "--rehearse", "--skip=api,journey,performance,identity.health", timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "PLATFORM=ecs: every task has a disk of its own" in done.stderr + done.stdout


def test_hosts_are_not_there_and_that_is_said(place: Rehearsal) -> None:
    assert "has no hosts: PLATFORM=ecs" in place.run("hosts.list", code=2).stderr
    assert "--without leaves out hosts" in place.deploy("", "--without=one", code=2)


def test_one_line_moves_an_environment_to_hosts_and_back(place: Rehearsal) -> None:
    place.deploy("movable")
    on_ecs = settled(place)
    place.checkout.put(ENVIRONMENT, PLATFORM="hosts")
    place.up(1)
    said = place.deploy()
    assert "its ECS service" not in said
    assert place.names() == {"movable"}
    moved = next(each for each in place.json("history") if each["serving"])
    assert (moved["release"], moved["platform"]) == (on_ecs["release"], "hosts")
    # Both are there until somebody takes the old one away; what ran on ECS is not gone back to on hosts.
    assert service(place)["runningCount"] == 1
    assert "ran on PLATFORM=ecs" in place.run("rollback", f"--to={on_ecs['id']}", code=3).stderr
    assert "no verified deployment before" in place.run("rollback", code=3).stderr

    place.checkout.put(ENVIRONMENT, PLATFORM="ecs")
    place.up(1)
    place.deploy()
    back = settled(place)
    assert (back["release"], back["platform"]) == (on_ecs["release"], "ecs")
    assert back["number"] == moved["number"] + 1

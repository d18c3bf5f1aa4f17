"""The network of a rehearsal, of which the engine does not know at once; no engine can be made to do that at will."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from soundbite import engine
from soundbite.rehearsal import network
from soundbite.rehearsal.place import Place
from soundbite.shell import CommandFailed, Completed

NAME = "some-project-hosts"
TOLD = json.dumps([{"Id": "1f0c", "IPAM": {"Config": [{"Subnet": "10.213.7.0/24"}]}}])


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what an engine says on stderr when it is asked for the network, one after the other; then it knows it."""
    says: list[str] = []

    def run(argv: list[str]) -> Completed:
        assert argv == ["docker", "network", "inspect", NAME]
        if says:
            raise CommandFailed(Completed(tuple(argv), 1, "[]", says.pop(0)))
        return Completed(tuple(argv), 0, TOLD, "")

    monkeypatch.setattr(engine, "run", run)
    monkeypatch.setattr(Place, "networks", lambda _: [NAME])
    return says


PLACE = Place(Path("/state"), "some-project")


def test_one_that_the_engine_does_not_know_yet_is_asked_for_again(said: list[str]) -> None:
    said += [f"Error response from daemon: network {NAME} not found", f"Error: No such network: {NAME}"]
    found = network.ensure(PLACE)
    assert (found.id, str(found.subnet), said) == ("1f0c", "10.213.7.0/24", [])


def test_one_that_it_never_knows_is_told(said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_KNOWN_WITHIN", 0.1)
    said += [f"Error response from daemon: network {NAME} not found"] * 1000
    with pytest.raises(CommandFailed, match=f"network {NAME} not found"):
        network.ensure(PLACE)
    assert len(said) < 999


def test_anything_else_is_told_at_once(said: list[str]) -> None:
    said += ["Error response from daemon: permission denied", "never asked for"]
    with pytest.raises(CommandFailed, match="permission denied"):
        network.ensure(PLACE)
    assert said == ["never asked for"]

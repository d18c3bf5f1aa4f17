"""Stages that are deployed to, with their ledgers in emulated AWS and everything else as much as a test needs.

Hosts are told what real ones are, word by word, and remember what real ones do: what runs in which colour, and what was
asked of them. Images, stacks and the processor are names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from soundbite import application, console, deployment, engine, environment, publishing
from soundbite.deployment import Wishes, releasing, scene
from soundbite.infrastructure import assembly, changes, functions, stacks
from soundbite.platforms.hosts import archive
from soundbite.platforms.hosts.remote import Remote
from soundbite.releases import Release

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from soundbite.deployment.scene import Scene
    from tests.integration.test_ledger import Emulated

FIRST, SECOND = "dev-aws-deployed", "staging"
A, B, C = (f"r-{each * 12}" for each in "abc")
"""Releases."""
ADDRESSES = ("10.0.0.1", "10.0.0.2", "10.0.0.3")


@dataclass
class Machine:
    """A host, as its agent and its engine have it.

    Attributes
    ----------
    failing:
        By verb, what the agent says when it fails.
    asked:
        The verbs that were asked for, in their order; `install` is the agent's own.
    """

    agent: str = ""
    token: int = 0
    serves: str | None = None
    staged: str | None = None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    served: list[str] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None

    def run(self, command: str) -> tuple[int, str, str]:
        """Do what is asked for over SSH."""
        if "base64 -d" in command:
            self.asked.append("install")
            self.agent = archive.digest()
            return 0, "", ""
        if "docker version" in command:
            return 0, "1000000000\n27.0.0\n", ""
        raise AssertionError(command)

    def step(self, verb: str, order: dict[str, Any]) -> tuple[int, str, str]:
        """Do a step, as the agent would."""
        if not self.agent:
            return 2, "", "python3: can't open file '/var/lib/agent.pyz': [Errno 2] No such file or directory"
        self.before(verb)
        self.asked.append(verb)
        code, answer = self._answer(verb, order)
        return code, json.dumps(answer), ""

    def _answer(self, verb: str, order: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if verb != "status" and order["token"] < self.token:
            return 9, {"error": f"the order has token {order['token']}"}
        self.token = order.get("token", self.token)
        if verb in self.failing:
            return 1, {"error": self.failing[verb]}
        return 0, getattr(self, f"_{verb}")(order)

    def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "token": self.token,
            "engine": "27.0.0",
            "live": "blue" if self.serves else None,
            "serving": self._told(self.serves) if self.serves else None,
            "idle": {"green": self._told(self.staged)} if self.staged else {},
            "deployments": list(self.known),
            "served": self.served,
        }

    def _told(self, name: str) -> dict[str, Any]:
        return {"deployment": name, "state": "running", **self.known.get(name, {})}

    def _prepare(self, _: dict[str, Any]) -> dict[str, Any]:
        return {}

    def _stage(self, order: dict[str, Any]) -> dict[str, Any]:
        name = order["deployment"]
        if "told" in order:
            self.known[name] = {"release": order["told"]["release"], "image": order["told"]["image"]}
        assert name in self.known
        if name != self.serves:
            self.staged = name
        return {}

    def _switch(self, order: dict[str, Any]) -> dict[str, Any]:
        name = order["deployment"]
        if name != self.serves:
            assert self.staged == name, f"{name} is not staged"
            self.serves, self.staged = name, self.serves
        if name not in self.served:
            self.served.append(name)
        return {}

    def _prove(self, order: dict[str, Any]) -> dict[str, Any]:
        assert self.serves == order["deployment"]
        return {"serving": self.serves}

    def _back(self, order: dict[str, Any]) -> dict[str, Any]:
        self.serves, self.staged = order["deployment"], None
        return {"serving": self.serves}

    def _drain(self, _: dict[str, Any]) -> dict[str, Any]:
        self.staged = None
        return {}

    def _abandon(self, _: dict[str, Any]) -> dict[str, Any]:
        self.staged = None
        return {}


class Stages:
    """Two stages, the second of which takes what was verified in the first.

    Attributes
    ----------
    machines:
        By environment and address.
    tree:
        What the working tree is: the id of the release that it would be.
    pending:
        The stacks that differ from the assembly.
    difference:
        What going back to an older assembly would change.
    gone_back:
        The stacks that were taken back, each time.
    alias:
        By environment, the processor's version that the alias points to.
    """

    def __init__(self, aws: Emulated, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.machines = {name: {each: Machine() for each in ADDRESSES} for name in (FIRST, SECOND)}
        self.tree, self.assembly = "r-aaaaaaaaaaaa", "a1"
        self.pending: list[str] = []
        self.said: list[str] = []
        self.difference = changes.Difference()
        self.gone_back: list[list[str]] = []
        self.alias: dict[str, str] = {FIRST: "1", SECOND: "1"}
        self._published = {FIRST: 1, SECOND: 1}
        self._settings = {name: self._of(name, aws.settings(), folder) for name in (FIRST, SECOND)}
        self._load, self._run = environment.load, Remote.run
        patch.setenv("METRICS_TOKEN", "a secret of nobody's")
        patch.setattr(environment, "load", self._loaded)
        patch.setattr(Remote, "run", lambda remote, command, *_, **__: self._at(remote).run(command))
        patch.setattr(Remote, "step", lambda remote, verb, order, _: self._at(remote).step(verb, dict(order)))
        self._name_everything(patch)
        for name in (FIRST, SECOND):
            ledger = self.scene(name).ledger
            ledger.cloud.client("dynamodb").create_table(
                TableName=ledger.items.table,
                KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in ("pk", "sk")],
                BillingMode="PAY_PER_REQUEST",
            )

    def scene(self, name: str = FIRST, **overrides: str) -> Scene:
        """Return a stage as another process would see it."""
        return scene.load(name, rehearsal=True, overrides=overrides)

    def deploy(self, release: str = "", name: str = FIRST, **more: Any) -> dict[str, Any]:
        """Deploy a release: to the first stage, as what the working tree is."""
        if name == FIRST:
            self.tree = release or self.tree
            release = ""
        return deployment.deploy(self.scene(name), Wishes(release=release, **more), self.confirm)

    def rollback(self, name: str = FIRST, **more: Any) -> dict[str, Any]:
        """Go back."""
        return deployment.rollback(self.scene(name), self.confirm, **more)

    def confirm(self, text: str) -> None:
        """Say yes."""

    def of(self, name: str = FIRST) -> list[Machine]:
        """Return the hosts of a stage, in their order."""
        return list(self.machines[name].values())

    def serving(self, name: str = FIRST) -> set[str | None]:
        """Return what hosts and ledger have as serving: one thing, where they agree."""
        return {self.scene(name).ledger.serving(), *(each.serves for each in self.of(name))}

    def _of(self, name: str, aws: dict[str, str], folder: Path) -> dict[str, str]:
        return {
            **aws,
            "HOSTS": " ".join(ADDRESSES),
            "HOSTS_DRAIN": "0s",
            "HOSTS_BATCH": "1",
            "LOCK_LEASE": "2s",
            "STATE_DIR": str(folder / name),
            "APP_ENV_METRICS_TOKEN": "env:METRICS_TOKEN",
        }

    def _loaded(self, name: str, overrides: dict[str, str] | None = None, **more: Any) -> Any:
        return self._load(name, {**self._settings.get(name, {}), **(overrides or {})}, **more)

    def _at(self, remote: Remote) -> Machine:
        return self.machines[remote._environment.name][remote.host.address]

    def _name_everything(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(application, "cdk_cli", lambda: SimpleNamespace(ensure=lambda _: None))
        patch.setattr(stacks, "outputs_of", lambda *_: lambda name: f"the-{name}")
        patch.setattr(stacks, "pending", lambda *_: list(self.pending))
        patch.setattr(stacks, "describe", lambda cloud: {cloud.environment.stack_name(stacks.BOOTSTRAP): {}})
        patch.setattr(stacks, "bootstrap", lambda *_: False)
        patch.setattr(stacks, "deploy", lambda *_, **__: None)
        patch.setattr(assembly, "synth", lambda *_: SimpleNamespace(digest=self.assembly, templates=self._templates))
        patch.setattr(releasing, "folder", lambda *_: None)
        patch.setattr(releasing, "of_tree", lambda _: self._built())
        patch.setattr(releasing, "repository", lambda here: f"registry.example/{here.environment.name}")
        patch.setattr(releasing, "bring", lambda _, candidate: replace(candidate.release, image="sha256:" + "a" * 64))
        patch.setattr(publishing, "require", lambda *_: None)
        patch.setattr(engine, "require_running", lambda: None)
        patch.setattr(publishing, "signed_in", lambda *_: None)
        patch.setattr(changes, "compare", lambda *_: self.difference)
        patch.setattr(changes, "go_back", lambda _, difference: self.gone_back.append(sorted(difference.stacks)))
        patch.setattr(changes, "settled", lambda *_: "UPDATE_COMPLETE")
        patch.setattr(functions, "pointed", lambda cloud, _: self.alias[cloud.environment.name])
        patch.setattr(functions, "point", self._point)
        patch.setattr(functions, "publish", self._publish)
        patch.setattr(functions, "require", lambda *_: None)
        patch.setattr(console, "say", self.said.append)

    def _templates(self) -> dict[str, Any]:
        return {f"{self.assembly}-Api": {"Resources": {}}}

    def _built(self) -> releasing.Candidate:
        release = Release(self.tree, "", None, "c0ffee", {}, "2026-03-01T10:00:00Z")
        return releasing.Candidate(release, None, {"api": self.tree})

    def _point(self, cloud: Any, _: str, version: str) -> bool:
        self.alias[cloud.environment.name] = version
        return True

    def _publish(self, cloud: Any, _: str) -> str:
        self._published[cloud.environment.name] += 1
        return str(self._published[cloud.environment.name])

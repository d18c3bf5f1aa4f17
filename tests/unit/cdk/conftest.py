"""The cloud assemblies of the real envs/, each synthesized once a session and only if a test asks for it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock

from soundbite import environment, node, paths
from soundbite.environment.keys import PASSED_ON, all_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True)
class Assembly:
    """A synthesized assembly, read back from its files."""

    folder: Path
    environment: str

    @property
    def stacks(self) -> list[str]:
        """Return the stacks, without the project and the environment in their names."""
        prefix = f"SoundBite-{self.environment}-"
        return sorted(
            path.name.removeprefix(prefix).removesuffix(".template.json")
            for path in self.folder.glob(f"{prefix}*.template.json")
        )

    def template(self, stack: str) -> dict[str, Any]:
        """Return the template of one stack."""
        path = self.folder / f"SoundBite-{self.environment}-{stack}.template.json"
        template: dict[str, Any] = json.loads(path.read_text())
        return template

    def resources(self, kind: str = "") -> dict[str, dict[str, Any]]:
        """Return the resources of all stacks, of one type if said, as `Stack.LogicalId`."""
        return {
            f"{stack}.{name}": resource
            for stack in self.stacks
            for name, resource in self.template(stack)["Resources"].items()
            if kind in {"", resource["Type"]}
        }

    def properties(self, stack: str, kind: str, logical_id: str = "") -> dict[str, Any]:
        """Return the properties of the one resource of a type in a stack whose logical id begins as said."""
        (found,) = [
            resource["Properties"]
            for name, resource in self.template(stack)["Resources"].items()
            if resource["Type"] == kind and name.startswith(logical_id)
        ]
        properties: dict[str, Any] = found
        return properties

    def stack(self, stack: str) -> dict[str, Any]:
        """Return what the assembly's manifest says of a stack."""
        manifest = json.loads((self.folder / "manifest.json").read_text())
        artifact: dict[str, Any] = manifest["artifacts"][f"SoundBite-{self.environment}-{stack}"]["properties"]
        return artifact


@pytest.fixture(scope="session")
def processor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a built processor."""
    folder = tmp_path_factory.mktemp("processor")
    (folder / "index.mjs").write_text("export const handler = async () => ({ batchItemFailures: [] });\n")
    return folder


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory, processor: Path) -> Iterator[Callable[[str, Path], dict[str, str]]]:
    """Return what the workflow hands to app.py for an environment and a folder for its assembly.

    The committed env files count, not what this machine adds to them.
    """
    committed = tmp_path_factory.mktemp("envs")
    for file in paths.ENVS.glob("*.env"):
        if not file.name.endswith(".local.env"):
            shutil.copy(file, committed)

    def read(name: str, folder: Path) -> dict[str, str]:
        settings: dict[str, str] = json.loads(environment.load(name).synth_settings())
        return {**settings, "PROCESSOR_DIR": str(processor), "ASSEMBLY_DIR": str(folder), "VALIDATE": "yes"}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "ENVS", committed)
        for name in [name for name in os.environ if name in all_keys() or name.startswith(tuple(PASSED_ON))]:
            patch.delenv(name)
        yield read


@pytest.fixture(scope="session")
def synthesize() -> Iterator[Callable[[Mapping[str, str]], Assembly]]:
    """Return a function that makes an assembly of settings, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        # Importing the library starts the first `node` on PATH.
        patch.setenv("PATH", node.path_variable())

        def run(settings: Mapping[str, str]) -> Assembly:
            from cdk.application import build
            from cdk.settings import Settings

            parsed = Settings.parse(settings)
            build(parsed).synth()
            return Assembly(parsed.assembly_dir, parsed.environment)

        yield run


@pytest.fixture(scope="session")
def assembly(
    tmp_path_factory: pytest.TempPathFactory,
    texts: Callable[[str, Path], dict[str, str]],
    synthesize: Callable[[Mapping[str, str]], Assembly],
) -> Callable[[str], Assembly]:
    """Return a function that gives the assembly of an environment, made once for all workers."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "assemblies"
    shared.mkdir(exist_ok=True)

    @cache
    def make(name: str) -> Assembly:
        folder = shared / name
        with FileLock(f"{folder}.lock"):
            if folder.exists():
                return Assembly(folder, name)
            made = synthesize(texts(name, tmp_path_factory.mktemp(name)))
            shutil.copytree(made.folder, folder)
        return Assembly(folder, name)

    return make


@pytest.fixture(params=["dev-localstack", "dev-aws", "dev-aws-deployed", "staging", "production"])
def each(request: pytest.FixtureRequest, assembly: Callable[[str], Assembly]) -> Assembly:
    """Return the assembly of each environment in turn."""
    return assembly(request.param)

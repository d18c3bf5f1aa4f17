"""Cloud assemblies: what CDK makes of an environment's settings, kept by the hash of what goes in."""

from __future__ import annotations

import json
import os
import shutil
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundbite import application, files, locks, node, paths, shell
from soundbite.errors import SoundbiteError

if TYPE_CHECKING:
    from soundbite.environment import Environment

_SYNTH_TIMEOUT = 180
_KEPT = 40
"""Assemblies kept; a checkout that goes back and forth between branches finds its own again."""
_UNPACKED = "~/.cache/aws/jsii/package-cache"
"""Where CDK's library unpacks itself, unless JSII_RUNTIME_PACKAGE_CACHE_ROOT says otherwise (jsii, on Linux)."""
_RULES = ".rules"
"""Beside an assembly: the hash of what it was made of, but for the processor's code."""


@dataclass(frozen=True)
class Assembly:
    """A synthesized cloud assembly: `folder` is what `cdk --app` takes."""

    folder: Path
    fresh: bool

    @property
    def digest(self) -> str:
        """The hash of what went in: 16 hexadecimal digits."""
        return self.folder.name.rpartition("-")[2]

    def templates(self) -> dict[str, Any]:
        """Return all its templates, by stack."""
        return {name: self.template(name) for name in self.stacks()}

    def stacks(self) -> list[str]:
        """Return the names of its stacks, in the order of the manifest."""
        return list(self._stacks())

    def template(self, stack: str) -> dict[str, Any]:
        """Return the template of one of its stacks."""
        properties = self._stacks()[stack]["properties"]
        text = (self.folder / properties["templateFile"]).read_text(encoding="utf-8")
        return dict(json.loads(text))

    def tags(self, stack: str) -> dict[str, str]:
        """Return the tags of one of its stacks."""
        return dict(self._stacks()[stack]["properties"].get("tags", {}))

    def _stacks(self) -> dict[str, Any]:
        manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        return {
            artifact["properties"].get("stackName", name): artifact
            for name, artifact in manifest["artifacts"].items()
            if artifact["type"] == "aws:cloudformation:stack"
        }


def synth(environment: Environment, processor: Path | None = None) -> Assembly:
    """Synthesize an environment's cloud assembly, or take the kept one of the same inputs.

    The inputs are the settings marked for it, the code in cdk/, the processor's code, and the versions
    of the CDK library and of node. The processor must have been built.

    CDK validates the templates by the rules of CloudFormation, which takes two thirds of the time. Not again where an
    assembly that is kept differs in the processor's code alone: of that, templates have a hash and no more.

    Parameters
    ----------
    processor:
        The folder of its code, where that is not what APP_BUILD leaves on this machine.

    Raises
    ------
    SoundbiteError
        CDK refused; its own words are in the message.
    """
    processor = processor or application.processor(environment)
    if processor is not None and not any(processor.glob("*")):
        raise SoundbiteError(
            f"The processor's code is not in {processor}.", "Does APP_BUILD write to PROCESSOR_ARTIFACT?"
        )
    settings = json.loads(environment.synth_settings())
    rules = files.digest(
        paths.CDK,
        ["*.py", "stacks", "cdk.json"],
        environment.synth_settings(),
        files.digest(paths.ROOT, ["requirements.lock", "soundbite/environment"]),
        node.choose().version,
    )
    digest = files.digest(processor, ["*"], rules) if processor else rules
    folder = paths.CACHE / "assemblies" / f"{environment.name}-{digest[:16]}"
    if (folder / "manifest.json").exists():
        os.utime(folder)
        return Assembly(folder, fresh=False)
    with locks.held(folder.with_suffix(".lock"), f"cdk.synth of {environment.name}", _SYNTH_TIMEOUT):
        if not (folder / "manifest.json").exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            order = unfinished / "settings.json"
            out = unfinished / "assembly"
            settings |= {"PROCESSOR_DIR": str(processor or ""), "ASSEMBLY_DIR": str(out)}
            settings["VALIDATE"] = "no" if _validated(folder.parent, rules) else "yes"
            files.write(order, json.dumps(settings, sort_keys=True))
            env = {**os.environ, "SYNTH_SETTINGS": str(order), "PATH": node.path_variable()}
            shell.run([sys.executable, str(paths.CDK / "app.py")], timeout=_SYNTH_TIMEOUT, cwd=paths.CDK, env=env)
            files.write(folder.with_suffix(_RULES), rules)
            out.replace(folder)
            shutil.rmtree(unfinished)
    _prune(folder.parent)
    return Assembly(folder, fresh=True)


def unpack() -> None:
    """Have CDK's library unpack itself, unless it has: once for a user and a version, ten seconds of a core.

    Its first synthesis would do that otherwise. What fails here fails again then, and is told.
    """
    root = Path(os.environ.get("JSII_RUNTIME_PACKAGE_CACHE_ROOT") or _UNPACKED).expanduser()
    if (root / "aws-cdk-lib" / metadata.version("aws-cdk-lib")).exists():
        return
    env = {**os.environ, "PATH": node.path_variable()}
    with suppress(SoundbiteError):
        shell.run([sys.executable, "-c", "import cdk, aws_cdk"], timeout=_SYNTH_TIMEOUT, cwd=paths.ROOT, env=env)


def _validated(folder: Path, rules: str) -> bool:
    """Tell whether an assembly is kept that was made of the same, whatever the processor's code was."""
    for each in folder.glob(f"*{_RULES}"):
        with suppress(FileNotFoundError):  # another process may be taking old ones away
            if each.read_text(encoding="utf-8") == rules and (each.with_suffix("") / "manifest.json").exists():
                return True
    return False


def _prune(folder: Path) -> None:
    kept = sorted((p for p in folder.iterdir() if p.is_dir() and not p.suffix), key=lambda p: -p.stat().st_mtime)
    for old in kept[_KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
        for beside in (".lock", ".holder", _RULES):
            old.with_suffix(beside).unlink(missing_ok=True)

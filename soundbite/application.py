"""The application's dependencies and its build, each done again only when what goes into it changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import files, locks, node, paths, shell

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .environment import Environment

_INSTALL_TIMEOUT = 900
_BUILD_TIMEOUT = 300


@dataclass(frozen=True)
class Work:
    """Something that is done once for each content of its inputs.

    Attributes
    ----------
    inputs:
        Globs in `folder`; their contents and the command make the hash.
    outputs:
        Globs in `folder` that must be there for the work to count as done.
    """

    name: str
    folder: Path
    command: Sequence[str]
    inputs: Sequence[str]
    outputs: Sequence[str]
    timeout: float

    @property
    def stamp(self) -> Path:
        """Where the hash of what was done last is kept: in the folder itself, so that it goes and comes with it."""
        return self.folder / ".soundbite" / self.name

    def needed(self) -> bool:
        """Tell whether it has to be done."""
        try:
            done = self.stamp.read_text(encoding="utf-8")
        except FileNotFoundError:
            return True
        return done != self._digest() or not all(any(self.folder.glob(glob)) for glob in self.outputs)

    def ensure(self, on_line: Callable[[str], None] | None = None) -> bool:
        """Do it if it is needed; two at once don't spoil each other.

        Returns
        -------
        bool
            Whether it was done now.

        Raises
        ------
        CommandFailed
            The command failed; the next call tries again.
        """
        if not self.needed():
            return False
        with locks.held(self.stamp.with_suffix(".lock"), f"{self.name} in {self.folder.name}", self.timeout):
            if not self.needed():
                return False
            self.stamp.unlink(missing_ok=True)
            files.write(self.stamp.parent / ".gitignore", "*\n")
            before = self._digest()
            env = {**_variables(), "PATH": node.path_variable()}
            shell.run(self.command, cwd=self.folder, env=env, timeout=self.timeout, on_line=on_line)
            files.write(self.stamp, before)
        return True

    def _digest(self) -> str:
        # The place counts too: what was installed or built in one folder may hold that folder's path.
        where = str(self.folder.resolve())
        return files.digest(self.folder, self.inputs, where, *self.command, node.choose().version)


def dependencies(environment: Environment) -> Work | None:
    """Return the installation of the application's dependencies; None if there is nothing to install."""
    app = environment.app
    if app.install is None:
        return None
    outputs = ["node_modules"] if app.install[0] == "npm" else []
    return Work("install", environment.app_dir, app.install, app.install_inputs, outputs, _INSTALL_TIMEOUT)


def build(environment: Environment) -> Work | None:
    """Return the application's build; None if there is nothing to build."""
    app = environment.app
    if app.build is None:
        return None
    return Work("build", environment.app_dir, app.build, app.build_inputs, app.build_outputs, _BUILD_TIMEOUT)


def cdk_cli() -> Work:
    """Return the installation of the pinned aws-cdk."""
    command = ["npm", "ci", "--no-progress"]
    return Work(
        "install", paths.CDK, command, ["package.json", "package-lock.json"], ["node_modules"], _INSTALL_TIMEOUT
    )


def processor(environment: Environment) -> Path | None:
    """Return the folder of the processor's code; None if the application has none."""
    artifact = environment.processor.artifact
    return environment.app_dir / artifact if artifact else None


def _variables() -> dict[str, str]:
    import os

    return dict(os.environ)

"""A checkout with an application of its own, so small that it is built in a moment, and whose images bear one name."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.conftest import Inv
from tests.containers.conftest import docker, remove

if TYPE_CHECKING:
    from pathlib import Path

TINY = """FROM scratch AS production
LABEL sbtest={name}
COPY content /content
FROM scratch AS processor
COPY content /index.mjs
"""

ON_NODE = """ARG NODE_IMAGE=node:24.19.0-trixie-slim
FROM ${{NODE_IMAGE}} AS production
LABEL sbtest={name}
COPY content /content
{step}
"""


@dataclass
class Checkout:
    """A checkout and what `inv` does in it; `name` is its project, and with that the begin of its images' names."""

    root: Path
    name: str
    inv: Inv

    @property
    def app(self) -> Path:
        """The application's folder."""
        return self.root / "service"

    @property
    def repository(self) -> str:
        """The name of its images on this machine, without a tag."""
        return f"{self.name}/api"

    def write(self, content: str | bytes | None = None, dockerfile: str = TINY, step: str = "") -> None:
        """Write the application; without `content` nobody has ever built it."""
        self.app.mkdir(exist_ok=True)
        given = os.urandom(2000).hex() if content is None else content
        (self.app / "content").write_bytes(given.encode() if isinstance(given, str) else given)
        (self.app / "Dockerfile").write_text(dockerfile.format(name=self.name, step=step))

    def put(self, file: str, **values: str) -> None:
        """Set keys in one of the env files."""
        path = self.root / "envs" / f"{file}.env"
        kept = [line for line in path.read_text().splitlines() if line.partition("=")[0] not in values]
        path.write_text("\n".join([*kept, *(f"{key}={value}" for key, value in values.items())]) + "\n")

    def git(self, *arguments: str) -> str:
        """Run git in it, with settings of nobody."""
        own = ("-c", "user.name=Tests", "-c", "user.email=tests@example.com", "-c", "init.defaultBranch=main")
        done = subprocess.run(
            ["git", *own, "-C", str(self.root), *arguments],
            env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self) -> str:
        """Commit everything, changed or not; return the commit as labels have it."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=Something")
        return self.git("rev-parse", "--short=12", "HEAD")

    def build(
        self, *arguments: str, code: int = 0, variables: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `inv build`, and see that it ends as it should."""
        done = replace(self.inv, variables=self.inv.variables | (variables or {}))("build", *arguments)
        assert done.returncode == code, f"exit code {done.returncode}:\n{done.stderr}{done.stdout}"
        assert "Traceback" not in done.stderr
        return done

    def tags(self, repository: str = "") -> set[str]:
        """Return the tags that a repository has on this machine."""
        return set(docker("images", "--format", "{{.Tag}}", repository or self.repository).split())

    def label(self, image: str, label: str) -> str:
        """Return a label of an image."""
        return docker("image", "inspect", "--format", f'{{{{index .Config.Labels "{label}"}}}}', image)

    def beside(self, name: str) -> Checkout:
        """Return a copy of it in another folder."""
        root = self.root.parent / name
        shutil.copytree(self.root, root, symlinks=True, ignore=shutil.ignore_patterns(".soundbite"))
        return Checkout(root, self.name, Inv(root, self.inv.variables))

    def clean(self) -> None:
        """Remove its images, also those that lost their name."""
        remove(f"{self.name}")
        left = docker("images", "--all", "--quiet", "--filter", f"label=sbtest={self.name}", check=False).split()
        if left:
            docker("rmi", "-f", *set(left), check=False)


def checkout(project: Path, unique: str, home: Path, **settings: Any) -> Checkout:
    """Make a checkout of a copy of the project, with a first commit.

    Parameters
    ----------
    unique:
        A name of the test's own.
    home:
        A folder for the user's own settings, such as those of docker.
    settings:
        What else shall stand in envs/common.env.
    """
    home.mkdir()
    made = Checkout(project, unique.replace("-", ""), Inv(project, {"HOME": str(home)}))
    common = {"PROJECT": made.name, "APP_DIR": "service", "APP_IMAGE_INPUTS": '"Dockerfile content"'}
    made.put("common", **common | settings)
    for environment in ("dev-localstack", "dev-aws"):
        made.put(environment, APP_DOCKER_TARGET="production")
    made.write()
    (project / ".gitignore").write_text(".soundbite/\n__pycache__/\n*.local.env\n")
    made.git("init", "--quiet")
    made.commit()
    return made

"""All environments side by side on one engine, each a compose project, and the proxy in front of them another."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from soundbite import compose, engine, files, nginx, paths, ports, waiting
from soundbite.compose import Project
from soundbite.environment import naming
from soundbite.errors import ConfigurationError, SoundbiteError

from . import handover, projects, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment

_UP_TIMEOUT = 120.0
_SERVICE, _PROXY = "api", "proxy"
_POLL = 0.1


class Image(NamedTuple):
    """What runs: `name` as docker takes it, `release` as the application says it, the commit it was built from."""

    name: str
    release: str
    revision: str


class Fleet:
    """The environments, loaded with the rehearsal layer, and where each of them runs.

    Raises
    ------
    ConfigurationError
        Two of them claim the same compose project.
    """

    def __init__(self, environments: Sequence[Environment]) -> None:
        self.environments = environments
        first = environments[0]
        self.folder = first.state.parent
        self.port = first.proxy.port
        self._proxy = _proxy(self.folder / _PROXY, first)
        claimed = {self._proxy.name: "the proxy"}
        for each in environments:
            name = each.workflow.compose_project
            if name in claimed:
                raise ConfigurationError(
                    f"{each.name} and {claimed[name]} would both be the compose project {name} "
                    f"({each.settings['COMPOSE_PROJECT'].origin}).",
                    "COMPOSE_PROJECT=${PROXY_PROJECT}-${ENVIRONMENT} gives each a name of its own.",
                )
            claimed[name] = each.name

    def url(self, environment: Environment) -> str:
        """Return where an environment answers, by path; by host name it is its APP_URL."""
        return f"http://127.0.0.1:{self.port}/{nginx.path(environment.name)}"

    def require_place(self) -> None:
        """Refuse when a compose project of ours is somebody else's, or the proxy's port is taken.

        Raises
        ------
        SoundbiteError
            The message says by whom.
        """
        for project in (self._proxy, *map(_project, self.environments)):
            for container in engine.containers(_label(project)):
                if self._is_foreign(container):
                    owner = _owner_of(container) or "somebody else"
                    raise SoundbiteError(
                        f"There is a compose project {project.name} already, of {owner}: "
                        f"{container['Name'].lstrip('/')}. It was left alone.",
                        "Choose other names: PROXY_PROJECT=… inv dev.multienv, for good in envs/rehearsal.env.",
                    )
        if engine.published(_container(self._proxy, _PROXY)) != (self.port,):
            ports.require_free(self.port, "PROXY_PORT", "envs/rehearsal.env", engine.publisher(self.port))

    def start(self, cloud: Cloud, output: Callable[[str], str], image: Image) -> None:
        """Bring one environment's application up, unless it runs with the same image and settings."""
        environment = cloud.environment
        own = {"HOST": "0.0.0.0", "PORT": str(naming.PORT), "RELEASE": image.release, "REVISION": image.revision}  # noqa: S104
        variables, secret_files = handover.given(cloud, output, projects.folder_of(environment), own)
        more = {"labels": self._owner | handover.label(secret_files), "image": image.name}
        content = compose.values({_SERVICE: variables}, {_SERVICE: secret_files}, {_SERVICE: more})
        compose.write(_values_file(environment), content)
        _run(compose.up(_project(environment)), _project(environment))

    def start_proxy(self) -> None:
        """Bring the proxy up, in the network of every environment."""
        folder = self.folder / _PROXY
        names = {each.name: _project(each).name for each in self.environments}
        networks = {name: engine.network(name) for name in names.values()}
        upstreams = [
            nginx.Upstream(each.name, _container(_project(each), _SERVICE), *networks[names[each.name]])
            for each in self.environments
        ]
        changed = _write_all(folder, nginx.multienv(upstreams))
        content = compose.values({}, {}, {_PROXY: {"networks": ["default", *networks], "labels": self._owner}})
        content["networks"] = {name: {"external": True, "name": name} for name in networks}
        compose.write(folder / "values.json", content)
        _run(compose.up(self._proxy), self._proxy)
        if changed:
            inside = ["docker", "exec", _container(self._proxy, _PROXY), "nginx", "-c", "/etc/soundbite/nginx.conf"]
            engine.run([*inside, "-t"])
            engine.run([*inside, "-s", "reload"])

    def await_ready(self, environment: Environment) -> None:
        """Wait until an environment answers through the proxy, and what it depends on answers too.

        Raises
        ------
        SoundbiteError
            It is not ready within APP_START_TIMEOUT, or ended for good: the message has its log and what its health
            check says.
        """
        timeout = environment.app.start_timeout
        deadline = time.monotonic() + timeout
        url = self.url(environment)
        for path in (environment.app.health_path, environment.app.ready_path or environment.app.health_path):
            while (problem := serving.answer(url, path)) is not None:
                looked = time.monotonic()
                container = engine.service(_project(environment).name, _SERVICE)
                if time.monotonic() > deadline or _gave_up(container):
                    log, health = engine.words_of(container)
                    raise SoundbiteError(
                        f"{environment.name} is not ready (it has {timeout:.0f} s): {url}{path}: {problem}. "
                        f"Its last lines:\n{serving.indented(log)}\n"
                        f"Its health check says:\n{serving.indented(health)}",
                        "APP_START_TIMEOUT gives it more time.",
                    )
                waiting.pause(looked, _POLL)

    def running(self) -> set[str]:
        """Return the compose projects that have a container now."""
        every = [self._proxy, *map(_project, self.environments)]
        return {project.name for project in every if self._containers(project)}

    def take_down(self, but: set[str]) -> list[str]:
        """Take every compose project down but those named.

        Returns
        -------
        list
            The environments (or `proxy`) that had a container.
        """
        ran: list[str] = []
        every = [(_PROXY, self._proxy), *((each.name, _project(each)) for each in self.environments)]
        for name, project in every:
            if project.name in but or any(map(self._is_foreign, engine.containers(_label(project)))):
                continue
            ran += [name] if self._containers(project) else []
            _run(compose.down(project, volumes=True), project)
        if not but:
            for each in self.environments:
                shutil.rmtree(projects.folder_of(each), ignore_errors=True)
        return ran

    @property
    def _owner(self) -> dict[str, str]:
        return {compose.OWNER_LABEL: str(self.folder)}

    def _containers(self, project: Project) -> list[dict[str, Any]]:
        return engine.containers(_label(project), f"{compose.OWNER_LABEL}={self.folder}")

    def _is_foreign(self, container: dict[str, Any]) -> bool:
        return _owner_of(container) != str(self.folder)


def _proxy(folder: Path, environment: Environment) -> Project:
    variables = {
        "COMPOSE_PROJECT": environment.proxy.project,
        "PROXY_PORT": str(environment.proxy.port),
        "NGINX_CONFIGURATION": str(folder),
    }
    return Project(environment.proxy.project, [paths.COMPOSE / "multienv.yml", folder / "values.json"], variables)


def _project(environment: Environment) -> Project:
    chosen = [*compose.chosen(environment, "deploy"), _values_file(environment)]
    variables = projects.variables(environment, "stands in the values")
    return Project(environment.workflow.compose_project, chosen, variables)


def _values_file(environment: Environment) -> Path:
    return projects.folder_of(environment) / "values.json"


def _container(project: Project, service: str) -> str:
    return f"{project.name}-{service}-1"


def _label(project: Project) -> str:
    return f"{compose.PROJECT_LABEL}={project.name}"


def _owner_of(container: dict[str, Any]) -> str | None:
    found = (container["Config"]["Labels"] or {}).get(compose.OWNER_LABEL)
    return str(found) if found else None


def _run(argv: Sequence[str], project: Project) -> None:
    projects.run(argv, project, timeout=_UP_TIMEOUT)


def _write_all(folder: Path, texts: dict[str, str]) -> bool:
    """Make a folder's `.conf` files these; return whether that changed any."""
    before = {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*.conf")}
    for name in before.keys() - texts.keys():
        (folder / name).unlink()
    for name, text in texts.items():
        files.write(folder / name, text)
        (folder / name).parent.chmod(0o755)  # however strict the umask: nginx has a user of its own
    return before != texts


def _gave_up(container: dict[str, Any] | None) -> bool:
    """Tell whether a container is gone, or ended and will not be started again."""
    if container is None:
        return True
    return not container["State"]["Running"] and container["HostConfig"]["RestartPolicy"]["Name"] in {"no", ""}

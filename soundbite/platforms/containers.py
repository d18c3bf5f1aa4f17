"""A local environment's services as containers: the application from its source behind nginx, beside emulated AWS.

All share the proxy's network (compose/dev.yml), so every address is the one that it is without containers.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from soundbite import building, checkout, compose, emulator, engine, files, images, paths, ports, shell
from soundbite.errors import ConfigurationError, SoundbiteError
from soundbite.parallel import workers

from . import credentials, handover, projects, serving
from .container import Container, compose_name
from .pod import APP_PORT, INSPECT_PORT, PROXY, Pod
from .room import APP, EMULATOR, PROCESSOR, WORKING_TREE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment
    from soundbite.services import Service

_UP_TIMEOUT = 120.0
_GRACES = {APP: 6.0, PROCESSOR: 3.0, EMULATOR: emulator.STOP_GRACE, PROXY: 3.0}
"""Seconds that a service gets to end by itself."""

_WORK = "/work"
"""Where the checkout is in the processor's container."""


class Containers:
    """A local environment's services as containers; a `Room`."""

    containers = True

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        names = [APP, PROCESSOR, *([EMULATOR] if environment.emulator.mode == "embedded" else []), PROXY]
        self._pod = Pod(environment, names)
        self._services = {name: Container(name, self._pod.project, environment.state, self) for name in names}

    def services(self) -> list[tuple[Service, float]]:
        """Return every container with its grace in seconds, in the order of stopping."""
        return [(service, _GRACES[name]) for name, service in self._services.items()]

    def require_ports(self, *, inspect: bool) -> None:
        """Refuse when somebody else listens on a port that the proxy publishes, or has a project of our name.

        Raises
        ------
        SoundbiteError
            A port or the name is taken; the message says by whom.
        """
        for container in engine.containers(f"{compose.PROJECT_LABEL}={self._pod.project.name}"):
            owner = (container["Config"]["Labels"] or {}).get(compose.OWNER_LABEL)
            if owner != str(self.environment.state):
                whose = f"of the checkout with the state {owner}" if owner else "of somebody else"
                raise SoundbiteError(
                    f"There is a compose project {self._pod.project.name} already, {whose}: "
                    f"{container['Name'].lstrip('/')}. It was left alone.",
                    f"Choose another: COMPOSE_PROJECT=… inv …, for good in envs/{self.environment.name}.local.env.",
                )
        if self._services[PROXY].pid() is None:
            own = f"envs/{self.environment.name}.local.env"
            for key, port in self._pod.published(inspect=inspect).items():
                ports.require_free(port, key, own, engine.publisher(port))

    def prepare(self, tell: Callable[[str], None], *, inspect: bool) -> str:
        """Build the images, and write what all services need.

        Raises
        ------
        SoundbiteError
            No engine answers, a build failed, or the name of the project is somebody else's.
        ConfigurationError
            AWS_ENDPOINT_URL is an address that containers do not reach.
        """
        engine.require()
        self._require_reachable_aws()
        self.require_ports(inspect=inspect)
        recipes = {"API_IMAGE": images.api(self.environment), "TOOLS_IMAGE": images.tools(self.environment)}
        with workers(len(recipes)) as submit:
            built = {name: submit(partial(building.image, recipe, tell)) for name, recipe in recipes.items()}
        done = {name: future.result() for name, future in built.items()}
        self._stop_if_published_otherwise(inspect=inspect)
        files.write(
            self._pod.folder / "nginx" / "nginx.conf", (paths.COMPOSE / "nginx" / "dev.conf").read_text("utf-8")
        )
        (self._pod.folder / "nginx").chmod(0o755)  # however strict the umask: nginx has a user of its own
        self._pod.begin({name: each.name for name, each in done.items()}, inspect=inspect)
        fresh = [each.name for each in done.values() if each.fresh]
        return f"built {', '.join(fresh)}" if fresh else "unchanged"

    def follow_processor(self, cloud: Cloud, function: str, log_group: str) -> None:
        """Show the processor's log, and keep its code fresh."""
        name = self.environment.name
        argv = ["python", "-m", "soundbite.platforms.processor", name, function, log_group]
        chosen = {
            key: each.text
            for key, each in self.environment.settings.items()
            if each.origin.source in {"process", "--set"}
        }
        aws, secret_files = credentials.lent(cloud, self._pod.folder)
        folder = self._app_folder()
        self._pod.give(
            PROCESSOR,
            chosen | aws | {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},  # noqa: S108 - its own tmpfs
            secret_files,
            {
                "command": argv,
                "volumes": [f"{volume}:{folder}/{path}:ro" for volume, path in self._pod.outputs().items()],
            },
        )
        self._up(PROCESSOR)

    def start_app(self, cloud: Cloud, output: Callable[[str], str], *, inspect: bool) -> bool:
        """Start the application with reload, unless it runs already with the same settings.

        Returns
        -------
        bool
            Whether it was started now.

        Raises
        ------
        SoundbiteError
            A reference leads nowhere, or compose failed.
        """
        environment = self.environment
        own = {"HOST": "127.0.0.1", "PORT": APP_PORT, "RELEASE": WORKING_TREE, "REVISION": checkout.revision()}
        if inspect:
            own["INSPECT"] = f"0.0.0.0:{INSPECT_PORT}"
        variables, secret_files = handover.given(cloud, output, self._pod.folder, own)
        here = self._image_folder()
        volumes = [
            *(f"{environment.app_dir / source}:{here}/{source}:ro" for source in self._sources()),
            *(f"{volume}:{here}/{path}" for volume, path in self._pod.outputs().items()),
        ]
        before = self._services[APP].identity()
        self._pod.give(APP, variables, secret_files, {"volumes": volumes})
        self._up(APP)
        return self._services[APP].identity() != before

    def images(self) -> tuple[str, str, str]:
        """Return the image that was built for the application, its id, and the id of what its container runs.

        An id is empty where there is no such image, or no container.
        """
        name = self._pod.image
        built, runs = engine.image(name), engine.service(self._pod.project.name, compose_name(APP))
        return name, str(built["Id"]) if built else "", str(runs["Image"]) if runs else ""

    def await_ready(self) -> None:
        """Wait until the application is up and what it depends on answers.

        Raises
        ------
        SoundbiteError
            It ended or is not ready within APP_START_TIMEOUT; its log and its health check's words are in the message.
        """
        app = self._services[APP]
        try:
            serving.await_ready(
                self.environment, app, self.environment.app_url, f"shown by inv dev.logs --service={APP}"
            )
        except SoundbiteError as error:
            health = app.health()
            raise SoundbiteError(
                f"{error.message}\nIts health check says:\n{serving.indented(health)}", error.hint
            ) from None

    def ended(self) -> None:
        """Remove what is left of the project: its network and its volumes."""
        if all(each.pid() is None for each in self._services.values()):
            # What ended by itself is still there, and compose down fails on it once the proxy is gone.
            for each, grace in self.services():
                each.stop(grace)
            engine.run(
                compose.down(self._pod.project, volumes=True),
                timeout=_UP_TIMEOUT,
                variables=self._pod.project.variables,
            )
            self._pod.end()

    def follow(self, names: Sequence[str], show: Callable[[str, str], None], watch: Callable[[], None]) -> None:
        """Show what containers print, by name and line, until `watch`, called whenever one has ended, raises."""
        ended = threading.Event()
        wanted = {compose_name(name): name for name in names}

        def line(text: str) -> None:
            service, _, rest = text.partition("|")
            name = service.strip().rpartition("-")[0]
            if name in wanted:
                show(wanted[name], rest.removeprefix(" "))

        def stream(argv: Sequence[str], on_line: Callable[[str], None]) -> None:
            # It ends when the project is gone, or when the task ends.
            env = engine.variables_of_docker() | dict(self._pod.project.variables)
            shell.run(argv, timeout=_FOREVER, env=env, on_line=on_line, check=False)
            ended.set()

        what = ["--filter", f"label={compose.PROJECT_LABEL}={self._pod.project.name}", "--filter", "event=die"]
        with workers(2) as submit:
            submit(lambda: stream(compose.logs(self._pod.project, *wanted, lines=0, follow=True), line))
            submit(lambda: stream(["docker", "events", *what, "--format", "{{.Status}}"], lambda _: ended.set()))
            watch()
            while True:
                if ended.wait(_POLL):
                    ended.clear()
                    time.sleep(_POLL)  # one that compose replaces ends too
                    watch()

    def start_emulator(self, env: Mapping[str, str]) -> None:
        """Start the emulator's container with the variables of its process."""
        kept = {name: value for name, value in env.items() if name not in {"PATH", "HOME", "SSL_CERT_FILE"}}
        kept.pop("NODE_EXTRA_CA_CERTS", None)
        # The only way to it is a port that is published on 127.0.0.1.
        self._pod.give(EMULATOR, kept | {"BIND_HOST": "0.0.0.0", "HOME": "/tmp"}, {}, {})  # noqa: S104, S108
        self._up(EMULATOR)

    def _require_reachable_aws(self) -> None:
        """Refuse an address of AWS that is this machine's loopback: in a container it is the container's own."""
        aws = self.environment.aws.endpoint_url or ""
        if urlsplit(aws).hostname in {"127.0.0.1", "localhost", "::1"} and self.environment.emulator.mode != "embedded":
            raise ConfigurationError(
                f"AWS_ENDPOINT_URL={aws} ({self.environment.settings['AWS_ENDPOINT_URL'].origin}) is this machine's "
                "loopback, which containers do not reach.",
                "Let it listen on the engine's bridge, by default 172.17.0.1, and use that address.",
            )

    def _stop_if_published_otherwise(self, *, inspect: bool) -> None:
        """Stop everything where the proxy publishes other ports: a new proxy is a new network for all of them."""
        published = engine.published(f"{self._pod.project.name}-{PROXY}-1") if self._services[PROXY].pid() else None
        if published in {None, tuple(sorted(self._pod.published(inspect=inspect).values()))}:
            return
        for service, grace in self.services():
            if service.name == EMULATOR:
                emulator.stop(self.environment, service)
            else:
                service.stop(grace)

    def _up(self, name: str) -> None:
        argv = compose.up(self._pod.project, compose_name(name))
        projects.run(argv, self._pod.project, timeout=_UP_TIMEOUT)

    def _sources(self) -> list[str]:
        """Return the folders of the source, which the image has too, and which are mounted over it."""
        app = self.environment.app
        return [each for each in app.build_inputs if (self.environment.app_dir / each).is_dir()]

    def _app_folder(self) -> str:
        """Return where the processor's container has the application's folder."""
        folder = self.environment.app.dir
        return folder if folder.startswith("/") else f"{_WORK}/{folder}"

    def _image_folder(self) -> str:
        found = engine.image(self._pod.image)
        if found is None:
            raise SoundbiteError("The application's image is gone.", "Run the same command again: it builds it.")
        return str(found["Config"]["WorkingDir"] or "/").rstrip("/")


_FOREVER = 365 * 86400.0
_POLL = 0.2

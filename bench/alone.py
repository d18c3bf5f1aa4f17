"""A deployment without two colours: the same service on the same host, by `docker compose up -d` alone."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench import rehearsed
from soundbite import paths
from tests.containers.conftest import docker
from tests.containers.load import Load
from tests.containers.rehearsals import answer

if TYPE_CHECKING:
    from bench.rehearsed import Given
    from bench.stand import Stand
    from tests.containers.rehearsals import Rehearsal

_SITE = "/srv/alone"
_WITHIN = 30.0
_PAUSE = 0.5
_FRONT = """\
services:
  front:
    image: ${NGINX_IMAGE}
    command: [nginx, -c, /etc/alone/nginx.conf, -g, daemon off;]
    user: "1000:1000"
    tmpfs: ["/tmp:mode=1777"]
    ports: ["80:8080"]
    volumes: ["${SITE}/nginx.conf:/etc/alone/nginx.conf:ro", "${SITE}/socket:/run/app"]
"""


def measure(place: Rehearsal, stand: Stand, rate: int) -> str:
    """Switch between the last two deployments in one compose project with nginx in front; tell what failed of what."""
    count = stand.times(5, quick=2)
    versions = rehearsed.last_two(place)
    proxy = place.host(1, "cat", f"{rehearsed.home(place)}/proxy/proxy.json")
    image = proxy.partition('"image": "')[2].partition('"')[0]
    ours = f"{rehearsed.home(place).rpartition('/')[2]}-proxy-proxy-1"
    names = [_name(place, version) for version in versions]
    try:
        place.host(1, "docker", "stop", ours)  # its port is wanted
        _copy(place, versions, image)
        _up(place, 0, names[0])
        with Load(place.hosts, rate) as load:
            for number in range(count):
                _up(place, (number + 1) % 2, names[(number + 1) % 2])
                time.sleep(_PAUSE)
        return f"{len(load.failed)} of {load.count} failed in {count} switches"
    finally:
        down = f"cd {_SITE}/0 && docker compose down --volumes; rm -r {_SITE}"
        place.host(1, "sh", "-c", f"[ ! -d {_SITE}/0 ] || ({down})")
        place.host(1, "docker", "start", ours)


def _name(place: Rehearsal, version: Given) -> str:
    """Return the content of a version's image."""
    return place.host(1, "docker", "run", "--rm", version.told["image"], "cat", "/app/content").strip()


def _copy(place: Rehearsal, versions: tuple[Given, Given], image: str) -> None:
    nginx = (paths.COMPOSE / "nginx" / "hosts" / "nginx.conf").read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory(prefix="soundbite-bench-") as name:
        site = Path(name) / "alone"
        (site / "socket").mkdir(parents=True)
        (site / "socket").chmod(0o777)
        site.chmod(0o755)
        (site / "nginx.conf").write_text(nginx.replace("/run/colours/live/", "/run/app/"), encoding="utf-8")
        for number, version in enumerate(versions):
            write(site / str(number), version, "alone", f"{_SITE}/socket", NGINX_IMAGE=image, SITE=_SITE)
            (site / str(number) / "front.yml").write_text(_FRONT, encoding="utf-8")
            settings = site / str(number) / ".env"
            text = settings.read_text(encoding="utf-8").replace("values.json\n", "values.json:front.yml\n")
            settings.write_text(text, encoding="utf-8")
        place.host(1, "mkdir", "-p", str(Path(_SITE).parent))
        docker("cp", str(site), f"{place.container(1)}:{_SITE}")


def write(folder: Path, version: Given, project: str, sockets: str, **more: str) -> None:
    """Write what a host was given for a deployment as a folder in which `docker compose up` is enough."""
    folder.mkdir()
    for name, text in version.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    variables = {
        **version.told["variables"],
        "COMPOSE_PROJECT": project,
        "COMPOSE_PROJECT_NAME": project,
        "COMPOSE_FILE": ":".join(version.told["compose"]),
        "API_IMAGE": version.told["image"],
        "DEPLOYMENT": version.deployment,
        "RELEASE": version.told["release"],
        "SOCKETS": sockets,
        **more,
    }
    (folder / ".env").write_text("".join(f"{key}={value}\n" for key, value in variables.items()), encoding="utf-8")


def _up(place: Rehearsal, number: int, name: str) -> None:
    place.host(1, "sh", "-c", f"cd {_SITE}/{number} && docker compose up -d")
    until = time.monotonic() + _WITHIN
    while True:
        try:
            if answer(place.hosts[0])["name"] == name:
                return
        except (OSError, AssertionError, ValueError):
            pass  # that is what is measured
        if time.monotonic() > until:
            raise TimeoutError(f"{name} does not answer within {_WITHIN:.0f} s")
        time.sleep(0.05)

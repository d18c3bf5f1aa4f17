"""The load balancer of a rehearsal: at APP_URL, in front of each environment's hosts."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from soundbite import building, engine, files, paths, ports
from soundbite.environment import naming
from soundbite.errors import SoundbiteError

from . import containers
from . import place as places
from .containers import Container

if TYPE_CHECKING:
    from collections.abc import Sequence

    from soundbite.environment import Environment
    from soundbite.platforms.hosts import Host

    from .network import Network
    from .place import Place

_PORT = 8080
_SERVER = """\
upstream {name} {{
{servers}
  keepalive 16;
}}
server {{
  listen {port};
  server_name {names};
  location / {{
    proxy_pass http://{name};
  }}
}}
"""
# Emulated AWS answers for a load balancer by its name, and knows by the credentials in which account to look.
_EMULATED = """\
server {{
  listen {port};
  server_name {names};
  location / {{
    proxy_pass {endpoint}/_alb/{balancer}/;
    proxy_set_header Connection "";
    proxy_set_header Host alb.localhost;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header Authorization "AWS4-HMAC-SHA256 Credential={account}/20260101/{region}/{service}/aws4_request";
  }}
}}
"""


def ensure(place: Place, environment: Environment, hosts: Sequence[Host], network: Network) -> str:
    """Have an environment's hosts, or its ECS service, answer at its APP_URL; return how that went, in a few words.

    Where somebody else has PROXY_PORT, as `inv dev.multienv` may, hosts are there all the same.

    Raises
    ------
    SoundbiteError
        Somebody else has PROXY_PORT, and the way to the ECS service leads through it; or it ended, or
        does not answer within 20 s.
    """
    folder = place.folder / "balancer"
    wanted = {
        "nginx.conf": (paths.COMPOSE / "nginx" / "balancer" / "nginx.conf").read_text(encoding="utf-8"),
        f"environments/{environment.name}.conf": _server(environment, hosts) if hosts else _emulated(environment),
    }
    for name, text in wanted.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        files.write(folder / name, text)
        (folder / name).chmod(0o644)
    return _up(place, environment, network)


def forget(place: Place, environment: str) -> None:
    """Take an environment's hosts out, or without a name all."""
    folder = place.folder / "balancer"
    if not environment:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        (folder / "environments" / f"{environment}.conf").unlink(missing_ok=True)
        _reload(place)


def _up(place: Place, environment: Environment, network: Network) -> str:
    port = environment.proxy.port
    image = building.Built(environment.hosts.proxy_image, "", environment.hosts.proxy_image, "", 0, fresh=False)
    made = Container(
        place.balancer,
        network.balancer,
        place.labels(places.BALANCER),
        [
            *("--publish", f"127.0.0.1:{port}:{_PORT}", "--read-only", "--tmpfs", "/tmp:mode=1777"),  # noqa: S108
            *("--mount", f"type=bind,source={place.folder / 'balancer'},target=/etc/soundbite,readonly"),
        ],
        "",
        ["nginx", "-c", "/etc/soundbite/nginx.conf", "-g", "daemon off;"],
    )
    found = next(iter(place.containers(places.BALANCER)), None)
    if found is not None and containers.is_right(found, made, image, network) and places.running(found):
        _reload(place)
        return f"{environment.app_url}, was running"
    if found is None or port not in engine.published(place.balancer):
        try:
            ports.require_free(port, "PROXY_PORT", "envs/rehearsal.env", engine.publisher(port))
        except SoundbiteError as taken:
            if environment.workflow.platform == "ecs":
                raise
            return f"left out: {taken.message} The hosts answer at their own addresses only"
    containers.start(found, made, image, network)
    # Asked by no environment's name, it answers by itself.
    containers.await_answer(place, places.BALANCER, "load balancer", f"127.0.0.1:{port}", "/", 404)
    return f"{environment.app_url}, started"


def _reload(place: Place) -> None:
    engine.run(["docker", "kill", "--signal=HUP", place.balancer], check=False)


def _server(environment: Environment, hosts: Sequence[Host]) -> str:
    servers = "\n".join(
        f"  server {each.address}:{environment.hosts.http_port} max_fails=2 fail_timeout=2s;" for each in hosts
    )
    return _SERVER.format(name=environment.name, servers=servers, port=_PORT, names=f"{environment.name}.localhost")


def _emulated(environment: Environment) -> str:
    aws = environment.aws
    return _EMULATED.format(
        port=_PORT,
        names=f"{environment.name}.localhost",
        endpoint=environment.endpoint_url,
        balancer=naming.balancer(environment.workflow.project, environment.name).lower(),
        account=aws.account_id,
        region=aws.region,
        service="elasticloadbalancing",
    )

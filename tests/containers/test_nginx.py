"""nginx's configuration: what nginx itself says of it, and that nothing of the templates is left over."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundbite import engine, environment, nginx, paths
from soundbite.nginx import Upstream
from tests.containers.conftest import docker

if TYPE_CHECKING:
    from pathlib import Path

IMAGE = "nginx:1.26.3"
NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
PROJECTS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,30}", fullmatch=True)
NETWORKS = st.integers(0, 4095).map(lambda number: f"172.{16 + number // 256}.{number % 256}")
UPSTREAMS = st.lists(
    st.builds(
        lambda name, project, network: Upstream(name, f"{project}-{name}-api-1", f"{network}.1", f"{network}.0/24"),
        NAMES,
        PROJECTS,
        NETWORKS,
    ),
    max_size=6,
    unique_by=(lambda each: each.environment, lambda each: each.subnet),
)


@pytest.fixture(scope="module", autouse=True)
def _image(engine: str) -> None:
    if not docker("image", "inspect", IMAGE, "--format", "{{.Id}}", check=False):
        docker("pull", "--quiet", IMAGE)


def _upstreams(count: int = 5) -> list[Upstream]:
    names = environment.order()[:count]
    return [
        Upstream(name, f"x-{name}-api-1", f"172.{20 + n}.0.1", f"172.{20 + n}.0.0/16") for n, name in enumerate(names)
    ]


def _written(folder: Path, texts: dict[str, str]) -> Path:
    """Write a configuration into a new folder that the container's user may enter."""
    for name, text in texts.items():
        path = folder / "nginx" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.parent.chmod(0o755)
    return folder / "nginx"


def _asked(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Ask nginx of a configuration, in a container that is shut in as the compose files have it."""
    return subprocess.run(
        [
            *("docker", "run", "--rm", "--network=none", "--read-only", "--tmpfs=/tmp:size=64m", "--user=1000:1000"),
            *("--cap-drop=ALL", "--security-opt=no-new-privileges:true", f"--volume={folder}:/etc/soundbite:ro"),
            *(IMAGE, "nginx", "-c", "/etc/soundbite/nginx.conf", *command),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_nginx_takes_the_configuration_of_all_environments_without_a_warning(tmp_path: Path) -> None:
    done = _asked(_written(tmp_path, nginx.multienv(_upstreams())), "-t")
    assert done.returncode == 0, done.stderr
    assert "test is successful" in done.stderr
    assert "[warn]" not in done.stderr


def test_nginx_reads_every_file_that_was_rendered(tmp_path: Path) -> None:
    texts = nginx.multienv(_upstreams())
    done = _asked(_written(tmp_path, texts), "-T")
    assert done.returncode == 0, done.stderr
    read = re.findall(r"^# configuration file /etc/soundbite/(\S+):$", done.stdout, re.MULTILINE)
    assert sorted(read) == sorted(texts)


def test_nginx_takes_the_configuration_of_a_local_environment(tmp_path: Path) -> None:
    text = (paths.COMPOSE / "nginx" / "dev.conf").read_text(encoding="utf-8")
    done = _asked(_written(tmp_path, {"nginx.conf": text}), "-t")
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_a_mistake_is_no_success(tmp_path: Path) -> None:
    texts = nginx.multienv(_upstreams())
    texts["paths/staging.conf"] += "proxy_pas oops;\n"
    done = _asked(_written(tmp_path, texts), "-t")
    assert done.returncode == 1
    assert 'unknown directive "proxy_pas" in /etc/soundbite/paths/staging.conf' in done.stderr


def test_nginx_takes_awkward_names_too(tmp_path: Path) -> None:
    awkward = [
        Upstream("a" * 30 + "-very-long-name", "p" * 63 + "-" + "a" * 30 + "-api-1", "172.30.0.1", "172.30.0.0/16"),
        Upstream("prod", "x_y-prod-api-1", "10.0.0.1", "10.0.0.0/8"),
        Upstream("b", "b-api-1", "192.168.7.1", "192.168.7.0/28"),
    ]
    done = _asked(_written(tmp_path, nginx.multienv(awkward)), "-t")
    assert done.returncode == 0, done.stderr


def test_the_configuration_of_none_is_one_too(tmp_path: Path) -> None:
    done = _asked(_written(tmp_path, nginx.multienv([])), "-t")
    assert done.returncode == 0, done.stderr


@given(UPSTREAMS)
def test_every_environment_has_its_path_and_its_name_and_no_template_is_left(upstreams: list[Upstream]) -> None:
    texts = nginx.multienv(upstreams)
    kinds = [f"{kind}s/{each.environment}.conf" for each in upstreams for kind in ("host", "path")]
    assert set(texts) == {"nginx.conf", "access.conf", *kinds}
    assert not any("@{" in text or "@@" in text for text in texts.values())
    for each in upstreams:
        first = "prod" if each.environment == "production" else each.environment
        path, host = texts[f"paths/{each.environment}.conf"], texts[f"hosts/{each.environment}.conf"]
        assert f"location /{first}/ {{" in path
        assert f"return 308 /{first}/;" in path
        assert f"rewrite ^/{first}(/.*)$ $1 break;" in path
        names = re.findall(r"server_name (.*);", host)
        assert set(names[0].split()) == {f"{each.environment}.localhost", f"{first}.localhost"}
        for text in (path, host):
            assert re.findall(r"http://(\S+):3000;", text) == [each.container]


@given(UPSTREAMS)
def test_this_machine_comes_in_before_its_network_is_shut_out(upstreams: list[Upstream]) -> None:
    rules = [line for line in nginx.multienv(upstreams)["access.conf"].splitlines() if not line.startswith("#")]
    assert rules[-1] == "allow all;"
    for each in upstreams:
        assert rules.index(f"allow {each.gateway};") < rules.index(f"deny {each.subnet};")


@pytest.mark.parametrize("name", ["dev-localstack", "dev-aws", "dev-aws-deployed", "staging"])
def test_paths_are_names(name: str) -> None:
    assert nginx.path(name) == name


def test_productions_path_is_short() -> None:
    assert nginx.path("production") == "prod"


def test_the_image_is_the_one_that_the_compose_files_name() -> None:
    for file in ("multienv.yml", "dev.yml"):
        assert f"${{NGINX_IMAGE:-{IMAGE}}}" in (paths.COMPOSE / file).read_text(encoding="utf-8")
    assert engine.image(IMAGE) is not None

"""What each environment's compose files add up to, as Compose v2 itself reads them; all but one need no engine."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from soundbite import compose, engine, paths
from soundbite.compose import Project
from soundbite.platforms import projects
from tests.conftest import ROOT, Inv
from tests.containers.conftest import docker, installed, missing

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 2**20
NODE_IMAGE = "node:24.19.0-trixie-slim"

PROMISED: dict[str, dict[str, Any]] = {
    "dev-localstack": {
        "healthcheck": {"interval": "10s", "timeout": "3s", "retries": 3, "start_period": "30s"},
        "limits": {"cpus": 1, "mem_limit": 768 * MIB, "pids_limit": 256},
        "restart": "no",
        "logs": {"max-size": "5m", "max-file": "1"},
    },
    "dev-aws": {
        "healthcheck": {"interval": "5m0s", "timeout": "10s", "retries": 3, "start_period": "30s"},
        "limits": {"cpus": 1, "mem_limit": 768 * MIB, "pids_limit": 256},
        "restart": "no",
        "logs": {"max-size": "5m", "max-file": "1"},
    },
    "dev-aws-deployed": {
        "healthcheck": {"interval": "2m0s", "timeout": "10s", "retries": 5, "start_period": "30s"},
        "limits": {"cpus": 0.5, "mem_limit": 384 * MIB, "pids_limit": 128},
        "restart": "on-failure:3",
        "logs": {"max-size": "10m", "max-file": "3"},
    },
    "staging": {
        "healthcheck": {"interval": "1m0s", "timeout": "10s", "retries": 5, "start_period": "30s"},
        "limits": {"cpus": 1, "mem_limit": 512 * MIB, "pids_limit": 128},
        "restart": "unless-stopped",
        "logs": {"max-size": "10m", "max-file": "5"},
    },
    "production": {
        "healthcheck": {"interval": "30s", "timeout": "5s", "retries": 3, "start_period": "30s"},
        "limits": {"cpus": 1.5, "mem_limit": 768 * MIB, "pids_limit": 256},
        "restart": "always",
        "logs": {"max-size": "50m", "max-file": "10"},
    },
}
LOCAL = {"dev-localstack", "dev-aws"}

VALUES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40),
    st.text(alphabet="${}:-A_ '\"\\\n\t#`!&*|>%@,[]é☃🎧", max_size=30),
)
AWKWARD = {
    "DOLLARS": "a$b $$ ${HOME} ${NOT_SET:-x} $(id) $",
    "QUOTES": """it's "quoted" `and` \\escaped\\""",
    "SPACES": "  leading, trailing and\ttabs  ",
    "LINES": "first\nsecond\r\n\nlast\n",
    "UNICODE": "Ünïcødé ☃ 🎧 \u0085\u2028\ufeff",
    "YAML": "- {a: [b, *c, &d]} # no: comment\n--- |\n",
    "NUMBER": "0123",
    "FLAG": "no",
    "EMPTY": "",
}


@pytest.fixture(scope="session", autouse=True)
def compose_v2() -> None:
    """End the tests that have no Compose v2."""
    installed("docker")
    if not docker("compose", "version", "--short", check=False):
        missing("there is no Compose v2 plugin")


def _shown(name: str, root: Path = ROOT, **more: str) -> dict[str, Any]:
    done = Inv(root)("envs.show", f"--env={name}", "--compose", "--json", **more)  # type: ignore[arg-type]
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def shown() -> dict[str, dict[str, Any]]:
    """Return what `inv envs.show --compose` says of every environment."""
    return {name: _shown(name) for name in PROMISED}


@pytest.fixture(params=list(PROMISED))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_files_are_chosen_by_namespace_and_environment(shown: dict[str, dict[str, Any]], name: str) -> None:
    namespace = "dev" if name in LOCAL else "deploy"
    assert shown[name]["files"] == [f"compose/{each}.yml" for each in ("base", namespace, name)]
    assert shown[name]["merged"]["name"] == f"soundbite-{name}"


def test_each_environment_keeps_its_own_promises(shown: dict[str, dict[str, Any]], name: str) -> None:
    api = shown[name]["merged"]["services"]["api"]
    assert {
        "healthcheck": api["healthcheck"],
        "limits": {
            "cpus": api["cpus"],
            "mem_limit": int(api["mem_limit"]),
            "pids_limit": api["pids_limit"],
        },
        "restart": api["restart"],
        "logs": api["logging"]["options"],
    } == PROMISED[name]


def test_the_promises_of_no_two_environments_are_the_same() -> None:
    assert len({json.dumps(each["healthcheck"]) for each in PROMISED.values()}) == len(PROMISED)


def test_every_container_is_shut_in(shown: dict[str, dict[str, Any]], name: str) -> None:
    services = shown[name]["merged"]["services"]
    for service, each in services.items():
        assert each["read_only"] is True, service
        assert each["cap_drop"] == ["ALL"], service
        assert "cap_add" not in each, service
        assert each["security_opt"] == ["no-new-privileges:true"], service
        assert each["init"] is True, service
        assert not each.get("privileged"), service
        assert all(":size=" in tmpfs for tmpfs in each["tmpfs"]), service
        assert each["logging"]["driver"] == "json-file", service
        assert set(each["logging"]["options"]) == {"max-size", "max-file"}, service
        assert all("docker.sock" not in volume["source"] for volume in each.get("volumes", [])), service
        assert each.get("network_mode") in {None, "service:proxy"}, service
        assert each["labels"]["soundbite.environment"] == name, service
    assert services["api"]["stop_grace_period"] == "15s"


def test_what_is_deployed_has_a_network_of_its_own_and_publishes_nothing(
    shown: dict[str, dict[str, Any]], name: str
) -> None:
    merged = shown[name]["merged"]
    if name in LOCAL:
        # Ports are published when it starts, which tests/containers/ of the local environments see.
        assert set(merged["services"]) == {"api", "proxy", "emulator", "processor"}
        return
    assert set(merged["services"]) == {"api"}
    assert "ports" not in merged["services"]["api"]
    assert list(merged["services"]["api"]["networks"]) == ["default"]
    assert list(merged["networks"]) == ["default"]
    assert merged["networks"]["default"]["name"] == f"soundbite-{name}"
    assert not merged["networks"]["default"].get("external")


@pytest.mark.parametrize("file", sorted(path.name for path in paths.COMPOSE.glob("*.yml")))
def test_nothing_is_published_beyond_this_machine(file: str) -> None:
    variables = dict.fromkeys(("NGINX_CONFIGURATION", "EMULATOR_STATE", "CHECKOUT"), "/x")
    variables |= dict.fromkeys(("COMPOSE_PROJECT", "API_IMAGE", "TOOLS_IMAGE", "ENVIRONMENT", "USER_IDS"), "x")
    variables |= dict.fromkeys(("SOCKETS", "COLOURS"), "/x") | dict.fromkeys(
        ("DEPLOYMENT", "RELEASE", "NGINX_IMAGE"), "x"
    )
    variables |= {"PROXY_PORT": "8080", "HTTP_PORT": "80", "LOCALSTACK_AUTH_TOKEN": "x"}
    whole = {"base.yml", "multienv.yml", "localstack.yml", "proxy.yml"}
    base = [paths.COMPOSE / "base.yml"] if file not in whole else []
    project = Project("x", [*base, paths.COMPOSE / file], variables)
    merged = json.loads(projects.run(compose.config(project), project).stdout)
    for service in merged["services"].values():
        if file == "proxy.yml":  # a host's, which is there to be reached: at HOSTS_HTTP_PORT and nowhere else
            assert [(port["published"], port["target"]) for port in service["ports"]] == [("80", 8080)]
        else:
            assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", []))
        assert service.get("network_mode") != "host"


def test_secrets_are_mounted_files(shown: dict[str, dict[str, Any]], name: str) -> None:
    merged = shown[name]["merged"]
    api = merged["services"]["api"]
    if name in LOCAL:
        assert "secrets" not in merged
        return
    assert api["environment"]["METRICS_TOKEN_FILE"] == "/run/secrets/METRICS_TOKEN"
    assert "METRICS_TOKEN" not in api["environment"]
    (mounted,) = api["secrets"]
    assert mounted["target"] == "METRICS_TOKEN"
    file = merged["secrets"][mounted["source"]]["file"]
    assert file == str(ROOT / ".soundbite" / name / "compose" / "secrets" / "METRICS_TOKEN")
    assert "secretsmanager:" not in json.dumps(merged)


def test_a_secret_of_any_kind_is_in_no_environment(project: Path, write_env: Callable[..., Path]) -> None:
    write_env("production", "APP_ENV_OF_SSM=ssm:/soundbite/some", "APP_ENV_OF_PROCESS=env:MY_SECRET")
    merged = _shown("production", project, MY_SECRET="correct horse battery")["merged"]
    environment = merged["services"]["api"]["environment"]
    for each in ("OF_SSM", "OF_PROCESS", "METRICS_TOKEN"):
        assert environment[f"{each}_FILE"] == f"/run/secrets/{each}"
        assert each not in environment
    assert {each["target"] for each in merged["services"]["api"]["secrets"]} == {
        "OF_SSM",
        "OF_PROCESS",
        "METRICS_TOKEN",
    }
    assert "correct horse" not in json.dumps(merged)


def test_it_is_shown_as_yaml_after_the_files(inv: Inv) -> None:
    import yaml

    done = inv("envs.show", "--env=production", "--compose")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# compose/base.yml\n# compose/deploy.yml\n# compose/production.yml\n")
    assert yaml.safe_load(done.stdout) == _shown("production")["merged"]


def test_variables_of_the_process_and_env_files_lying_about_choose_nothing(project: Path) -> None:
    stray = "COMPOSE_PROJECT=stray\nAPI_IMAGE=stray\nCOMPOSE_PROJECT_NAME=stray\nCOMPOSE_PROFILES=stray\n"
    for folder in (project, project / "compose"):
        (folder / ".env").write_text(stray)
        (folder / "compose.override.yml").write_text("services: {api: {image: stray}}\n")
    (project / "stray.yml").write_text("services: {stray: {image: stray}}\n")
    leaking = {
        "COMPOSE_FILE": str(project / "stray.yml"),
        "COMPOSE_PROJECT_NAME": "stray",
        "COMPOSE_PROJECT": "stray",
        "COMPOSE_ENV_FILES": str(project / ".env"),
        "COMPOSE_PROFILES": "stray",
        "API_IMAGE": "stray",
        "ENVIRONMENT": "stray",
        "APP_ENV_LOG_LEVEL": "stray",
    }
    assert "stray" not in json.dumps(_shown("staging", project, **leaking)).replace(str(project), "")


MISTAKES = [
    ("staging.yml", "healthcheck:", "helthcheck:", "helthcheck"),
    ("staging.yml", "retries: 5", "retries: many", "services.api.healthcheck.retries"),
    ("staging.yml", "interval: 1m", "interval: soon", "healthcheck.interval"),
    ("staging.yml", "mem_limit: 512m", "mem_limit: [512m]", "services.api.mem_limit"),
    ("staging.yml", "mem_limit: 512m", "mem_limit: lots", "mem_limit"),
    ("staging.yml", "cpus: 1.0", "cpus: 1.0\n    cpus: 2.0", '"cpus" already defined'),
    ("staging.yml", "cpus: 1.0", "cpus: ${NOBODY_SETS:?this}", "services.api.cpus"),
    ("staging.yml", "services:", "services: [", "line"),
    ("deploy.yml", "networks:", "\tnetworks:", "line"),
    ("base.yml", "image:", "imag:", "imag"),
]


@pytest.mark.parametrize(("file", "right", "wrong", "key"), MISTAKES)
def test_a_mistake_is_named_by_file_and_key(project: Path, file: str, right: str, wrong: str, key: str) -> None:
    path = project / "compose" / file
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong, 1))
    done = Inv(project)("envs.show", "--env=staging", "--compose", "--json")
    assert done.returncode == 1
    assert f"✗ compose/{file}: compose refuses it: " in done.stderr
    assert key in done.stderr
    assert json.loads(done.stdout)["exit_code"] == done.returncode
    assert "Traceback" not in done.stderr


def test_a_file_that_is_not_there_is_named(project: Path) -> None:
    (project / "compose" / "deploy.yml").unlink()
    done = Inv(project)("envs.show", "--env=staging", "--compose")
    assert done.returncode == 1
    assert "compose/deploy.yml" in done.stderr


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VALUES, min_size=1, max_size=8))
def test_values_come_through_composes_own_rewriting(values: list[str]) -> None:
    given_ = {f"V{number}": value for number, value in enumerate(values)}
    with TemporaryDirectory() as folder:
        base = Path(folder) / "base.yml"
        base.write_text("services: {api: {image: x, environment: {OF_FILE: kept}}}\n")
        last = compose.write(Path(folder) / "values.json", compose.values({"api": given_}, {}, {}))
        done = engine.run(compose.config(Project("x", [base, last])))
    found = json.loads(done.stdout)["services"]["api"]["environment"]
    # What `config` prints is a compose file again, its dollars doubled.
    assert {key: value.replace("$$", "$") for key, value in found.items()} == given_ | {"OF_FILE": "kept"}


def test_a_container_gets_every_value_byte_for_byte_and_its_secret_as_a_file(unique: str, tmp_path: Path) -> None:
    if engine.image(NODE_IMAGE) is None:
        docker("pull", NODE_IMAGE)
    secret = " $ecret ${X} 'quoted'\nand a second line 🎧\n"
    # As the workflow keeps it: in a folder that only its owner enters, readable to whoever it is mounted for.
    folder = tmp_path / "$ecrets and more"
    folder.mkdir(mode=0o700)
    file = folder / "TOKEN"
    file.write_text(secret, encoding="utf-8", newline="")
    file.chmod(0o444)
    program = (
        "const read = () => { try { return require('fs').readFileSync(process.env.TOKEN_FILE, 'utf8'); } "
        "catch (error) { return String(error); } }; "
        "process.stdout.write(JSON.stringify({ uid: process.getuid(), secret: read(), given: process.env }));"
    )
    base = tmp_path / "base.yml"
    base.write_text(
        f"services: {{api: {{image: '{NODE_IMAGE}', user: '1000:1000', read_only: true, network_mode: none}}}}\n"
    )
    more = {"api": {"command": ["node", "-e", program, "--", *AWKWARD.values()]}}
    last = compose.write(tmp_path / "values.json", compose.values({"api": AWKWARD}, {"api": {"TOKEN": file}}, more))
    project = Project(unique, [base, last])
    argv = compose.up(project)
    argv[argv.index("up") :] = ["run", "--rm", "--no-deps", "--quiet-pull", "-T", "api"]
    told = json.loads(engine.run(argv, timeout=90).stdout)
    assert {key: told["given"].get(key) for key in AWKWARD} == AWKWARD
    assert told["uid"] == 1000
    assert told["given"]["TOKEN_FILE"] == "/run/secrets/TOKEN"
    assert told["secret"] == secret
    assert "TOKEN" not in told["given"]

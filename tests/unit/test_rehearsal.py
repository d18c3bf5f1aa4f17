"""The rehearsal layer brings any environment onto this machine, and its guard lets nothing lead elsewhere."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import socket
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING
from unittest import mock

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundbite import environment
from soundbite.environment import Environment, rehearsing
from soundbite.errors import ConfigurationError
from tests.conftest import Inv

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

FIVE = ["dev-localstack", "dev-aws", "dev-aws-deployed", "staging", "production"]
HERE = {"EMULATOR_HOST": "127.0.0.1"}
"""The default is Docker's bridge, which a machine has only where an engine runs."""
ELSEWHERE = "203.0.113.7"
"""An address for documentation (RFC 5737): nobody answers there, and nobody refuses either."""

INTERFACES = {
    "lo": ["127.0.0.1", "::1"],
    "eth0": ["192.168.7.5", "2001:db8::5"],
    "docker0": ["172.17.0.1", "02:42:ac:11:00:01"],
    "br-1f0c2a": ["172.21.0.1", "fd00:21::1"],
    "vethb": ["169.254.7.7"],
}
BRIDGES = {"172.17.0.1", "172.21.0.1", "fd00:21::1"}
ADDRESSES = st.one_of(
    st.ip_addresses(v=4),
    st.ip_addresses(v=6),
    st.ip_addresses(network="127.0.0.0/8"),
    st.ip_addresses(network="172.16.0.0/12"),
    st.sampled_from(sorted(BRIDGES | {"192.168.7.5", "2001:db8::5", "::1", "0.0.0.0", "::"})).map(  # noqa: S104
        ipaddress.ip_address
    ),
    # The same IPv4 addresses, written as IPv6 ones.
    st.ip_addresses(v=4).map(lambda each: ipaddress.IPv6Address(f"::ffff:{each}")),
)


def _rehearsed(name: str, **overrides: str) -> Environment:
    """Load an environment with the layer, on a machine with the interfaces above and no variables."""
    found = {name: [SimpleNamespace(address=each) for each in listed] for name, listed in INTERFACES.items()}
    with mock.patch.object(psutil, "net_if_addrs", return_value=found), mock.patch.dict(os.environ, clear=True):
        return environment.load(name, overrides, rehearsal=True)


def _may(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback or host in BRIDGES


def _refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    assert done.returncode == 2, done.stderr
    for each in words:
        assert each in done.stderr
    assert "Traceback" not in done.stderr


def _set(path: Path, settings: dict[str, str]) -> dict[str, int]:
    """Set keys of a file, in their place where it has them; return their lines."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found: dict[str, int] = {}
    for key, value in settings.items():
        at = next((number for number, line in enumerate(lines) if line.startswith(f"{key}=")), len(lines))
        lines[at : at + 1] = [f"{key}={value}"]
        found[key] = at + 1
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


@pytest.fixture
def copied(project: Path) -> Inv:
    return Inv(project, HERE)


@pytest.fixture
def answering() -> Iterator[socket.socket]:
    """Return a socket that listens on this machine, but neither on loopback nor on a bridge."""
    addresses = [
        each.address
        for name, listed in psutil.net_if_addrs().items()
        for each in listed
        if each.family == socket.AF_INET and not name.startswith(("docker", "br-"))
        if not ipaddress.ip_address(each.address).is_loopback
    ]
    if not addresses:
        pytest.skip("this machine has no address but loopback")
    with socket.create_server((addresses[0], 0)) as listener:
        listener.setblocking(False)
        yield listener


@pytest.mark.parametrize("name", FIVE)
def test_every_environment_loads_with_the_layer(name: str) -> None:
    done = Inv(variables=HERE)("envs.show", f"--env={name}", "--rehearse", "--json")
    assert done.returncode == 0, done.stderr
    shown = {key: each["value"] for key, each in json.loads(done.stdout).items()}
    plain = json.loads(Inv()("envs.show", f"--env={name}", "--json").stdout)
    assert shown["EMULATOR"] == "embedded"
    assert shown["EMULATOR_SHARED"] == "yes"
    assert shown["AWS_ENDPOINT_URL"] == shown["AWS_PROFILE"] == ""
    assert shown["IMAGE_REPOSITORY"] == f"127.0.0.1:5005/{name}/api"
    assert shown["AWS_ACCESS_KEY_ID"] == shown["AWS_ACCOUNT_ID"] == plain["AWS_ACCOUNT_ID"]["value"]
    assert shown["COMPOSE_PROJECT"] == f"soundbite-rehearsal-{name}"
    assert shown["APP_URL"] == f"http://{name}.localhost:8080"
    assert shown["APP_DOCKER_TARGET"] == "production"
    assert shown["PROCESSOR_ENV_SPEECH"] == "offline"
    # What makes it that environment stays.
    for key in ("TABLE_TTL_DAYS", "QUEUE_VISIBILITY_TIMEOUT", "LOGS_RETENTION_DAYS", "PROCESSOR_MEMORY_MB"):
        assert shown[key] == plain[key]["value"]


def test_every_environment_is_tested_here() -> None:
    assert environment.order() == FIVE


def test_with_the_layer_a_deployed_environment_takes_variables_of_the_process_and_without_it_none() -> None:
    more = {"EMULATOR": "embedded", "PROXY_PORT": "8123", "APP_ENV_LOG_LEVEL": "debug", "STATE_DIR": "/x"}
    told = Inv(variables=HERE | more)
    for name in ("dev-aws-deployed", "staging", "production"):
        rehearsed = json.loads(told("envs.show", f"--env={name}", "--rehearse", "--json").stdout)
        assert rehearsed["PROXY_PORT"] == {"value": "8123", "origin": "process"}
        assert rehearsed["APP_ENV_LOG_LEVEL"]["value"] == "debug"
        plain = json.loads(told("envs.show", f"--env={name}", "--json").stdout)
        assert plain["EMULATOR"] == {"value": "none", "origin": "default"}
        assert plain["PROXY_PORT"]["origin"] == plain["STATE_DIR"]["origin"] == "default"
        assert plain["APP_ENV_LOG_LEVEL"]["origin"].startswith("envs/common.env:")
        assert all(each["origin"] != "process" for each in plain.values())


RULES = [
    ({"EMULATOR": "none"}, "EMULATOR", "EMULATOR=none is AWS itself"),
    (
        {"EMULATOR": "external", "AWS_ENDPOINT_URL": "https://dynamodb.eu-central-1.amazonaws.com"},
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL leads to dynamodb.eu-central-1.amazonaws.com",
    ),
    (
        {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://{ELSEWHERE}:4566"},
        "AWS_ENDPOINT_URL",
        f"AWS_ENDPOINT_URL leads to {ELSEWHERE}",
    ),
    ({"EMULATOR_HOST": "8.8.8.8"}, "EMULATOR_HOST", "EMULATOR_HOST leads to 8.8.8.8"),
    ({"EMULATOR_HOST": "::ffff:8.8.8.8"}, "EMULATOR_HOST", "EMULATOR_HOST leads to ::ffff:"),
    ({"EMULATOR_HOST": "0.0.0.0"}, "EMULATOR_HOST", "EMULATOR_HOST leads to 0.0.0.0"),  # noqa: S104
    ({"AWS_PROFILE": "somebody"}, "AWS_PROFILE", "AWS_PROFILE=somebody lends credentials to a rehearsal"),
    (
        {"IMAGE_REPOSITORY": "333333333333.dkr.ecr.eu-central-1.amazonaws.com/soundbite"},
        "IMAGE_REPOSITORY",
        "IMAGE_REPOSITORY=333333333333.dkr.ecr.eu-central-1.amazonaws.com/soundbite is not on this machine",
    ),
    (
        {"APP_ENV_AWS_ENDPOINT_URL_S3": "https://s3.eu-central-1.amazonaws.com"},
        "APP_ENV_AWS_ENDPOINT_URL_S3",
        "APP_ENV_AWS_ENDPOINT_URL_S3 would take the place of emulated AWS's own",
    ),
    (
        {"PROCESSOR_ENV_AWS_PROFILE": "somebody"},
        "PROCESSOR_ENV_AWS_PROFILE",
        "PROCESSOR_ENV_AWS_PROFILE would take the place of emulated AWS's own",
    ),
]


@pytest.mark.parametrize(("settings", "key", "said"), RULES)
@pytest.mark.parametrize("task", [("dev.multienv",), ("envs.show", "--env=staging", "--rehearse")])
def test_what_leads_elsewhere_stops_at_once(
    task: tuple[str, ...], settings: dict[str, str], key: str, said: str
) -> None:
    started = time.monotonic()
    done = Inv(variables=HERE | settings)(*task, timeout=30)
    # An attempt to connect to such an address takes 3 s to be given up, and is made three times.
    assert time.monotonic() - started < 20
    _refused(done, f"  process: {said}", "→")


@pytest.mark.parametrize(("settings", "key", "said"), RULES)
def test_a_file_that_leads_elsewhere_is_named_with_its_line(
    project: Path, settings: dict[str, str], key: str, said: str
) -> None:
    lines = _set(project / "envs" / "rehearsal.env", HERE | settings)
    done = Inv(project)("envs.show", "--env=production", "--rehearse")
    _refused(done, f"  envs/rehearsal.env:{lines[key]}: {said}")


def test_an_access_key_must_be_the_accounts(copied: Inv) -> None:
    lines = _set(copied.root / "envs" / "rehearsal.env", {"AWS_ACCESS_KEY_ID": "999999999999"})
    for task in (("dev.multienv",), ("envs.show", "--env=staging", "--rehearse")):
        where = f"envs/rehearsal.env:{lines['AWS_ACCESS_KEY_ID']}"
        _refused(copied(*task), f"  {where}: AWS_ACCESS_KEY_ID is not ${{AWS_ACCOUNT_ID}}")


def test_everything_that_leads_elsewhere_is_said_at_once(inv: Inv) -> None:
    done = inv("dev.multienv", AWS_PROFILE="x", IMAGE_REPOSITORY="example.com/soundbite", EMULATOR_HOST=ELSEWHERE)
    _refused(done, "3 problems", "AWS_PROFILE=x", "example.com/soundbite", ELSEWHERE)


def test_credentials_of_the_shell_are_not_taken() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "y"}
    shown = json.loads(Inv(variables=HERE | keys)("envs.show", "--env=staging", "--rehearse", "--json").stdout)
    assert shown["AWS_ACCESS_KEY_ID"]["value"] == "222222222222"
    assert not {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"} & set(shown)


def test_a_developers_own_file_lends_no_profile_because_the_layer_comes_after_it(
    copied: Inv, write_env: Callable[..., Path]
) -> None:
    write_env("dev-aws.local", "AWS_PROFILE=developer", "AWS_ENDPOINT_URL=https://sts.amazonaws.com", "EMULATOR=none")
    assert json.loads(copied("envs.show", "--env=dev-aws", "--json").stdout)["AWS_PROFILE"]["value"] == "developer"
    done = copied("envs.show", "--env=dev-aws", "--rehearse", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    assert shown["EMULATOR"]["value"] == "embedded"
    for key in ("AWS_PROFILE", "AWS_ENDPOINT_URL"):
        assert shown[key]["value"] == ""
        assert shown[key]["origin"].startswith("envs/rehearsal.env:")


def test_nothing_is_contacted_before_the_guard_has_spoken(answering: socket.socket) -> None:
    host, port = answering.getsockname()[:2]
    for settings in (
        {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://{host}:{port}"},
        {"EMULATOR_HOST": host, "EMULATOR_PORT": str(port)},
        {"IMAGE_REPOSITORY": f"{host}:{port}/soundbite/api"},
    ):
        for task in (("dev.multienv",), ("dev.multienv", "--down"), ("build", "--env=staging", "--push", "--rehearse")):
            _refused(Inv(variables=HERE | settings)(*task), host)
    with pytest.raises(BlockingIOError):
        answering.accept()


def test_an_address_that_is_none_is_refused_in_words(inv: Inv) -> None:
    for url in ("http://[oops", "http://:4566"):
        done = inv("envs.show", "--env=staging", "--rehearse", EMULATOR="external", AWS_ENDPOINT_URL=url)
        _refused(done, "AWS_ENDPOINT_URL", url)


def test_two_environments_that_claim_one_project_are_refused() -> None:
    done = Inv(variables=HERE)("dev.multienv", COMPOSE_PROJECT="one-for-all")
    _refused(done, "dev-aws and dev-localstack would both be the compose project one-for-all (process)")
    done = Inv(variables=HERE)("dev.multienv", PROXY_PROJECT="mine", COMPOSE_PROJECT="mine")
    _refused(done, "dev-localstack and the proxy would both be the compose project mine")


def test_where_no_engine_runs_the_bridges_address_is_refused_and_the_reason_guessed() -> None:
    with (
        mock.patch.object(psutil, "net_if_addrs", return_value={}),
        mock.patch.dict(os.environ, clear=True),
        pytest.raises(
            ConfigurationError, match=r"rehearsal\.env:\d+: EMULATOR_HOST leads to 172\.17\.0\.1.*engine run"
        ),
    ):
        environment.load("staging", rehearsal=True)


@given(ADDRESSES)
def test_the_guard_accepts_exactly_loopback_and_bridges(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    host = str(address)
    with mock.patch.object(rehearsing, "_bridge_addresses", return_value=BRIDGES):
        assert rehearsing.on_this_machine(host) == _may(host)


@given(st.sampled_from(FIVE), ADDRESSES, st.booleans())
def test_whatever_host_a_setting_names_only_this_machines_loads(
    name: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address, embedded: bool
) -> None:
    host = str(address)
    bracketed = f"[{host}]" if address.version == 6 else host
    settings = (
        {"EMULATOR_HOST": host} if embedded else {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://{bracketed}:80"}
    )
    if _may(host):
        assert _rehearsed(name, **settings).emulated
        return
    with pytest.raises(ConfigurationError, match=f"--set: .* leads to {re.escape(host)},"):
        _rehearsed(name, **settings)


@given(st.from_regex(r"[a-z0-9][a-z0-9-]{0,9}(\.[a-z0-9-]{1,9}){0,3}", fullmatch=True))
def test_of_names_only_localhost_is_this_machine(name: str) -> None:
    with mock.patch.object(rehearsing, "_bridge_addresses", return_value=BRIDGES):
        known = name == "localhost" or name in BRIDGES or re.fullmatch(r"127(\.\d{1,3}){3}", name)
        assert rehearsing.on_this_machine(name) == bool(known)


@given(ADDRESSES.filter(lambda each: each.version == 4), st.integers(1, 65535))
def test_images_come_from_this_machine_only(address: ipaddress.IPv4Address, port: int) -> None:
    repository = f"{address}:{port}/soundbite/api"
    if _may(str(address)):
        assert _rehearsed("staging", IMAGE_REPOSITORY=repository).image.repository == repository
        return
    with pytest.raises(ConfigurationError, match=f"--set: IMAGE_REPOSITORY={re.escape(repository)} is not on this"):
        _rehearsed("staging", IMAGE_REPOSITORY=repository)

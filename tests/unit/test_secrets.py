"""Binding against an emulated AWS: values, everything that is missing at once, and masks from then on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import console, emulator, environment, secrets
from soundbite.cloud import Cloud
from soundbite.environment import Reference, Setting
from soundbite.environment.layers import Origin
from soundbite.errors import ConfigurationError, SoundbiteError
from tests.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "********"

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")
"""The emulator outlives the Popen that started it, on purpose."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Return an emulated AWS with a few secrets in it."""
    (port,) = free_ports(1)
    state = str(tmp_path_factory.mktemp("state"))
    loaded = environment.load("dev-localstack", {"STATE_DIR": state, "EMULATOR_PORT": str(port)})
    made = Cloud(loaded)
    try:
        emulator.start(loaded, made, emulator.process(loaded))
        manager, parameters = made.client("secretsmanager"), made.client("ssm")
        document = {"token": "from-json", "port": 5432, "empty": "", "nothing": None, "deep": {"a": "b"}}
        for name, text in {
            "sb/plain": "plain-secret",
            "sb/json": json.dumps(document, indent=2),
            "sb/list": "[1, 2]",
        }.items():
            manager.create_secret(Name=name, SecretString=text)
        manager.create_secret(Name="sb/binary", SecretBinary=b"\x00\x01")
        parameters.put_parameter(Name="/sb/key", Value="from-ssm", Type="SecureString")
        yield made
    finally:
        emulator.stop(loaded, emulator.process(loaded))


@pytest.fixture(autouse=True)
def masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Know no other test's secrets."""
    monkeypatch.setattr(console, "_secrets", set())


def reference(text: str) -> Reference:
    """Return a reference as an env file would give it."""
    kind, _, target = text.partition(":")
    return Reference(kind, target)


def settings(**texts: str) -> dict[str, Setting]:
    """Return settings of an env file, one a line; those with a colon are references."""
    return {
        name: Setting(f"APP_ENV_{name}", text, Origin("envs/x.env", line), reference(text) if ":" in text else None)
        for line, (name, text) in enumerate(texts.items(), start=7)
    }


def no_output(name: str) -> str:
    raise ConfigurationError(f"there is no output {name}")


def bound(cloud: Cloud, text: str) -> str:
    """Return what one reference leads to."""
    return secrets.bind(settings(VALUE=text), cloud, no_output)["VALUE"]


def problem(cloud: Cloud, **texts: str) -> str:
    """Return the message of a binding that fails."""
    with pytest.raises(ConfigurationError) as failed:
        secrets.bind(settings(**texts), cloud, no_output)
    assert failed.value.exit_code == 2
    return failed.value.message


def test_a_plain_value_stays_as_it_is(cloud: Cloud) -> None:
    assert bound(cloud, "debug") == "debug"


def test_a_plain_value_is_not_masked(cloud: Cloud) -> None:
    bound(cloud, "debug")
    assert console.redact("debug") == "debug"


def test_a_whole_secret_is_bound(cloud: Cloud) -> None:
    assert bound(cloud, "secretsmanager:sb/plain") == "plain-secret"


def test_a_key_of_a_secret_is_bound(cloud: Cloud) -> None:
    assert bound(cloud, "secretsmanager:sb/json#token") == "from-json"


def test_a_number_in_a_secret_is_bound_as_text(cloud: Cloud) -> None:
    assert bound(cloud, "secretsmanager:sb/json#port") == "5432"


def test_a_secure_string_is_bound_decrypted(cloud: Cloud) -> None:
    assert bound(cloud, "ssm:/sb/key") == "from-ssm"


def test_a_variable_of_the_process_is_bound(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SB_TEST_TOKEN", "from-env")
    assert bound(cloud, "env:SB_TEST_TOKEN") == "from-env"


def test_an_output_is_bound(cloud: Cloud) -> None:
    found = secrets.bind(
        settings(TABLE="output:Database.TableName"), cloud, {"Database.TableName": "Clips"}.__getitem__
    )
    assert found == {"TABLE": "Clips"}


def test_an_output_is_not_masked(cloud: Cloud) -> None:
    secrets.bind(settings(TABLE="output:Database.TableName"), cloud, lambda _name: "Clips")
    assert console.redact("Clips") == "Clips"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("secretsmanager:sb/plain", "plain-secret"),
        ("secretsmanager:sb/json#token", "from-json"),
        ("ssm:/sb/key", "from-ssm"),
        ("env:SB_TEST_TOKEN", "from-env"),
    ],
)
def test_a_value_is_masked_once_it_is_read(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, value: str
) -> None:
    monkeypatch.setenv("SB_TEST_TOKEN", "from-env")
    bound(cloud, text)
    console.say(f"it is {value}")
    assert capsys.readouterr().err == f"it is {MASK}\n"


def test_the_whole_document_is_masked_where_one_key_was_read(cloud: Cloud) -> None:
    bound(cloud, "secretsmanager:sb/json#token")
    document = cloud.client("secretsmanager").get_secret_value(SecretId="sb/json")["SecretString"]
    assert "5432" not in console.redact(document)


def test_everything_that_is_missing_is_told_at_once_with_file_and_line(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SB_TEST_TOKEN", raising=False)
    message = problem(
        cloud,
        GOOD="secretsmanager:sb/plain",
        SECRET="secretsmanager:sb/missing",
        PLAIN="debug",
        KEY="secretsmanager:sb/json#missing",
        PARAMETER="ssm:/sb/missing",
        VARIABLE="env:SB_TEST_TOKEN",
        OUTPUT="output:Database.Missing",
    )
    first, *rest = message.splitlines()
    assert first == "5 setting(s) of dev-localstack lead nowhere:"
    assert [line.split(": ")[:2] for line in rest] == [
        ["  envs/x.env:8", "APP_ENV_SECRET=secretsmanager:sb/missing"],
        ["  envs/x.env:10", "APP_ENV_KEY=secretsmanager:sb/json#missing"],
        ["  envs/x.env:11", "APP_ENV_PARAMETER=ssm:/sb/missing"],
        ["  envs/x.env:12", "APP_ENV_VARIABLE=env:SB_TEST_TOKEN"],
        ["  envs/x.env:13", "APP_ENV_OUTPUT=output:Database.Missing"],
    ]


def test_a_missing_secret_is_told_in_the_words_of_aws(cloud: Cloud) -> None:
    assert "ResourceNotFoundException" in problem(cloud, SECRET="secretsmanager:sb/missing")


def test_a_missing_parameter_is_told_in_the_words_of_aws(cloud: Cloud) -> None:
    assert "ParameterNotFound" in problem(cloud, PARAMETER="ssm:/sb/missing")


@pytest.mark.parametrize("target", ["sb/json#missing", "sb/plain#token", "sb/list#token"])
def test_a_wrong_key_is_named_with_its_secret(cloud: Cloud, target: str) -> None:
    name, _, key = target.partition("#")
    message = problem(cloud, SECRET=f"secretsmanager:{target}")
    assert message.endswith(f"{name} is not a JSON object with the key {key}")


def test_a_problem_never_shows_the_value_of_the_secret(cloud: Cloud) -> None:
    message = problem(cloud, ONE="secretsmanager:sb/plain#token", TWO="secretsmanager:sb/json#missing")
    assert "plain-secret" not in message
    assert "from-json" not in message


def test_a_binary_secret_is_refused(cloud: Cloud) -> None:
    assert problem(cloud, SECRET="secretsmanager:sb/binary").endswith("sb/binary holds binary data, not text")


def test_an_empty_secret_is_a_problem(cloud: Cloud) -> None:
    assert problem(cloud, SECRET="secretsmanager:sb/json#empty").endswith("it is empty or not set")


def test_a_null_in_a_secret_is_a_problem(cloud: Cloud) -> None:
    problem(cloud, SECRET="secretsmanager:sb/json#nothing")


def test_an_object_in_a_secret_is_bound_as_json_or_refused(cloud: Cloud) -> None:
    try:
        found = bound(cloud, "secretsmanager:sb/json#deep")
    except ConfigurationError:
        return
    assert json.loads(found) == {"a": "b"}


@pytest.mark.parametrize("value", [None, ""])
def test_an_unset_or_empty_variable_is_a_problem(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("SB_TEST_TOKEN", raising=False)
    if value is not None:
        monkeypatch.setenv("SB_TEST_TOKEN", value)
    assert problem(cloud, TOKEN="env:SB_TEST_TOKEN").endswith("it is empty or not set")


def test_read_alone_raises_the_problem(cloud: Cloud) -> None:
    with pytest.raises(SoundbiteError, match="ResourceNotFoundException"):
        secrets.read(reference("secretsmanager:sb/missing"), cloud)


def test_an_aws_that_does_not_answer_is_told(tmp_path: Any) -> None:
    (port,) = free_ports(1)
    away = Cloud(environment.load("dev-localstack", {"STATE_DIR": str(tmp_path), "EMULATOR_PORT": str(port)}))
    message = problem(away, SECRET="secretsmanager:sb/plain")
    assert f"http://127.0.0.1:{port} does not answer secretsmanager:GetSecretValue" in message


def test_settings_without_references_need_no_aws(tmp_path: Any) -> None:
    (port,) = free_ports(1)
    away = Cloud(environment.load("dev-localstack", {"STATE_DIR": str(tmp_path), "EMULATOR_PORT": str(port)}))
    assert secrets.bind(settings(A="1", B="2"), away, no_output) == {"A": "1", "B": "2"}

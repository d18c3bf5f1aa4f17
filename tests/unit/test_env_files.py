"""Env files as a person meets them: through `inv envs.*`, with what is wrong named by file and line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Inv

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _last_line(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_the_five_environments_are_listed_in_the_order_of_promotion(inv: Inv) -> None:
    listed = json.loads(inv("envs.list", "--json").stdout)
    assert [each["name"] for each in listed] == [
        "dev-localstack",
        "dev-aws",
        "dev-aws-deployed",
        "staging",
        "production",
    ]
    accounts = {each["name"]: each["account"] for each in listed}
    assert accounts["dev-aws"] == accounts["dev-aws-deployed"]
    assert len({accounts["dev-localstack"], accounts["dev-aws"], accounts["staging"], accounts["production"]}) == 4


def test_all_five_environments_are_in_order(inv: Inv) -> None:
    done = inv("envs.check")
    assert done.returncode == 0, done.stderr
    assert "5 environments are in order" in done.stdout


def test_show_says_where_each_value_comes_from(inv: Inv) -> None:
    shown = json.loads(inv("envs.show", "--env=staging", "--json").stdout)
    assert shown["AWS_ACCOUNT_ID"]["value"] == "222222222222"
    assert shown["AWS_ACCOUNT_ID"]["origin"].startswith("envs/staging.env:")
    assert shown["APP_DIR"]["origin"].startswith("envs/common.env:")
    assert shown["EMULATOR_PORT"]["origin"] == "default"


def test_show_leaves_a_reference_a_reference(inv: Inv) -> None:
    shown = json.loads(inv("envs.show", "--env=production", "--json").stdout)
    assert shown["APP_ENV_METRICS_TOKEN"]["value"] == "secretsmanager:soundbite/production/metrics#token"


def test_an_unknown_environment_is_answered_with_the_nearest(inv: Inv) -> None:
    done = inv("envs.show", "--env=prodction")
    assert done.returncode == 2
    assert "There is no environment 'prodction'; did you mean production?" in done.stderr


def test_an_unknown_key_is_answered_with_the_nearest(project: Path, write_env: Callable[..., Path]) -> None:
    path = write_env("staging", "QUEUE_VISIBILTY_TIMEOUT=60s")
    done = Inv(project)("envs.show", "--env=staging")
    assert done.returncode == 2
    expected = f"envs/staging.env:{_last_line(path)}: QUEUE_VISIBILTY_TIMEOUT is not a key; did you mean QUEUE_VIS"
    assert expected in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("this is no binding", "cannot be parsed at 'this is no binding'"),
        ("OWNER", "OWNER has no value"),
        ('APP_ENV_X="unclosed', "cannot be parsed at 'APP_ENV_X'"),
        ("APP_ENV_X=${NO_SUCH_NAME}", "APP_ENV_X uses NO_SUCH_NAME, which is not set"),
        ("APP_ENV_X=${APP_ENV_X}", "APP_ENV_X refers to itself: APP_ENV_X → APP_ENV_X"),
        ("APP_ENV_X=${OPEN", "APP_ENV_X has a '${' that is not closed"),
        ("APP_ENV_API_TOKEN=hunter2hunter2", "APP_ENV_API_TOKEN holds a secret in the clear"),
        ("APP_ENV_DATABASE=postgres://me:hunter2@db/x", "APP_ENV_DATABASE holds a secret in the clear"),
        ("APP_ENV_X=secretsmanager:", "APP_ENV_X is not of the form secretsmanager:NAME"),
        ("APP_ENV_X=output:tables", "APP_ENV_X is not of the form output:Stack.OutputName"),
        ("PROCESSOR_ENV_X=ssm:/a/b", "PROCESSOR_ENV_X is a secret"),
        ("AWS_ACCOUNT_ID=12", "AWS_ACCOUNT_ID must be an AWS account id of 12 digits, not '12'"),
        ("QUEUE_RETENTION=15d", "QUEUE_RETENTION must be a duration from 1m to 14d"),
        ("TABLE_BACKUP=true", "TABLE_BACKUP must be yes or no, not 'true'"),
        ("AWS_ACCESS_KEY_ID=222222222222", "AWS_ACCESS_KEY_ID is for emulated AWS only"),
        ("EMULATOR=external", "EMULATOR=external needs AWS_ENDPOINT_URL"),
        ("PROMOTED_FROM=stageing", "PROMOTED_FROM names no other environment; did you mean staging?"),
        ("PROCESSOR_TIMEOUT=61s", "PROCESSOR_TIMEOUT is longer than QUEUE_VISIBILITY_TIMEOUT"),
        ("BUDGET_ERRORS=101%", "BUDGET_ERRORS must be a percentage from 0% to 100%, such as 0.1%, not '101%'"),
        ("BUDGET_ERRORS=0.1", "BUDGET_ERRORS must be a percentage"),
        ("BUDGET_P50=0ms", "BUDGET_P50 must be a duration from 1ms to 60s"),
        ("BUDGET_P50=400ms", "BUDGET_P50 is longer than BUDGET_P95"),
        ("ECS_COUNT=7", "ECS_MAX_COUNT is smaller than ECS_COUNT=7"),
        ("ECS_CPU=4096", "ECS_MEMORY_MB=1024 is no size that Fargate has for ECS_CPU=4096"),
        ("AWS_REGION=", "AWS_REGION must not be empty"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(
    project: Path, write_env: Callable[..., Path], line: str, says: str
) -> None:
    key = line.partition("=")[0]
    path = project / "envs" / "staging.env"
    lines = [each for each in path.read_text(encoding="utf-8").splitlines() if not each.startswith(f"{key}=")]
    path.write_text("\n".join([*lines, line]) + "\n", encoding="utf-8")
    done = Inv(project)("envs.check")
    assert done.returncode == 2
    assert f"envs/staging.env:{_last_line(path)}: {says}" in done.stderr
    assert "hunter2" not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_a_cycle_over_two_files_is_shown_whole(project: Path, write_env: Callable[..., Path]) -> None:
    write_env("common", "APP_ENV_A=${APP_ENV_B}")
    write_env("staging", "APP_ENV_B=${APP_ENV_A}")
    done = Inv(project)("envs.show", "--env=staging")
    assert done.returncode == 2
    assert "APP_ENV_A → APP_ENV_B → APP_ENV_A" in done.stderr


def test_everything_wrong_is_said_at_once(project: Path, write_env: Callable[..., Path]) -> None:
    write_env("staging", "APP_ENV_X=${NOPE}", "FOO=1", "LOGS_RETENTION_DAYS=4")
    write_env("production", "BAR=1")
    done = Inv(project)("envs.check")
    assert done.returncode == 2
    for said in ("uses NOPE", "FOO is not a key", "LOGS_RETENTION_DAYS", "BAR is not a key"):
        assert said in done.stderr


def test_a_variable_missing_in_one_environment_is_found(project: Path, write_env: Callable[..., Path]) -> None:
    for name in ("dev-localstack", "dev-aws", "dev-aws-deployed", "staging"):
        write_env(name, "APP_ENV_FEATURE=on")
    done = Inv(project)("envs.check")
    assert done.returncode == 2
    assert "APP_ENV_FEATURE is missing in envs/production.env" in done.stderr


def test_an_empty_value_says_that_it_is_meant(project: Path, write_env: Callable[..., Path]) -> None:
    for name in ("dev-localstack", "dev-aws", "dev-aws-deployed", "staging"):
        write_env(name, "APP_ENV_FEATURE=on")
    write_env("production", "APP_ENV_FEATURE=")
    assert Inv(project)("envs.check").returncode == 0


def test_a_local_environment_takes_its_own_file_and_the_process(project: Path) -> None:
    (project / "envs" / "dev-localstack.local.env").write_text("APP_PORT=3111\nAPP_ENV_LOG_LEVEL=debug\n")
    shown = json.loads(Inv(project)("envs.show", "--json", APP_PORT="3222").stdout)
    assert shown["APP_PORT"] == {"value": "3222", "origin": "process"}
    assert shown["APP_ENV_LOG_LEVEL"] == {"value": "debug", "origin": "envs/dev-localstack.local.env:2"}


def test_a_deployed_environment_takes_neither(project: Path) -> None:
    (project / "envs" / "staging.local.env").write_text("APP_PORT=3111\n")
    shown = json.loads(Inv(project)("envs.show", "--env=staging", "--json", APP_PORT="3222").stdout)
    assert shown["APP_PORT"]["value"] == "3000"


def test_the_region_of_somebodys_shell_changes_nothing(inv: Inv) -> None:
    shown = json.loads(inv("envs.show", "--json", AWS_REGION="us-east-1", AWS_ACCESS_KEY_ID="999999999999").stdout)
    assert shown["AWS_REGION"]["value"] == "eu-central-1"
    assert shown["AWS_ACCESS_KEY_ID"]["value"] == ""

"""dev-aws: the same application against somebody's account; here an emulator stands for AWS."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import pytest
import yaml

from soundbite import environment
from soundbite.cloud import Cloud
from soundbite.infrastructure import assembly, gaps, stacks
from tests.conftest import free_ports
from tests.integration.conftest import Dev, copy_app, stock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ACCOUNT = "111111111111"


@pytest.fixture
def aws(tmp_path: Path, saved: Path) -> Iterator[Dev]:
    """Return dev-aws with an emulator of its own in the place of AWS; credentials of its account are set."""
    host = Dev(tmp_path / "state", copy_app(tmp_path), free_ports(3))
    stock(host, saved)
    done = host.inv("setup-localstack")
    assert done.returncode == 0, done.stderr
    made = Dev(host.state, host.app, [host.ports[0], 0, host.ports[2]], env="dev-aws")
    made.variables = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{host.ports[1]}",
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "test",
        "PROCESSOR_ENV_SPEECH": "offline",  # the emulator has no Polly
    }
    yield made
    made.inv("dev.down", "--env=dev-aws")
    host.destroy()


def filled(aws: Dev) -> None:
    """Do what AWS does, and the CloudFormation of the emulator in its place does not."""
    given = {"EMULATOR": "external", "AWS_ENDPOINT_URL": aws.variables["AWS_ENDPOINT_URL"]}
    here = environment.load("dev-aws", {**given, "AWS_ACCESS_KEY_ID": ACCOUNT, "PROCESSOR_ENV_SPEECH": "offline"})
    gaps.fill(Cloud(here), assembly.synth(here, aws.app / "dist" / "processor"))


def toolkit(aws: Dev, account: str) -> tuple[object, dict[str, str]]:
    """Return the template and the parameters of an account's CDKToolkit."""
    session = boto3.Session(aws_access_key_id=account, aws_secret_access_key="test", region_name="eu-central-1")
    client = session.client("cloudformation", endpoint_url=aws.variables["AWS_ENDPOINT_URL"])
    (stack,) = client.describe_stacks(StackName=stacks.TOOLKIT)["Stacks"]
    template = client.get_template(StackName=stacks.TOOLKIT)["TemplateBody"]
    given = {each["ParameterKey"]: each["ParameterValue"] for each in stack["Parameters"]}
    return yaml.safe_load(template) if isinstance(template, str) else template, given


def test_without_credentials_it_refuses(aws: Dev) -> None:
    del aws.variables["AWS_ACCESS_KEY_ID"], aws.variables["AWS_SECRET_ACCESS_KEY"]
    done = aws.inv("dev.aws", "--detach", HOME="/nonexistent")
    assert done.returncode == 2
    assert "There are no usable credentials for dev-aws (account 111111111111)" in done.stderr


def test_another_account_is_refused(aws: Dev) -> None:
    done = aws.inv("dev.aws", "--detach", "--deploy", "--yes", AWS_ACCESS_KEY_ID="222222222222")
    assert done.returncode == 2
    assert "belong to account 222222222222, but dev-aws is account 111111111111" in done.stderr
    assert "Nothing was changed" in done.stderr


def test_it_deploys_only_when_told_and_after_showing_the_difference(aws: Dev) -> None:
    refused = aws.inv("dev.aws", "--detach")
    assert refused.returncode == 3
    assert "SoundBite-dev-aws-Database" in refused.stderr
    assert "--deploy" in refused.stderr

    unasked = aws.inv("dev.aws", "--detach", "--deploy")
    assert unasked.returncode == 2
    assert "AWS::DynamoDB::Table" in unasked.stderr
    assert "There is no terminal to ask at" in unasked.stderr

    done = aws.inv("dev.aws", "--detach", "--deploy", "--yes")
    assert done.returncode == 0, done.stderr
    assert aws.health()["environment"] == "dev-aws"
    smoke = aws.inv("dev.smoke", "--env=dev-aws")
    assert smoke.returncode == 0, smoke.stderr
    # What emulated AWS was given is what `cdk bootstrap` gave this account.
    template, given = toolkit(aws, ACCOUNT)
    assert given["FileAssetsBucketKmsKeyId"] == "AWS_MANAGED_KEY"
    assert toolkit(aws, "0" * 12) == (template, given)

    filled(aws)
    # Where AWS is no emulator of ours, alarms without data are not taken for healthy, and root is warned of.
    validated = aws.inv("validate", "--env=dev-aws", "--only=identity,config,stacks,monitoring", "--json")
    assert validated.returncode == 6, validated.stderr
    found = {each["id"]: each for each in json.loads(validated.stdout)["checks"]}
    unwell = {id_: each["outcome"] for id_, each in found.items() if each["outcome"] not in {"pass", "skip"}}
    assert unwell == {"monitoring.states": "inconclusive", "identity.caller": "warn"}, validated.stdout
    assert found["monitoring.states"]["message"].startswith("without data: SoundBite-dev-aws-Observability-")

    proved = aws.inv("dev.test", "--env=dev-aws")
    assert proved.returncode == 0, proved.stderr
    assert "✓ identity.health" in proved.stderr

    other = aws.inv("cdk.diff", "--env=dev-aws", TABLE_BACKUP="yes")
    assert other.returncode == 0, other.stderr
    assert "PointInTimeRecovery" in other.stdout


def test_every_mode_is_proved_and_one_that_cannot_be_tried_is_said(aws: Dev) -> None:
    done = aws.inv("dev.test", AWS_ENDPOINT_URL="", AWS_ACCESS_KEY_ID="", HOME="/nonexistent", timeout=170)
    assert done.returncode == 6, done.stderr
    assert "── dev-localstack" in done.stderr
    assert "✓ journey.clip" in done.stderr
    assert "dev-aws could not be tried" in done.stderr


def test_an_emulator_that_runs_already_is_used_and_left_running(aws: Dev) -> None:
    other = Dev(aws.state / "external", aws.app, free_ports(3))
    other.variables = {"EMULATOR": "external", "AWS_ENDPOINT_URL": aws.variables["AWS_ENDPOINT_URL"]}
    done = other.inv("dev.localstack", "--detach")
    assert done.returncode == 0, done.stderr
    assert set(other.status()["processes"]) == {"app", "processor"}
    assert other.inv("dev.smoke").returncode == 0
    assert other.inv("dev.down").returncode == 0
    assert aws.inv("cdk.diff", "--env=dev-aws").returncode == 0


def test_destroy_wants_the_name_and_keeps_the_ledger(aws: Dev) -> None:
    assert aws.inv("cdk.deploy", "--env=dev-aws", "--yes").returncode == 0
    refused = aws.inv("cdk.destroy", "--env=dev-aws")
    assert refused.returncode == 2
    assert "--confirm=dev-aws" in refused.stderr
    done = aws.inv("cdk.destroy", "--env=dev-aws", "--confirm=dev-aws")
    assert done.returncode == 0, done.stderr
    assert "SoundBite-dev-aws-Bootstrap kept" in done.stderr
    again = aws.inv("cdk.destroy", "--env=dev-aws", "--confirm=dev-aws")
    assert "nothing was there" in again.stderr

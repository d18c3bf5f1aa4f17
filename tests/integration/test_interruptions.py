"""Ctrl-C and SIGTERM in every phase: the right exit code, nothing left running, the next run works."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING

import boto3
import psutil
import pytest

from tests.integration.conftest import until

if TYPE_CHECKING:
    from tests.integration.conftest import Dev

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
_ENDLESS = "sleep 4711"


def _endless(dev: Dev) -> bool:
    """Tell whether the endless command of the phase runs, in the application's folder."""
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-1:] == _ENDLESS.split()[-1:] and process.cwd() == str(dev.app):
                return True
        except psutil.Error:
            continue
    return False


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(("signum", "code"), SIGNALS)
@pytest.mark.parametrize("key", ["APP_INSTALL", "APP_BUILD", "APP_RELOAD"])
def test_while_a_command_of_the_application_runs(dev: Dev, signum: signal.Signals, code: int, key: str) -> None:
    up = dev.foreground(**{key: _ENDLESS})
    until(lambda: _endless(dev) or up.process.poll() is not None, f"{key} to run")
    assert up.process.poll() is None, up.end(signum) and up.output
    started = time.monotonic()
    assert up.end(signum) == code
    assert time.monotonic() - started < 10
    assert "Interrupted." in up.output
    assert "Traceback" not in up.output
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_before_anything_is_changed(dev: Dev) -> None:
    for after in ("✓ emulator", "✓ account"):
        for signum, code in SIGNALS:
            _cut(dev, signum, code, after)
    _works(dev)


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_while_the_infrastructure_is_made(dev: Dev, signum: signal.Signals, code: int) -> None:
    for after in ("✓ infrastructure", "✓ deploy"):
        _cut(dev, signum, code, after)
    _works(dev)


def _cut(dev: Dev, signum: signal.Signals, code: int, after: str) -> None:
    """End an `inv` after one of its steps, which it gets to though others were cut off before it."""
    up = dev.foreground()
    up.wait_for(after)
    assert up.end(signum) == code
    assert "Traceback" not in up.output
    assert dev.left() == []


def _works(dev: Dev) -> None:
    """See that after all that was cut off the next one comes up."""
    dev.up()
    assert dev.inv("dev.smoke").returncode == 0


@pytest.mark.usefixtures("stocked")
@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_while_the_logs_follow_everything_ends_in_order_within_5_seconds(
    dev: Dev, signum: signal.Signals, code: int
) -> None:
    up = dev.foreground()
    up.wait_for("Logs follow")
    assert dev.inv("dev.smoke").returncode == 0
    up.wait_for("processor |")
    started = time.monotonic()
    assert up.end(signum) == code
    assert time.monotonic() - started < 5
    assert up.output.index("✓ stop app") < up.output.index("✓ stop processor") < up.output.index("✓ stop emulator")
    assert "state saved" in up.output
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_a_second_ctrl_c_does_not_cut_the_clean_up(dev: Dev) -> None:
    up = dev.foreground()
    up.wait_for("Logs follow")
    up.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert up.end(signal.SIGINT) == 130
    assert dev.left() == []


@pytest.mark.usefixtures("stocked")
def test_what_ran_before_goes_on_running(dev: Dev) -> None:
    dev.up()
    up = dev.foreground()
    up.wait_for("Logs follow")
    assert up.end(signal.SIGINT) == 130
    assert dev.health()


@pytest.mark.usefixtures("stocked")
def test_what_was_cut_off_while_it_was_bootstrapped_is_bootstrapped_again(dev: Dev) -> None:
    dev.up()
    account = boto3.Session(aws_access_key_id="0" * 12, aws_secret_access_key="x", region_name="eu-central-1")
    endpoint = f"http://127.0.0.1:{dev.ports[1]}"
    stacks = account.client("cloudformation", endpoint_url=endpoint)
    s3 = account.client("s3", endpoint_url=endpoint)

    def toolkit() -> str:
        listed = stacks.describe_stacks()["Stacks"]
        return "".join(each["StackStatus"] for each in listed if each["StackName"] == "CDKToolkit")

    for stack in ("Observability", "Compute"):  # the one reads what the other gives out
        stacks.delete_stack(StackName=f"SoundBite-dev-localstack-{stack}")
    stacks.delete_stack(StackName="CDKToolkit")
    until(lambda: not toolkit(), "the toolkit to be gone")
    # Its bucket it leaves behind.
    bucket = f"cdk-hnb659fds-assets-{'0' * 12}-eu-central-1"
    for each in s3.list_object_versions(Bucket=bucket).get("Versions", []):
        s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    s3.delete_bucket(Bucket=bucket)
    # As an interruption leaves it between two calls of cdk: a stack that is announced, and not made.
    nothing = json.dumps({"Resources": {"Nothing": {"Type": "AWS::CloudFormation::WaitConditionHandle"}}})
    stacks.create_change_set(StackName="CDKToolkit", ChangeSetName="cut", ChangeSetType="CREATE", TemplateBody=nothing)
    assert toolkit() == "REVIEW_IN_PROGRESS"
    dev.up()
    assert toolkit() in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}

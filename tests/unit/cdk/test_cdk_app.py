"""app.py is a function of one file: what is wrong in it is told in one line, and the same gives the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cdk.outputs import Outputs
from cdk.settings import Settings
from soundbite import node, paths
from soundbite.environment.keys import all_keys
from soundbite.errors import ConfigurationError

if TYPE_CHECKING:
    from .conftest import Assembly

Texts = Callable[[str, Path], dict[str, str]]


def run(settings: Path | None, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {} if settings is None else {"SYNTH_SETTINGS": str(settings)}
    return subprocess.run(
        [sys.executable, str(paths.CDK / "app.py")],
        env={"PATH": node.path_variable(), "HOME": os.environ.get("HOME", "/"), **given, **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_the_same_settings_give_the_same_bytes(
    tmp_path: Path, texts: Texts, assembly: Callable[[str], Assembly]
) -> None:
    given = texts("production", tmp_path / "assembly")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (moved / "index.mjs").write_bytes((Path(given["PROCESSOR_DIR"]) / "index.mjs").read_bytes())
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps({**given, "PROCESSOR_DIR": str(moved)}))
    done = run(settings, CDK_CONTEXT_JSON='{"aws:cdk:enable-path-metadata": true}', CDK_DEBUG="1", AWS_REGION="xx-x-1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files(tmp_path / "assembly") == files(assembly("production").folder)


def test_another_processor_is_another_hash_in_a_template_and_that_is_what_is_not_validated_again(
    tmp_path: Path, texts: Texts, assembly: Callable[[str], Assembly], synthesize: Callable[[dict[str, str]], Assembly]
) -> None:
    other = tmp_path / "processor"
    other.mkdir()
    (other / "index.mjs").write_text("export const handler = async () => 'another';\n")
    given = {**texts("production", tmp_path / "assembly"), "PROCESSOR_DIR": str(other), "VALIDATE": "no"}
    made, former = synthesize(given), assembly("production")
    assert made.stacks == former.stacks
    hashes = [
        next(
            key
            for each in one.resources("AWS::Lambda::Function").values()
            if (key := each["Properties"]["Code"]["S3Key"])
        )
        for one in (made, former)
    ]
    assert hashes[0] != hashes[1]
    for stack in made.stacks:
        text = json.dumps(made.template(stack)).replace(hashes[0], hashes[1])
        assert json.loads(text) == former.template(stack), stack


@pytest.mark.parametrize("validate", ["yes", "no"])
def test_a_template_against_the_rules_of_cloudformation_is_refused_where_it_is_validated(
    tmp_path: Path, texts: Texts, assembly: Callable[[str], Assembly], validate: str
) -> None:
    from aws_cdk import CfnResource, Stack

    from cdk.application import build

    assembly("staging")  # the library is there, and finds node
    app = build(Settings.parse({**texts("staging", tmp_path / "assembly"), "VALIDATE": validate}))
    CfnResource(Stack(app, "Wrong"), "Bucket", type="AWS::S3::Bucket", properties={"NoSuchProperty": 1})
    if validate == "no":
        app.synth()
        return
    with pytest.raises(Exception, match="alidation"):
        app.synth()


def test_the_assembly_holds_the_processor_and_no_path_of_this_machine(
    assembly: Callable[[str], Assembly], processor: Path
) -> None:
    made = files(assembly("production").folder)
    assert [name for name in made if name.startswith("asset.") and name.endswith("/index.mjs")]
    for place in (str(processor), str(paths.ROOT), str(assembly("production").folder)):
        assert not [name for name, content in made.items() if place.encode() in content], place


def test_a_missing_setting_is_named_and_ends_with_2(tmp_path: Path, texts: Texts) -> None:
    given = texts("staging", tmp_path / "assembly")
    del given["TABLE_TTL_DAYS"], given["QUEUE_VISIBILITY_TIMEOUT"]
    settings = tmp_path / "settings.json"
    settings.write_text(json.dumps(given))
    done = run(settings)
    assert done.returncode == 2
    assert "TABLE_TTL_DAYS, QUEUE_VISIBILITY_TIMEOUT missing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "assembly").exists()


def test_without_settings_it_ends_with_2(tmp_path: Path) -> None:
    done = run(None)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "SYNTH_SETTINGS is not set" in done.stderr


@pytest.mark.parametrize(
    ("content", "said"), [(None, "No such file"), ("{", "not JSON"), ("[]", "not an object"), ('{"A": 1}', "not an")]
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=said):
        Settings.read(str(file))


@pytest.mark.parametrize(
    ("key", "text", "said"),
    [
        ("QUEUE_VISIBILITY_TIMEOUT", "soon", "QUEUE_VISIBILITY_TIMEOUT must be a duration"),
        ("QUEUE_VISIBILITY_TIMEOUT", "1500ms", "whole seconds"),
        ("RETAIN_DATA", "true", "RETAIN_DATA must be yes or no"),
        ("PLATFORM", "host", "PLATFORM must be one of local, hosts, ecs"),
        ("PLATFORM", "", "PLATFORM must not be empty"),
        ("HOSTS_COUNT", "21", "HOSTS_COUNT must be"),
        ("PROJECT", "", "PROJECT must not be empty"),
        ("PROCESSOR_DIR", "/nowhere/at/all", "PROCESSOR_DIR is not a folder: /nowhere/at/all"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, texts: Texts, key: str, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Settings.parse({**texts("staging", tmp_path), key: text})


def test_settings_are_typed(tmp_path: Path, texts: Texts, processor: Path) -> None:
    settings = Settings.parse({**texts("production", tmp_path), "PROCESSOR_ENV_EMPTY": ""})
    assert (settings.queue.visibility_timeout, settings.queue.retention) == (300, 14 * 86400)
    assert settings.retain_data is True
    assert settings.platform == "hosts"
    assert (settings.hosts.count, settings.hosts.instance_type, settings.hosts.http_port) == (2, "t3.small", 80)
    assert settings.processor_dir == processor
    assert settings.processor_env["DYNAMODB_TABLE"] == "output:Database.TableName"
    assert "EMPTY" not in settings.processor_env


def test_an_unknown_output_is_answered_with_those_that_exist(
    tmp_path: Path, texts: Texts, synthesize: Callable[[Mapping[str, str]], Assembly]
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        synthesize({**texts("staging", tmp_path), "PROCESSOR_ENV_DYNAMODB_TABLE": "output:Database.TabelName"})
    assert "PROCESSOR_ENV_DYNAMODB_TABLE refers to the output Database.TabelName" in raised.value.message
    assert "did you mean Database.TableName?" in raised.value.message
    for output in ("Bootstrap.LedgerName", "Storage.BucketName", "Queue.QueueUrl", "Compute.RepositoryUri"):
        assert output in raised.value.hint


def test_a_secret_never_reaches_a_template() -> None:
    with pytest.raises(ConfigurationError, match="PROCESSOR_ENV_KEY is a secret"):
        Outputs().bind("PROCESSOR_ENV_KEY", "secretsmanager:soundbite/key")


def test_without_a_processor_there_is_no_function(
    tmp_path: Path, texts: Texts, synthesize: Callable[[Mapping[str, str]], Assembly]
) -> None:
    made = synthesize({**texts("staging", tmp_path), "PROCESSOR_DIR": "", "PROCESSOR_ARTIFACT": ""})
    assert {r["Type"] for n, r in made.resources().items() if n.startswith("Compute.")} == {"AWS::ECR::Repository"}
    outputs = {name for name, output in made.template("Compute")["Outputs"].items() if "Export" not in output}
    assert outputs == {"RepositoryUri", "RepositoryName"}


def test_an_assembly_leaves_nothing_to_be_asked_of_aws(each: Assembly) -> None:
    assert "missing" not in json.loads((each.folder / "manifest.json").read_text())


def test_every_retention_that_settings_allow_is_one_of_cloudwatch(
    synthesize: Callable[[Mapping[str, str]], Assembly],
) -> None:
    from cdk.stacks.compute import LOG_RETENTION

    assert list(map(str, LOG_RETENTION)) == all_keys()["LOGS_RETENTION_DAYS"].kind.name.split(" / ")

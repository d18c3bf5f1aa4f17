"""What holds for every task: exit codes, chains, refusals, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT, Inv, own_code

if TYPE_CHECKING:
    from invoke import Collection


@pytest.mark.parametrize("flag", ["--dry", "-R", "--warn-only", "-w"])
def test_invokes_own_pretending_is_refused(inv: Inv, flag: str) -> None:
    done = inv(flag, "envs.list")
    assert done.returncode == 2
    assert "is refused: tasks would report what did not happen" in done.stderr
    assert "production" not in done.stdout


@pytest.mark.parametrize("name", ["INVOKE_RUN_DRY", "INVOKE_RUN_WARN"])
def test_pretending_by_a_variable_is_refused_too(inv: Inv, name: str) -> None:
    inv.variables[name] = "1"
    assert inv("envs.list").returncode == 2


def test_an_unknown_task_is_exit_1(inv: Inv) -> None:
    assert inv("envs.lst").returncode == 1


def test_tasks_chain_and_stop_at_the_first_failure_with_its_exit_code(inv: Inv, tmp_path: Path) -> None:
    done = inv("envs.check", "dev.smoke", "cdk.synth", "--env=staging", STATE_DIR=str(tmp_path))
    assert done.returncode == 1
    assert "5 environments are in order" in done.stdout
    assert "dev-localstack is not running" in done.stderr
    assert "synth" not in done.stderr


def test_a_chain_keeps_the_exit_code_of_a_wrong_setting(inv: Inv) -> None:
    done = inv("envs.show", "--env=nope", "envs.list")
    assert done.returncode == 2
    assert "production" not in done.stdout


def test_a_chain_that_succeeds_runs_every_task(inv: Inv) -> None:
    done = inv("envs.check", "envs.list")
    assert done.returncode == 0
    assert done.stdout.index("in order") < done.stdout.index("PLATFORM".lower())


def test_an_unexpected_error_is_one_line_and_a_log(project: Path) -> None:
    model = own_code(project) / "environment" / "checking.py"
    model.write_text(model.read_text(encoding="utf-8").replace("messages: list[str] = []", "raise KeyError('boom')", 1))
    done = Inv(project)("envs.check")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Unexpected KeyError: 'boom'. This is a bug in the workflow." in done.stderr
    log = Path(done.stderr.rpartition("The traceback is in ")[2].strip())
    assert "KeyError" in log.read_text(encoding="utf-8")


def test_debug_shows_the_traceback(project: Path) -> None:
    model = own_code(project) / "environment" / "checking.py"
    model.write_text(model.read_text(encoding="utf-8").replace("messages: list[str] = []", "raise KeyError('boom')", 1))
    done = Inv(project)("--debug", "envs.check")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


READS = {
    *("audit", "ci-summary", "ci.summary", "doctor", "health", "history", "status", "validate"),
    *(
        "cdk.diff",
        "dev.status",
        "envs.check",
        "envs.list",
        "envs.show",
        "images.list",
        "lock.status",
        "rehearse.status",
    ),
    *("hosts.list", "hosts.logs", "hosts.ping", "releases.show"),
}
"""What only looks: a program may want to read it."""

CHANGES = {
    *("deploy.to", "deploy.dev-aws-deployed", "deploy.staging", "deploy.production", "rollback"),
    *("hosts.converge", "hosts.exec", "hosts.prepare", "hosts.switch", "cdk.deploy", "cdk.destroy"),
}
"""What changes an environment that is deployed to: whoever runs it may want to see first what it would do."""


@pytest.fixture
def namespace(monkeypatch: pytest.MonkeyPatch) -> Collection:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    # Imported anew: Invoke takes the help out of a task as it reads it, and another test may have made it read.
    for name in [name for name in sys.modules if name.partition(".")[0] == "tasks"]:
        monkeypatch.delitem(sys.modules, name)
    import tasks as root

    return root.namespace


@pytest.mark.parametrize(("names", "flag"), [(READS, "json"), (CHANGES, "plan")], ids=["reads", "changes"])
def test_what_reads_has_json_and_what_changes_has_a_plan(namespace: Collection, names: set[str], flag: str) -> None:
    flags = {name: {each.name for each in namespace[name].flags()} for name in names}
    assert [name for name in sorted(names) if flag not in flags[name]] == []


def test_a_task_that_fails_tells_it_in_json_too(inv: Inv) -> None:
    done = inv("deploy.staging", "--json", "--set=NOPE=1", "--rehearse")
    assert done.returncode == 2
    told = json.loads(done.stdout)
    assert told["exit_code"] == 2
    assert "NOPE" in told["error"]
    assert told["hint"] in done.stderr


def test_every_task_has_help_and_no_positional_argument(namespace: Collection) -> None:
    for name in namespace.task_names:
        task = namespace[name]
        assert task.__doc__, name
        assert task.positional == [], name
        for argument in task.flags():
            if argument.name != "help":
                assert argument.help, f"{name} --{argument.name} has no help"


def test_the_parser_knows_the_flags_of_what_is_named_and_of_nothing_else(
    namespace: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["inv"])
    none = {context.name for context in namespace.to_contexts() if not context.args}
    assert {"deploy.staging", "cdk.synth", "ci-summary", "setup-localstack"} <= none
    for name, aliases in namespace.task_names.items():
        flags = {each.name for each in namespace[name].flags()}
        for called in (name, *aliases):
            monkeypatch.setattr(sys, "argv", ["inv", "--debug", called])
            context = next(each for each in namespace.to_contexts() if each.name == name)
            assert {each.name for each in context.args.values()} == flags, called


@pytest.mark.parametrize(
    ("words", "code"), [(["envs.list"], 0), (["--list"], 141), (["--help", "dev.localstack"], 141)], ids=str
)
def test_a_reader_that_goes_away_is_no_error(inv: Inv, words: list[str], code: int) -> None:
    import subprocess

    from tests.conftest import clean_environ

    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        inv.argv(*words), env=clean_environ(), stdout=write, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write)
    assert "Traceback" not in done.stderr
    assert done.returncode == code


def test_httpx_leaves_its_command_line_and_http2_where_they_are() -> None:
    loaded = (
        "import sys, soundbite, httpx, httpcore; sys.exit(bool({'click', 'pygments', 'rich', 'h2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, check=False).returncode == 0

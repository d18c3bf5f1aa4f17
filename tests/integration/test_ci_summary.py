"""`inv ci.summary`: it tells what the last run of `inv test` earned, and nothing more."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.conftest import Inv, clean_environ, free_ports
from tests.integration.conftest import until

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = {"HOME": "/nonexistent", "DOCKER_HOST": "unix:///none"}
HARNESS = """
import sys
from pathlib import Path
from soundbite.ci import testing
from soundbite.ci.testing import Suite

def suites(file, more=()):
    python = [sys.executable, "-c"]
    write = "import sys; from pathlib import Path; Path(sys.argv[1]).write_text(sys.argv[2])"
    return [
        Suite("mypy", "static", [*python, "print(1)"]),
        Suite("vitest", "app", [*python, write, str(file("vitest.xml")), VITEST]),
        Suite("pytest", "python", [*python, write + "; " + LAST, str(file("pytest.xml")), PYTEST, *more]),
    ]

testing._prepare = lambda: None
testing.suites = suites
sys.exit(testing.run([each for each in sys.argv[1].split(",") if each], sys.argv[2:]))
"""
WELL = '<testsuites><testsuite tests="{tests}" failures="{failed}" errors="0" skipped="{skipped}"/></testsuites>'


@dataclass
class Checkout:
    """A copy of the project under git, in which `inv test` is run with suites that are quick."""

    root: Path

    def git(self, *arguments: str) -> str:
        options = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(self.root), *options, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def argv(self, pytest: str, last: str, only: str, more: tuple[str, ...]) -> list[str]:
        well = WELL.format(tests=3, failed=0, skipped=0)
        names = f"VITEST, PYTEST, LAST = {well!r}, {pytest!r}, {last!r}\n"
        return [sys.executable, "-c", names + HARNESS, only, *more]

    def test(
        self,
        *more: str,
        tests: int = 10,
        failed: int = 0,
        skipped: int = 2,
        only: str = "",
        last: str = "",
        xml: str = "",
        **variables: str,
    ) -> int:
        """Run `inv test`; `last` is what pytest does at its end, `xml` what it leaves."""
        results = xml or WELL.format(tests=tests, failed=failed, skipped=skipped)
        done = subprocess.run(
            self.argv(results, last or f"sys.exit({int(bool(failed))})", only, more),
            cwd=self.root,
            env=clean_environ(**variables),
            timeout=60,
            check=False,
        )
        return done.returncode

    def start(self) -> subprocess.Popen[bytes]:
        """Start an `inv test` that hangs in pytest."""
        return subprocess.Popen(
            self.argv("", "import time; time.sleep(60)", "", ()),
            cwd=self.root,
            env=clean_environ(),
            start_new_session=True,
        )

    def run(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.root / ".soundbite" / "tests" / "run.json").read_text()))
        except FileNotFoundError:
            return {"suites": []}

    def summary(self, *arguments: str, **more: str) -> str:
        nowhere = NOWHERE | {"EMULATOR_PORT": str(free_ports(1)[0])}
        done = Inv(self.root, nowhere | more)("ci.summary", *arguments)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout

    def told(self) -> dict[str, Any]:
        return dict(json.loads(self.summary("--json")))


@pytest.fixture
def checkout(project: Path) -> Checkout:
    made = Checkout(project)
    (project / ".gitignore").write_text(".soundbite/\n__pycache__/\n.coverage*\n")
    made.git("init", "-q", "-b", "main")
    made.git("add", ".")
    made.git("commit", "-qm", "A commit")
    return made


def test_what_passed_on_this_commit_has_a_tick(checkout: Checkout) -> None:
    assert checkout.test() == 0
    told = checkout.told()
    revision = checkout.git("describe", "--always", "--abbrev=12")
    assert told["checkout"] == {"branch": "main", "revision": revision, "commit": revision, "clean": True}
    tests = told["tests"]
    assert (tests["outcome"], tests["doubts"]) == ("pass", [])
    assert tests["run"]["revision"] == revision
    assert tests["run"]["finished"]
    assert {each["name"]: each["outcome"] for each in tests["suites"]} == dict.fromkeys(
        ("mypy", "vitest", "pytest"), "passed"
    )
    assert tests["suites"][2]["tests"] == {"tests": 10, "passed": 8, "failed": 0, "skipped": 2}
    assert tests["coverage"] == {"unknown": "it was not measured"}
    text = checkout.summary()
    assert "✓ inv test" in text
    assert "8 passed, 2 skipped" in text
    assert revision in text.splitlines()[0]


def test_coverage_is_told(checkout: Checkout) -> None:
    write = (
        "import json; file = Path(sys.argv[1]); name = 'coverage' + file.stem.removeprefix('pytest') + '.json'; "
        "file.with_name(name).write_text(json.dumps({'totals': {'percent_covered': 93.14159, 'num_statements': 1000}}))"
    )
    assert checkout.test(last=write) == 0
    assert checkout.told()["tests"]["coverage"] == {"percent": 93.1, "statements": 1000}
    assert re.search(r"coverage +93\.1 %", checkout.summary())


def test_what_it_runs_keeps_what_it_compiles(checkout: Checkout) -> None:
    last = "import os; sys.exit('PYTHONDONTWRITEBYTECODE' in os.environ)"
    assert checkout.test(last=last, PYTHONDONTWRITEBYTECODE="1") == 0


def test_what_failed_on_this_commit_is_told(checkout: Checkout) -> None:
    assert checkout.test(failed=1) == 1
    tests = checkout.told()["tests"]
    assert (tests["outcome"], tests["doubts"]) == ("fail", [])
    text = checkout.summary()
    assert "✗ inv test" in text
    assert "7 passed, 1 failed, 2 skipped" in text


def test_without_a_run_nothing_is_claimed(checkout: Checkout) -> None:
    assert checkout.told()["tests"]["outcome"] == "unknown"
    text = checkout.summary()
    assert "? inv test" in text
    assert "There are no results of inv test here." in text
    assert "✓" not in text


@pytest.mark.parametrize("failed", [0, 1])
def test_results_of_another_commit_are_told_as_such(checkout: Checkout, failed: int) -> None:
    checkout.test(failed=failed)
    before = checkout.git("describe", "--always", "--abbrev=12")
    checkout.git("commit", "-q", "--allow-empty", "-m", "Another")
    after = checkout.git("describe", "--always", "--abbrev=12")
    assert checkout.told()["tests"]["outcome"] == "unknown"
    text = checkout.summary()
    assert "? inv test" in text
    assert f"It ran on another commit: {before}, not {after}." in text


def test_changes_since_or_while_it_ran_take_the_tick_away(checkout: Checkout) -> None:
    checkout.test()
    (checkout.root / "new.txt").write_text("new")
    text = checkout.summary()
    assert "? inv test" in text
    assert "There are changes since that no commit has." in text
    checkout.test()
    assert "with changes that no commit has, so what it ran on is not known" in checkout.summary()
    (checkout.root / "new.txt").unlink()
    assert "? inv test" in checkout.summary()
    checkout.test(last="Path('another.txt').write_text('x')")
    assert "The checkout changed while it ran" in checkout.summary()


def end(process: subprocess.Popen[bytes], signum: signal.Signals) -> None:
    """End an `inv test`, and with it what it has started."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signum)
    process.wait()
    for each in started:
        with suppress(psutil.NoSuchProcess):
            each.kill()


def test_an_unfinished_run_is_told_as_what_it_is(checkout: Checkout) -> None:
    checkout.test()
    process = checkout.start()
    try:
        until(
            lambda: [each["outcome"] for each in checkout.run()["suites"]] == ["passed", "passed", "waiting"], "vitest"
        )
        going = checkout.summary()
        assert "? inv test" in going
        assert "It goes on: pytest is to come." in going
    finally:
        end(process, signal.SIGKILL)
    cut = checkout.told()["tests"]
    assert cut["outcome"] == "unknown"
    assert cut["doubts"] == ["It was cut off: pytest is missing."]
    assert cut["suites"][2]["tests"] is None


def test_a_part_is_told_as_a_part(checkout: Checkout) -> None:
    checkout.test(only="static,app")
    text = checkout.summary()
    assert "? inv test" in text
    assert "Only static, app ran (--only)." in text
    assert "pytest" not in text
    checkout.test("-k", "envs")
    assert "pytest ran with more arguments, which may leave tests out: -k envs" in checkout.summary()


@pytest.mark.parametrize(
    "xml",
    [
        "<testsuites><testsuite",
        "no XML",
        "<html/>",
        '<testsuite tests="many"/>',
        WELL.format(tests=0, failed=0, skipped=0),
        WELL.format(tests=1, failed=0, skipped=5),
        WELL.format(tests=5, failed=2, skipped=0),
    ],
)
def test_broken_results_are_no_results(checkout: Checkout, xml: str) -> None:
    assert checkout.test(xml=xml, last="sys.exit(0)") == 0
    tests = checkout.told()["tests"]
    assert tests["outcome"] == "unknown"
    assert tests["doubts"][0].startswith("pytest passed, but ")
    assert "✓" not in checkout.summary()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 2}', '{"schema": 1, "id": "x"}'])
def test_a_broken_record_is_told(checkout: Checkout, text: str) -> None:
    checkout.test()
    (checkout.root / ".soundbite" / "tests" / "run.json").write_text(text)
    assert "The record of the last run of inv test cannot be read" in checkout.told()["tests"]["doubts"][0]
    assert checkout.test() == 0
    assert checkout.told()["tests"]["outcome"] == "pass"


def test_the_run_that_began_last_is_the_one_that_counts(checkout: Checkout) -> None:
    older = checkout.start()
    try:
        until(lambda: len([each for each in checkout.run()["suites"] if each["outcome"] == "passed"]) == 2, "vitest")
        checkout.test()
        newer = checkout.run()
    finally:
        end(older, signal.SIGTERM)
    assert newer["finished"]
    assert checkout.run() == newer
    left = {each.name for each in (checkout.root / ".soundbite" / "tests").iterdir()}
    assert left == {"run.json", f"vitest-{newer['id']}.xml", f"pytest-{newer['id']}.xml"}


def test_environments_and_images_that_nobody_can_tell_are_unknown(checkout: Checkout) -> None:
    told = checkout.told()
    assert "unknown" in told["images"]
    assert not any(each["reached"] for each in told["environments"])
    markdown = checkout.summary("--markdown")
    assert "| environment | release | commit | deployed | last verdict |" in markdown
    assert "| staging | ? | ? | ? | not reached: There are no usable credentials" in markdown
    assert "### ? inv test" in markdown
    assert "✓" not in markdown


def test_github_gets_it_as_the_summary_of_the_job(checkout: Checkout, tmp_path: Path) -> None:
    checkout.test()
    checkout.git("checkout", "-q", "--detach")
    file = tmp_path / "summary.md"
    file.write_text("before\n")
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(file), "GITHUB_REF_NAME": "feature|x"}
    text = checkout.summary(**github)
    assert text.startswith("feature|x, ")
    written = file.read_text()
    assert written.startswith("before\n## feature&#124;x, ")
    assert "### ✓ inv test" in written
    checkout.summary("--json", **github)
    assert file.read_text().count("### ✓ inv test") == 2
    elsewhere = {"GITHUB_STEP_SUMMARY": str(tmp_path / "never.md")}
    checkout.summary(**elsewhere)
    assert not (tmp_path / "never.md").exists()

    github["GITHUB_STEP_SUMMARY"] = str(tmp_path / "no" / "summary.md")
    broken = Inv(checkout.root, NOWHERE | github)("ci-summary")
    assert broken.returncode == 0
    assert "The job has no summary" in broken.stderr


def test_two_forms_at_once_are_refused(checkout: Checkout) -> None:
    assert Inv(checkout.root)("ci.summary", "--json", "--markdown").returncode == 2

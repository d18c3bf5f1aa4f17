"""`inv validate` on a working environment, on one that is broken in every way, and on bad days of its own."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import jsonschema
import psutil
import pytest
from botocore.retries.standard import ExponentialBackoff

from soundbite import checks, environment
from soundbite.checks import Outcome, Scene
from soundbite.cloud import Cloud
from tests.between import Exchange, between
from tests.browsing import opened
from tests.conftest import ROOT, Inv
from tests.integration.conftest import Running
from tests.integration.faults import FAULTS
from tests.integration.faults.fault import Fault, aws, outputs
from tests.integration.faults.resources import event_source_off
from tests.integration.faults.settings import add_secret

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.integration.conftest import Dev

ENV = "--env=dev-localstack"
QUICK = "--skip=journey,performance"


def validated(dev: Dev, *arguments: str, **more: Any) -> tuple[int, dict[str, Any]]:
    """Run `inv validate`; return its exit code and its report, with the checks by id."""
    done = dev.inv("validate", ENV, "--json", *arguments, **more)
    assert "Traceback" not in done.stderr
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    return done.returncode, {**report, "checks": {each["id"]: each for each in report["checks"]}}


def unwell(report: dict[str, Any]) -> dict[str, str]:
    """Return the outcomes of the checks that somebody must look at."""
    found = {id_: each["outcome"] for id_, each in report["checks"].items()}
    return {id_: outcome for id_, outcome in found.items() if outcome not in {"pass", "skip"}}


def still_unwell(dev: Dev, only: str) -> dict[str, tuple[Outcome, str]]:
    """Run checks in this process, which has loaded already what each `inv` must; return those that are not well."""
    loaded = environment.load(dev.env, dev.inv.variables)
    checks.load_modules(loaded.workflow.checks)
    verdicts = checks.run(checks.choose(only.split(",")), Scene(loaded, Cloud(loaded), dev.state / "validate"))
    well = {Outcome.PASS, Outcome.SKIP}
    return {each.check: (each.outcome, each.message) for each in verdicts if each.outcome not in well}


@pytest.fixture(scope="module")
def running(running: Dev) -> Dev:
    """Return a local environment that is up, and is given a secret."""
    add_secret(running)
    return running


@pytest.fixture(scope="module")
def reported(running: Dev, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, dict[str, Any]]:
    """Return where the reports of a whole validation are, in GitHub Actions, its exit code, and what it printed."""
    folder = tmp_path_factory.mktemp("reports")
    files = [f"--junit={folder}/a/junit.xml", f"--markdown={folder}/report.md", f"--html={folder}/report.html"]
    github: dict[str, Any] = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    done = running.inv("validate", ENV, "--json", *files, **github)
    assert "Traceback" not in done.stderr
    assert "::error" not in done.stderr + done.stdout
    return folder, done.returncode, json.loads(done.stdout)


def test_all_is_well(reported: tuple[Path, int, dict[str, Any]]) -> None:
    folder, code, report = reported
    found = {each["id"]: each["outcome"] for each in report["checks"]}
    assert code == 0, [each for each in report["checks"] if each["outcome"] not in {"pass", "skip"}]
    assert list(found.values()).count("pass") >= 25
    assert set(found.values()) == {"pass", "skip"}
    assert all(each["message"] for each in report["checks"])
    assert all(each["title"].endswith(".") for each in report["checks"])
    assert report["complete"] is True
    assert (folder / "a" / "junit.xml").read_text().count("<testcase") == len(found)
    assert "journey.clip" in (folder / "report.md").read_text()


def test_what_is_printed_has_the_form_that_is_documented(reported: tuple[Path, int, dict[str, Any]]) -> None:
    schema = json.loads((ROOT / "docs" / "validation.schema.json").read_text())
    jsonschema.validate(reported[2], schema, cls=jsonschema.Draft202012Validator)


def test_in_github_actions_the_job_gets_a_summary_and_faults_become_annotations(
    running: Dev, reported: tuple[Path, int, dict[str, Any]], tmp_path: Path
) -> None:
    summary = (reported[0] / "summary.md").read_text()
    assert summary == (reported[0] / "report.md").read_text() + "\n"
    assert "journey.clip" in summary
    github: dict[str, Any] = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    done = running.inv("validate", ENV, "--only=api.resolves,api.reachable", **github, APP_PORT="1")
    assert done.returncode == 1
    (line,) = [each for each in (done.stdout + done.stderr).splitlines() if each.startswith("::")]
    assert re.fullmatch(r"::error title=[^:]*api\.reachable[^:]*::.*refuses connections: nothing listens there", line)
    assert "api.reachable" in (tmp_path / "summary.md").read_text()


def test_a_browser_shows_its_page(running: Dev, reported: tuple[Path, int, dict[str, Any]], browser: str) -> None:
    folder, _, report = reported
    page = folder / "report.html"
    dom = opened(browser, page, "--dump-dom")
    assert "<title>✓ Validation of dev-localstack passed</title>" in dom
    assert len(re.findall(r"<tr id=\"check-\d+\">", dom)) == len(report["checks"])
    data = next(each["data"] for each in report["checks"] if each["id"] == "performance.latency")
    points = re.search(r"<polyline class=\"trace\" points=\"([^\"]*)\"", dom)
    assert points
    assert len(points[1].split()) == len(data["latencies_ms"])
    if pictures := os.environ.get("PICTURES"):
        # Of fewer groups, so that it fits into a picture with its chart.
        running.inv("validate", ENV, "--only=identity,performance,journey", f"--html={page}")
        opened(browser, page, f"--screenshot={ROOT / pictures / 'validation.png'}", "--window-size=1100,1750")


def test_no_false_alarms(running: Dev) -> None:
    outcomes = []
    for _ in range(20):
        code, report = validated(running, QUICK)
        wrong = {id_: each for id_, each in report["checks"].items() if each["outcome"] not in {"pass", "skip"}}
        assert (code, wrong) == (0, {})
        outcomes.append({id_: each["outcome"] for id_, each in report["checks"].items()})
    assert all(each == outcomes[0] for each in outcomes)


def kept(dev: Dev) -> tuple[int, int]:
    """Count the items of the clips' table, and the files in the bucket."""
    found = outputs(dev)
    items = aws(dev, "dynamodb").scan(TableName=found["Database.TableName"], ConsistentRead=True)["Count"]
    files = aws(dev, "s3").list_objects_v2(Bucket=found["Storage.BucketName"]).get("KeyCount", 0)
    return items, files


def test_a_journey_leaves_nothing_behind(running: Dev) -> None:
    before = kept(running)
    code, report = validated(running, "--only=journey")
    assert (code, report["counts"]["pass"]) == (0, 2)
    assert kept(running) == before


def test_a_journey_where_changes_are_asked_for_is_wished_for_and_marked(running: Dev) -> None:
    posted = []

    def note(exchange: Exchange) -> None:
        if exchange.method == "POST":
            posted.append(json.loads(exchange.sent))

    before = kept(running)
    with between(running.ports[0], note) as port:
        asked = {"CONFIRM": "yes", "APP_PORT": str(port)}
        _, report = validated(running, "--only=journey", **asked)
        assert (report["counts"]["skip"], posted) == (2, [])
        code, report = validated(running, "--only=journey", "--journey", **asked)
    assert (code, report["counts"]["pass"]) == (0, 2), report
    assert {each["userId"] for each in posted} == {"validate"}
    assert kept(running) == before


def test_load_is_what_was_asked_for(running: Dev) -> None:
    code, report = validated(running, "--only=performance", "--load=30:3s")
    assert code == 0, report
    found = report["checks"]["performance.errors"]
    assert found["data"]["requests"] == 90
    latency = report["checks"]["performance.latency"]
    assert len(latency["data"]["latencies_ms"]) == 90
    assert "of 90 answers at 30/s" in latency["message"]
    assert 3 <= report["seconds"] < 15


@pytest.fixture
def warm(running: Dev) -> Dev:
    """Return what runs, its processor started: what it has not begun with cannot be taken away."""
    assert validated(running, "--only=journey.clip")[0] == 0
    return running


def _pending(exchange: Exchange) -> None:
    """Say of every clip that it is pending, so that a journey does not end."""
    if exchange.method == "GET" and exchange.path.startswith("/soundbite/") and exchange.status == 200:
        exchange.body = json.dumps({**json.loads(exchange.body), "status": "pending"}).encode()


def test_a_journey_that_is_interrupted_leaves_nothing_behind(warm: Dev) -> None:
    posted = threading.Event()

    def alter(exchange: Exchange) -> None:
        _pending(exchange)
        if exchange.method == "POST":
            posted.set()

    before = kept(warm)
    with between(warm.ports[0], alter) as port:
        inv = Running(warm.inv.start("validate", ENV, "--only=journey", APP_PORT=str(port)))
        assert posted.wait(60)
        assert inv.end(signal.SIGINT) == 130
    assert "journey.clip interrupted before it was done" in " ".join(inv.output.split())
    assert "left behind" not in inv.output
    assert kept(warm) == before


def test_a_journey_that_takes_too_long_leaves_nothing_behind(warm: Dev) -> None:
    before = kept(warm)
    with between(warm.ports[0], _pending) as port:
        code, report = validated(warm, "--only=journey.clip", "--timeout=12s", APP_PORT=str(port))
    assert (code, report["checks"]["journey.clip"]["outcome"]) == (6, "inconclusive")
    assert report["seconds"] < 13
    assert kept(warm) == before, report["checks"]["journey.clip"]["message"]


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(running: Dev, name: str) -> None:
    fault: Fault = FAULTS[name]
    with fault.seed(running) as variables:
        code, report = validated(running, f"--only={fault.only}", **variables)
        assert unwell(report) == {fault.check: fault.outcome, **fault.others}, report["checks"]
        assert fault.words in report["checks"][fault.check]["message"]
        assert [report["checks"][each]["outcome"] for each in fault.well] == ["pass"] * len(fault.well)
        assert code == (1 if fault.outcome == "fail" else 0)
        if fault.outcome == "warn":
            assert validated(running, f"--only={fault.check}", "--strict", **variables)[0] == 1
    assert still_unwell(running, fault.only) == {}


def test_nothing_hangs(running: Dev) -> None:
    emulator = psutil.Process(running.pid("emulator"))
    emulator.suspend()
    try:
        began = time.monotonic()
        code, report = validated(running, f"{QUICK},api", "--timeout=3s")
        took = time.monotonic() - began
    finally:
        emulator.resume()
    assert code == 6
    assert report["checks"]["resources.table"]["outcome"] == "inconclusive"
    assert report["seconds"] < 4
    assert took < 8  # with the start and the end of the process, on a busy machine


def test_a_check_that_hangs_where_the_process_would_wait_for_it(running: Dev, project: Path) -> None:
    (project / "hanging.py").write_text(
        "import threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from soundbite.checks import check\n\n"
        "@check('custom.pool')\n"
        "def pool(scene):\n"
        "    with ThreadPoolExecutor(1) as threads:\n"
        "        return threads.submit(threading.Event().wait).result()\n"
    )
    running.root, was = project, running.root
    try:
        began = time.monotonic()
        code, report = validated(running, "--only=custom", "--timeout=2s", CHECKS="hanging")
        took = time.monotonic() - began
    finally:
        running.root = was
    assert code == 6
    assert re.fullmatch("not done after [12] s", report["checks"]["custom.pool"]["message"])
    assert took < 7


@pytest.mark.parametrize("task", [("validate", "--timeout=2s"), ("health", "--wait=2s")])
def test_a_module_of_checks_that_hangs_while_it_is_imported(project: Path, task: tuple[str, str]) -> None:
    (project / "hanging.py").write_text(
        "import threading\n"
        "from concurrent.futures import ThreadPoolExecutor\n\n"
        "with ThreadPoolExecutor(1) as threads:\n"
        "    threads.submit(threading.Event().wait).result()\n"
    )
    done = Inv(project)(task[0], ENV, task[1], CHECKS="hanging", timeout=40)
    assert done.returncode == 6, done.stderr
    assert "CHECKS names hanging, which is still being imported" in done.stderr


def test_messages_of_unknown_age_that_nobody_takes_are_inconclusive(running: Dev) -> None:
    queue, url = aws(running, "sqs"), outputs(running)["Queue.QueueUrl"]
    with event_source_off(running):
        queue.send_message(QueueUrl=url, MessageBody=json.dumps({"clipId": "none"}))
        try:
            code, report = validated(running, "--only=resources.queue_depth")
        finally:
            queue.purge_queue(QueueUrl=url)
    assert code == 6
    assert "1 waiting" in report["checks"]["resources.queue_depth"]["message"]
    assert "no data of their age" in report["checks"]["resources.queue_depth"]["message"]


def test_rights_that_are_missing_are_named(running: Dev) -> None:
    def refuse(exchange: Exchange) -> None:
        if exchange.asked.get("X-Amz-Target", "").endswith("DescribeTimeToLive"):
            said = {"__type": "AccessDeniedException", "message": "not authorized"}
            exchange.answer(400, json.dumps(said).encode(), "application/x-amz-json-1.0")

    with between(running.ports[1], refuse) as port:
        external = {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        code, report = validated(running, "--only=resources", **external)
    assert code == 6
    found = report["checks"]["resources.table_ttl"]
    assert found["outcome"] == "inconclusive"
    assert "dynamodb:DescribeTimeToLive" in found["hint"]
    assert report["checks"]["resources.table"]["outcome"] == "pass"


def test_throttling_is_waited_for_and_then_inconclusive(running: Dev, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def throttle(exchange: Exchange) -> None:
        if exchange.asked.get("X-Amz-Target", "").endswith("DescribeTimeToLive"):
            asked.append(time.monotonic())
            said = {"__type": "ThrottlingException", "message": "Rate exceeded"}
            exchange.answer(400, json.dumps(said).encode(), "application/x-amz-json-1.0")

    with between(running.ports[1], throttle) as port:
        external = {"EMULATOR": "external", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
        code, report = validated(running, "--only=resources.table_ttl", **external)
        count = len(asked)
        # Pauses have a share of chance in them, which is taken out here.
        monkeypatch.setattr(ExponentialBackoff.__init__, "__defaults__", (20, lambda: 0.3, None, None))
        running.variables, was = running.variables | external, running.variables
        try:
            again = still_unwell(running, "resources.table_ttl")
        finally:
            running.variables = was
    assert code == 6
    found = report["checks"]["resources.table_ttl"]
    assert found["outcome"] == "inconclusive"
    assert "ThrottlingException" in found["message"]
    assert count >= 3
    assert again["resources.table_ttl"][0] is Outcome.INCONCLUSIVE
    pauses = [later - before for before, later in itertools.pairwise(asked[count:])]
    assert len(pauses) >= 2
    assert all(pause >= 0.3 * 2**number for number, pause in enumerate(pauses)), pauses


def test_an_interruption_gives_a_partial_report(running: Dev, tmp_path: Path) -> None:
    emulator = psutil.Process(running.pid("emulator"))
    markdown = tmp_path / "report.md"
    emulator.suspend()
    try:
        validating = Running(running.inv.start("validate", ENV, QUICK, f"--markdown={markdown}"))
        # The application says that AWS does not answer it; all that asks AWS itself still waits.
        validating.wait_for("api.ready")
        assert validating.end(signal.SIGINT) == 130
        said = validating.output
    finally:
        emulator.resume()
    assert "nterrupted" in said
    text = markdown.read_text()
    assert "nterrupted" in text
    assert "resources.table" in text


def test_a_report_that_cannot_be_written_takes_nothing_from_the_verdict(running: Dev) -> None:
    done = _text(running, "--only=identity", "--html=/proc/none/report.html")
    assert done.returncode == 0
    assert "/proc/none/report.html" in done.stderr
    assert "dev-localstack: pass" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only=resource"], "Did you mean resources?"),
        (["--skip=api.nothing"], "no group or check 'api.nothing'"),
        (["--only=api", "--skip=api"], "leaves no check over"),
        (["--load=fast"], "RATE:DURATION"),
        (["--load=50:30s", "--timeout=30s"], "--load=50:30s takes longer than --timeout, which is 30 s"),
        (["--timeout=soon"], "soon"),
    ],
)
def test_arguments_that_are_wrong(inv: Inv, arguments: list[str], words: str) -> None:
    done = inv("validate", ENV, *arguments)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr


def test_health(running: Dev) -> None:
    done = running.inv("health", ENV, "--json")
    assert (done.returncode, json.loads(done.stdout)["healthy"]) == (0, True)
    began = time.monotonic()
    done = running.inv("health", ENV, "--wait=2s", APP_PORT="1")
    assert done.returncode == 1
    assert "not healthy yet: api.reachable" in done.stderr
    assert time.monotonic() - began > 1.5


def _text(dev: Dev, *arguments: str) -> subprocess.CompletedProcess[str]:
    return dev.inv("validate", ENV, *arguments)

"""Reports: each form says all there is to say, whatever texts are in it, and secrets in none of them."""

from __future__ import annotations

import copy
import json
import os
import pty
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml, Skipped
from markdown_it import MarkdownIt

from soundbite import console
from soundbite.checks import Outcome, Verdict
from soundbite.reports import Report, annotate, chart, exit_code, github, junit, live, markdown, page, terminal, writing
from soundbite.reports.text import fit
from tests.conftest import ROOT, clean_environ

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = json.loads((ROOT / "docs" / "validation.schema.json").read_text())
FORMS = writing.FORMS
SECRET = "Tr0ub4dor&3 <\"'|%,:`>\nsecond\tline ü"
ANY = st.text(st.characters(), max_size=60)
"""Any text: control characters, halves of surrogate pairs and whatever has a meaning in some form."""

NASTY = [
    "",
    "two\nlines\r\nand\rmore",
    "<script>alert(1)</script>",
    "]]> &amp; &lt; <![CDATA[",
    "a | b \\| c `code` **bold** [link](javascript:1) @someone #12 $x$",
    "nul \x00 esc \x1b[31m del \x7f c1 \x9b half \ud800 not \ufffe",
    "\n::error::x%0A\n::stop-commands::y",
    "{{ 7 * 7 }}{% raw %}",
    "--> <!-- </details> <br>",
]


def verdict(check: str = "api.health", outcome: Outcome = Outcome.PASS, message: str = "well", **more: Any) -> Verdict:
    return Verdict(check, outcome, message, more.pop("seconds", 0.25), **more)


def made(*verdicts: Verdict, **more: Any) -> Report:
    known: dict[str, Any] = {
        "environment": "staging",
        "deployment": "staging-7",
        "release": "r-12",
        "commit": "abc1234",
        "who": "ada",
        "where": "here",
        "started": "2026-05-04T10:00:00Z",
        "seconds": 12.3456,
    }
    return Report(**(known | more), verdicts=verdicts)


def every_outcome(**more: Any) -> Report:
    return made(
        verdict("config.keys", title="Every key is known.", message="41 keys"),
        verdict("config.url", Outcome.WARN, "is http", hint="Use https."),
        verdict("api.health", Outcome.FAIL, "answers 503", hint="inv hosts.logs"),
        verdict("api.limit", Outcome.INCONCLUSIVE, "not done after 20 s"),
        verdict("api.clip", Outcome.SKIP, "is for local only"),
        **more,
    )


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the secrets known in this test: none of another test's."""
    known: set[str] = set()
    monkeypatch.setattr(console, "_secrets", known)
    return known


class Page(HTMLParser):
    """The texts of elements with some class, and every tag."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: dict[str, list[str]] = {}
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "p":
            self._open = (dict(attrs).get("class") or "").split()
            for name in self._open:
                self.found.setdefault(name, []).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "p":
            self._open = []

    def handle_data(self, data: str) -> None:
        for name in self._open:
            self.found[name][-1] += data


def rows(text: str) -> list[list[str]]:
    """Return the cells of the tables in a Markdown text, as a reader sees them."""
    found: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            found.append([])
        if token.type == "inline" and found and token.level >= 4:
            parts = [
                "\n" if each.type == "html_inline" and each.content == "<br>" else each.content
                for each in token.children or []
            ]
            assert {each.type for each in token.children or []} <= {"text", "text_special", "html_inline"}
            found[-1].append("".join(parts))
    return [row for row in found if row[1] != "check"]


# The model.


def test_the_report_of_each_outcome_validates() -> None:
    jsonschema.validate(every_outcome().as_json(), SCHEMA)
    jsonschema.validate(every_outcome(strict=True, interrupted="SIGINT").as_json(), SCHEMA)
    jsonschema.validate(made(deployment=None, release=None).as_json(), SCHEMA)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("field", SCHEMA["required"])
def test_without_a_field_it_does_not_validate(field: str) -> None:
    found = every_outcome().as_json()
    del found[field]
    with pytest.raises(jsonschema.ValidationError, match="is a required property"):
        jsonschema.validate(found, SCHEMA)


@pytest.mark.parametrize("field", SCHEMA["$defs"]["check"]["required"])
def test_without_a_field_of_a_check_it_does_not_validate(field: str) -> None:
    found = copy.deepcopy(every_outcome().as_json())
    del found["checks"][2][field]
    with pytest.raises(jsonschema.ValidationError, match="is a required property"):
        jsonschema.validate(found, SCHEMA)


def test_the_schema_knows_every_field() -> None:
    assert set(every_outcome().as_json()) == set(SCHEMA["required"]) == set(SCHEMA["properties"])


@given(message=ANY, data=st.dictionaries(ANY, st.one_of(ANY, st.floats(), st.integers(), st.none(), st.lists(ANY))))
def test_any_report_becomes_json_that_validates(message: str, data: dict[str, Any]) -> None:
    found = made(verdict(message=message, data=data)).as_json()
    jsonschema.validate(found, SCHEMA)
    assert json.loads(json.dumps(found, allow_nan=False, ensure_ascii=False).encode()) == found


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (made(verdict()), 0),
        (made(verdict(outcome=Outcome.WARN)), 0),
        (made(verdict(outcome=Outcome.WARN), strict=True), 1),
        (every_outcome(), 1),
        (made(verdict(outcome=Outcome.INCONCLUSIVE), verdict()), 6),
        (made(verdict(), interrupted="SIGTERM"), 6),
        (made(verdict(outcome=Outcome.SKIP)), 6),
        (made(), 6),
    ],
)
def test_the_exit_code_says_the_outcome(report: Report, code: int) -> None:
    assert report.exit_code == code


# On a terminal.


def test_each_verdict_is_a_line_with_its_mark_and_its_hint_below(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show([verdict("b.one", Outcome.SKIP, "not here"), *every_outcome().verdicts, verdict("b.two")])
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "  ✓ b.two       well",
        "  - b.one       not here",
        "  ✓ config.keys 41 keys",
        "  ! config.url  is http",
        "    → Use https.",
        "  ✗ api.health  answers 503",
        "    → inv hosts.logs",
        "  ? api.limit   not done after 20 s",
        "  - api.clip    is for local only",
    ]


def test_text_from_elsewhere_begins_no_line_and_controls_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.show([verdict(message=text, hint=text) for text in NASTY])
    shown = capsys.readouterr().err
    assert re.match(r"  ✓ api.health", shown)
    assert all(line.lstrip()[0] in "✓│→" for line in shown.splitlines())
    assert not set("\x00\x1b\x9b\x7f\r") & set(shown)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 6),
        ([Outcome.SKIP, Outcome.SKIP], 6),
        ([Outcome.PASS, Outcome.SKIP, Outcome.WARN], 0),
        ([Outcome.PASS, Outcome.INCONCLUSIVE], 6),
        ([Outcome.INCONCLUSIVE, Outcome.FAIL], 1),
    ],
)
def test_verdicts_mean_an_exit_code(outcomes: list[Outcome], code: int) -> None:
    verdicts = [verdict(outcome=each) for each in outcomes]
    assert exit_code(verdicts) == code
    assert made(*verdicts).exit_code == code


# While checks run.

_LIVE = """
import sys, time
from soundbite.checks import Check, Outcome, Verdict
from soundbite.reports import live
checks = [Check(id, print, 1.0) for id in ("api.health", "api.limit", "config.keys")]
with live(checks) as tell:
    time.sleep(0.4)
    tell(Verdict("config.keys", Outcome.PASS, "41 keys", 0.1))
    tell(Verdict("api.health", Outcome.FAIL, "answers [red]503[/red]\\x1b]0;owned", 0.1))
    print("a result", flush=True)
    time.sleep(0.6)
"""


def on_a_terminal(**variables: str) -> tuple[str, str]:
    """Return what it printed on stdout, a pipe, and on stderr, a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", _LIVE],
        cwd=ROOT,
        env=clean_environ(**({"TERM": "xterm-256color"} | variables)),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0, shown
    return out, shown.decode()


def test_a_terminal_sees_a_table_and_stdout_stays_what_it_is() -> None:
    out, shown = on_a_terminal()
    assert out == "a result\n"
    assert "0 of 2" in shown
    assert "health, limit" in shown
    assert "answers [red]503[/red]" in shown
    assert "\x1b[31m" in shown
    assert "\x1b]0;" not in shown


def test_without_colour_it_has_none() -> None:
    _, shown = on_a_terminal(NO_COLOR="1")
    assert "1 of 2" in shown
    assert not re.search(r"\x1b\[[\d;]*m", shown)


def test_a_dumb_terminal_gets_lines() -> None:
    _, shown = on_a_terminal(TERM="dumb", NO_COLOR="1")
    assert shown.splitlines() == ["  ✗ api.health answers [red]503[/red]\ufffd]0;owned"]


def test_elsewhere_only_what_somebody_must_look_at_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with live([]) as tell:
        for each in every_outcome().verdicts:
            tell(each)
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == ["!", "→", "✗", "→", "?"]


# JUnit.


def test_junit_has_a_suite_a_group_and_a_result_for_each_outcome() -> None:
    document = JUnitXml.fromstring(junit.render(every_outcome()).encode())
    assert [suite.name for suite in document] == ["config", "api"]
    assert (document.tests, document.failures, document.errors, document.skipped) == (5, 1, 1, 1)
    cases = {case.name: case for suite in document for case in suite}
    assert [type(each) for each in cases["api.health"].result] == [Failure]
    assert cases["api.health"].result[0].message == "answers 503"
    assert "→ inv hosts.logs" in cases["api.health"].system_out
    assert [type(each) for each in cases["api.limit"].result] == [Error]
    assert [type(each) for each in cases["api.clip"].result] == [Skipped]
    assert cases["api.clip"].result[0].message == "is for local only"
    assert cases["config.url"].is_passed
    assert "is http" in cases["config.url"].system_out
    assert cases["config.keys"].classname == "staging.config"
    suite = next(iter(document))
    assert {each.name: each.value for each in suite.properties()}["deployment"] == "staging-7"


def test_a_warning_is_a_failure_where_the_report_is_strict() -> None:
    document = JUnitXml.fromstring(junit.render(every_outcome(strict=True)).encode())
    assert document.failures == 2


@pytest.mark.parametrize("report", [made(), made(verdict(), interrupted="SIGINT"), made(verdict(outcome=Outcome.SKIP))])
def test_what_is_not_complete_does_not_look_passed(report: Report) -> None:
    assert JUnitXml.fromstring(junit.render(report).encode()).errors == 1
    assert len([line for line in github.commands(report) if line.startswith("::error ")]) == 1
    assert report.incomplete in markdown.render(report)
    assert report.incomplete in page.render(report)


@settings(deadline=None)
@given(ANY, ANY, ANY, st.sampled_from(Outcome))
def test_any_text_is_read_back_from_junit(message: str, title: str, hint: str, outcome: Outcome) -> None:
    report = made(verdict(outcome=outcome, message=message, title=title, hint=hint), environment=message)
    document = JUnitXml.fromstring(junit.render(report).encode())
    cases = [case for suite in document for case in suite if case.name == "api.health"]
    assert len(cases) == 1
    lines = [fit(title), fit(message), f"→ {fit(hint)}" if hint else ""]
    assert (cases[0].system_out or "") == "\n".join(line for line in lines if line)
    if outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.SKIP):
        assert (cases[0].result[0].message or "") == fit(message)


# Markdown.


def test_markdown_begins_with_the_outcome_and_what_somebody_must_look_at() -> None:
    text = markdown.render(every_outcome())
    assert text.startswith(
        "## ✗ Validation of staging failed\n\n1 passed, 1 warned, 1 failed, 1 inconclusive, 1 skipped\n"
    )
    open_part, folded = text.split("<details>")
    assert [row[1] for row in rows(open_part)] == ["config.url", "api.health", "api.limit"]
    assert [row[1].split("\n")[0] for row in rows(folded)] == ["config.keys", "api.clip"]
    assert "→ Use https." in open_part
    assert text.endswith("</details>\n")


@settings(deadline=None)
@given(st.lists(st.tuples(ANY, ANY, st.sampled_from(Outcome)), max_size=5))
def test_markdown_has_one_row_a_check_and_shows_each_text_as_it_is(texts: list[tuple[str, str, Outcome]]) -> None:
    verdicts = [
        verdict(f"api.n{number}", outcome, message, title=title, hint=title)
        for number, (message, title, outcome) in enumerate(texts)
    ]
    found = {row[1].split("\n")[0]: row for row in rows(markdown.render(made(*verdicts)))}
    assert len(found) == len(verdicts)
    for each in verdicts:
        parts = [fit(each.message), *([f"→ {fit(each.hint)}"] if each.hint else [])]
        assert found[each.check][2].split() == "\n".join(parts).split()
        assert found[each.check][1].split() == [each.check, *fit(each.title).split()]


@pytest.mark.parametrize("text", NASTY)
def test_nasty_texts_stay_in_their_cell(text: str) -> None:
    assert [row[2].split() for row in rows(markdown.render(made(verdict(message=text))))] == [fit(text).split()]


def test_a_cell_has_an_end() -> None:
    assert len(markdown.render(made(*[verdict(message="|" * 100_000) for _ in range(60)]))) < 2**20


# HTML.


def test_the_page_needs_nothing_else() -> None:
    found = Page(page.render(every_outcome()))
    assert not {"script", "img", "iframe", "object"} & set(found.tags)
    assert {name: value for name, value in found.attributes if name in ("src", "href")}.get("src") is None
    links = [value or "" for name, value in found.attributes if name == "href"]
    assert all(value.startswith(("#", "data:,")) for value in links)
    assert ("lang", "en") in found.attributes
    assert found.tags.count("h1") == 1
    assert found.tags.count("table") == 2


@settings(deadline=None)
@given(ANY, ANY, ANY)
def test_any_text_is_read_back_from_the_page(message: str, title: str, hint: str) -> None:
    report = made(verdict(message=message, title=title, hint=hint, data={title: hint}))
    found = Page(page.render(report))
    assert found.found["message"] == [fit(message)]
    assert found.found.get("title", []) == ([fit(title)] if title else [])
    assert found.found.get("hint", []) == ([fit(hint)] if hint else [])
    assert (
        found.tags
        == Page(page.render(made(verdict(title="t"[: len(title)], hint="h"[: len(hint)], data={"a": 1})))).tags
    )


@pytest.mark.parametrize(
    "data", [{}, {"latencies_ms": []}, {"latencies_ms": "many"}, {"latencies_ms": [None, "1", True]}]
)
def test_without_latencies_nothing_is_drawn(data: dict[str, Any]) -> None:
    assert "svg" not in Page(page.render(made(verdict(data=data)))).tags


@pytest.mark.parametrize(
    "values", [[12.5], [0.0, 0.0], [1, 2, 3], [5.0] * 1000, list(range(1, 2501)), [1e-9], [1e12, 1]]
)
@pytest.mark.parametrize("budget", [None, 0.5, 1000.0, float("nan"), "soon"])
def test_a_chart_is_within_its_edges(values: list[float], budget: Any) -> None:
    found = chart.of({"latencies_ms": values, "budget_ms": budget})
    assert found is not None
    assert len(found.points) == (len(values) if len(values) <= 1000 else 834)
    assert all(chart.LEFT <= each.x <= chart.RIGHT and chart.TOP <= each.y <= chart.BOTTOM for each in found.points)
    assert all(chart.TOP <= each.y <= chart.BOTTOM for each in found.marks)
    assert 2 <= len(found.y_ticks) <= 8
    heights = sorted(each.label_y for each in found.marks)
    assert all(below - above >= 14 for above, below in pairwise(heights))
    assert ("budget" in found.title) == (budget in (0.5, 1000.0))
    page.render(made(verdict(data={"latencies_ms": values, "budget_ms": budget})))


def test_what_a_check_says_of_percentiles_counts_more_than_what_it_kept() -> None:
    found = chart.of({"latencies_ms": [1.0, 2.0, 3.0], "p50_ms": 7.0, "p95_ms": 150, "budget_ms": 200})
    assert found is not None
    assert found.title == "Latencies in order of time: p50 7.0 ms, p95 150 ms, budget 200 ms"


def test_percentiles_are_values_that_were_measured() -> None:
    assert chart.percentile([5, 1, 4, 2, 3], 50) == 3
    assert chart.percentile(list(range(1, 101)), 95) == 95
    assert chart.percentile([7], 95) == 7


# GitHub Actions.


@pytest.fixture
def actions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Run as if by GitHub Actions; return the file of the step's summary."""
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    return summary


def test_annotations_are_escaped_as_github_says(actions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    actions.write_text("of another step\n")
    report = made(
        verdict("a.warn", Outcome.WARN, "look"),
        verdict("a.fail", Outcome.FAIL, "100% of\r\n::error::it, or so: no", hint="Do it."),
        environment="stag,ing:1%",
    )
    annotate(report)
    assert capsys.readouterr().out.splitlines() == [
        "::error title=stag%2Cing%3A1%25%3A a.fail::100%25 of%0A::error::it, or so: no%0A→ Do it.",
        "::warning title=stag%2Cing%3A1%25%3A a.warn::look",
    ]
    assert actions.read_text() == "of another step\n" + markdown.render(report) + "\n"


@given(ANY, ANY)
def test_an_annotation_is_one_line_whatever_is_in_it(environment: str, message: str) -> None:
    lines = github.commands(made(verdict(outcome=Outcome.FAIL, message=message), environment=environment))
    assert len(lines) == 1
    found = re.fullmatch(r"::error title=([^:,\r\n]*)::([^\r\n]*)", lines[0])
    assert found
    text = found[2].replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%")
    assert text == fit(message)


def test_annotations_leave_stdout_to_json(actions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    annotate(every_outcome(strict=True), on_stderr=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split()[0] for line in shown.err.splitlines()] == ["::error"] * 3
    assert actions.exists()


def test_elsewhere_github_is_told_nothing(
    actions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS")
    annotate(every_outcome())
    assert capsys.readouterr() == ("", "")
    assert not actions.exists()


@pytest.mark.parametrize("path", ["", "{}/file/summary.md", "{}", "a\0b", None])
def test_a_summary_that_cannot_be_written_is_a_warning(
    path: str | None, actions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if path is None:
        monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    else:
        (actions.parent / "file").touch()
        variables = {**os.environ, "GITHUB_STEP_SUMMARY": path.format(actions.parent)}
        monkeypatch.setattr(os, "environ", variables)
    annotate(made(verdict()))
    shown = capsys.readouterr().err
    assert shown.startswith("! ")
    assert "The step has no summary." in shown or "the step has no summary." in shown


# Secrets.


@pytest.mark.parametrize("form", [*FORMS, "json", "github"])
def test_a_secret_is_in_no_form(form: str) -> None:
    console.conceal(SECRET)
    text = f"before {SECRET} after"
    report = made(
        verdict(f"api.{SECRET}", Outcome.FAIL, text, title=text, hint=text, data={SECRET: [text, {"deep": text}]}),
        verdict("api.fine", Outcome.PASS, text.replace("\n", "\r\n")),
        **dict.fromkeys(
            ("environment", "deployment", "release", "commit", "who", "where", "interrupted", "scope"), text
        ),
    )
    renders: dict[str, Callable[[Report], str]] = {
        **FORMS,
        "json": lambda report: json.dumps(report.as_json()),
        "github": lambda report: "\n".join(github.commands(report)),
    }
    written = renders[form](report)
    assert "before ********" in written.replace("&#42;", "*")
    for part in ("Tr0ub4dor", "second\tline", "second&#9;line", "second\\tline", "line ü", "line \\u00fc"):
        assert part not in written


def test_a_secret_is_not_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal(SECRET)
    terminal.show([verdict(message=SECRET, hint=SECRET)])
    assert "Tr0ub4dor" not in capsys.readouterr().err


@given(st.text(st.characters(exclude_characters="*", exclude_categories=["Cs"]), min_size=4, max_size=12), ANY, ANY)
def test_a_fit_text_has_no_secret(secret: str, before: str, after: str) -> None:
    console._secrets.clear()
    console.conceal(secret)
    known = set(console._secrets)
    found = fit(before + secret + after)
    assert not any(each in found for each in known)
    console._secrets.clear()


# Files.


def test_all_forms_are_written_whole(tmp_path: Path) -> None:
    paths = {form: tmp_path / "new" / "folder" / form for form in FORMS}
    assert writing.write(every_outcome(), paths) == []
    for form, path in paths.items():
        assert path.read_text() == FORMS[form](every_outcome())
    assert sorted(each.name for each in (tmp_path / "new" / "folder").iterdir()) == sorted(FORMS)


def test_an_empty_path_is_not_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert writing.write(made(verdict()), {"junit": "", "html": "page.html"}) == []
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "there")
    assert writing.write(made(verdict()), {"html": tmp_path / "link"}) == []
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("what", ["below a file", "a folder", "/dev/null", "nul", "long", "loop"])
def test_a_path_that_cannot_be_written_is_told_and_the_others_are_written(what: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    paths = {
        "below a file": tmp_path / "file" / "report.xml",
        "a folder": tmp_path,
        "/dev/null": Path("/dev/null"),
        "nul": Path("a\0b"),
        "long": tmp_path / ("x" * 300),
        "loop": tmp_path / "loop",
    }
    report = every_outcome()
    problems = writing.write(report, {"junit": paths[what], "html": tmp_path / "page.html"})
    assert len(problems) == 1
    assert problems[0].startswith("The junit report is not written to ")
    assert "\n→ Name a file" in problems[0]
    assert (tmp_path / "page.html").read_text() == page.render(report)
    assert (tmp_path / "file").read_text() == "mine"
    assert Path("/dev/null").is_char_device()


def test_a_writer_with_a_bug_takes_nothing_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Report) -> str:
        raise RuntimeError("broken")

    monkeypatch.setitem(writing.FORMS, "junit", broken)
    problems = writing.write(made(verdict()), {"junit": tmp_path / "a", "markdown": tmp_path / "b"})
    assert len(problems) == 1
    assert "RuntimeError: broken" in problems[0]
    assert (tmp_path / "b").exists()

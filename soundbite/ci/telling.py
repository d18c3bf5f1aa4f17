"""The summary for people: as text, and as Markdown. A tick stands only where something earned it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from soundbite import checkout
from soundbite.ages import ago
from soundbite.reports.markdown import escape
from soundbite.reports.text import fit

from .tested import FAIL, PASS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Facts = Callable[[dict[str, Any]], Mapping[str, tuple[str, str]]]
    """Gives what is known of an environment: for each row a text, and what to think of it."""

_MARKS = {PASS: "✓", FAIL: "✗", "passed": "✓", "failed": "✗", "good": "✓", "bad": "✗"}
_DIGITS = 12


def text(summary: dict[str, Any], facts: Facts) -> str:
    """Return the summary as lines for a terminal."""
    lines = [_heading(summary), ""]
    for title, remarks, rows in _sections(summary, facts):
        lines.append(title)
        lines += [f"  {each}" for each in remarks]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["  " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        lines.append("")
    return "\n".join(lines[:-1])


def markdown(summary: dict[str, Any], facts: Facts) -> str:
    """Return the summary as GitHub's Markdown."""
    lines = [f"## {escape(_heading(summary))}", ""]
    for title, remarks, rows in _sections(summary, facts):
        lines += [f"### {escape(title)}", ""]
        for each in remarks:
            lines += [escape(each), ""]
        if rows:
            head, *body = ["| " + " | ".join(map(escape, row)) + " |" for row in rows]
            lines += [head, "|" + "---|" * len(rows[0]), *body, ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _heading(summary: dict[str, Any]) -> str:
    found = summary["checkout"]
    branch = f"{found['branch']}, " if found["branch"] else ""
    if found["commit"] is None:
        return fit(f"{branch}at an unknown commit")
    changes = "" if found["clean"] else ", with changes that no commit has"
    return fit(f"{branch}{found['commit']}{changes}")


def _sections(summary: dict[str, Any], facts: Facts) -> Iterator[tuple[str, list[str], list[list[str]]]]:
    """Yield each section: its title, remarks, and a table whose first row is its heading."""
    for title, remarks, rows in (
        _tests(summary["tests"]),
        _images(summary["images"]),
        _environments(summary["environments"], facts),
    ):
        yield fit(title), [fit(each) for each in remarks], [[_line(cell) for cell in row] for row in rows]


def _tests(tests: dict[str, Any]) -> tuple[str, list[str], list[list[str]]]:
    run = tests["run"]
    title = f"{_MARKS.get(tests['outcome'], '?')} inv test"
    if run is None:
        return title, tests["doubts"], []
    when = f"Began {ago(run['age_seconds'])} ({run['started']}), on {run['revision']}."
    head = ["suite", "ended", "tests", "took"]
    return title, [when, *tests["doubts"]], [head, *map(_suite, tests["suites"]), *_coverage(tests["coverage"])]


def _suite(suite: dict[str, Any]) -> list[str]:
    counts = suite["tests"] or {}
    told = ", ".join(f"{counts[name]} {name}" for name in ("passed", "failed", "skipped") if counts.get(name))
    if "unknown" in counts:
        told = f"? {counts['unknown']}"
    took = f"{suite['seconds']:.0f} s" if suite["seconds"] is not None else ""
    outcome = "not ended" if suite["outcome"] == "waiting" else suite["outcome"]
    # How a suite ended is so whatever commit it was; the tick in the title is for this one.
    return [suite["name"], outcome, told, took]


def _coverage(coverage: dict[str, Any] | None) -> list[list[str]]:
    if coverage is None:
        return []
    known = "unknown" not in coverage
    told = f"{coverage['percent']} % by unit tests, branches counted" if known else f"? {coverage['unknown']}"
    return [["coverage", "", told, ""]]


def _images(images: Sequence[dict[str, Any]] | dict[str, str]) -> tuple[str, list[str], list[list[str]]]:
    title = "Images of this checkout"
    if isinstance(images, dict):
        return title, [f"? {images['unknown'].splitlines()[0]}"], []
    return title, [], [["image", "", "id", "environments"], *map(_image, images)]


def _image(image: dict[str, Any]) -> list[str]:
    state = "here" if image["built"] else "not here"
    told = f"{image['id'].removeprefix('sha256:')[:_DIGITS]}, built of {image['revision']}" if image["built"] else ""
    dirty = checkout.DIRTY in (image["revision"] or "")
    return [image["name"], state, f"{told}, of the same content" if dirty else told, ", ".join(image["environments"])]


def _environments(environments: Sequence[dict[str, Any]], facts: Facts) -> tuple[str, list[str], list[list[str]]]:
    rows = [["environment", "release", "commit", "deployed", "last verdict"]]
    for each in environments:
        found = facts(each)
        if not each["reached"]:
            rows.append([each["environment"], found["release"][0], "?", "?", found["account"][0]])
            continue
        verdict, tone = found["verdict"]
        mark = f"{_MARKS[tone]} " if tone in _MARKS else ""
        shown = [found[name][0] for name in ("release", "commit", "deployed")]
        rows.append([each["environment"], *shown, f"{mark}{verdict}"])
    return "Environments", [], rows


def _line(cell: str) -> str:
    return " ".join(fit(cell).split())

"""The page of a report, in a real browser: what is seen there, that nothing of it runs, and that it asks nobody."""

from __future__ import annotations

import random
import re
import struct
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from soundbite.checks import Outcome, Verdict
from soundbite.reports import Report, chart, page
from tests.browsing import opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NASTY = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
LATENCIES = [round(random.Random(number).lognormvariate(3.5, 0.6), 1) for number in range(200)]  # noqa: S311


def report(asked: str = "") -> Report:
    """Return a report with something of everything."""
    data = {"latencies_ms": LATENCIES, "budget_ms": 150.0}
    verdicts = [
        Verdict(
            "identity.health", Outcome.PASS, "is staging, revision 4f1c9ab", 0.02, "The application says who it is."
        ),
        Verdict("config.drift", Outcome.WARN, "APP_ENV_LOG_LEVEL is debug", 0.1, "As in the env file.", "inv deploy"),
        Verdict("resources.queue", Outcome.FAIL, NASTY, 0.4, "The queue is there.", "inv cdk.diff --env=staging"),
        Verdict(
            "resources.table", Outcome.PASS, "on demand, recovery on", 0.3, "The table is there.", "", {"items": 12}
        ),
        Verdict(
            "performance.latency",
            Outcome.PASS,
            "200 answers at 40/s",
            5.1,
            "Fast enough.",
            "",
            data,
        ),
        Verdict("monitoring.alarms", Outcome.INCONCLUSIVE, f"not done after 20 s\n{asked}", 20.0, "No alarm rings."),
        Verdict("journey.clip", Outcome.SKIP, "CONFIRM=yes, and no --journey", 0.0, "A text becomes audio."),
    ]
    return Report(
        *(
            "staging",
            "staging-20260504-2",
            "r-20260504-1",
            "4f1c9ab",
            "arn:aws:iam::111122223333:user/ada",
            "GitHub Actions",
        ),
        *("2026-05-04T10:21:33Z", 26.4, verdicts),
    )


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """Return an address that a page could ask, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def pixels(png: bytes) -> tuple[int, int, set[bytes]]:
    """Return width, height and the different pixels of a PNG with 8 bits a channel."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in ((8, 2), (8, 6))
    size = 3 if kind == 2 else 4
    packed, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        packed += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += 12 + length
    raw, stride = zlib.decompress(packed), width * size
    # Filtered lines: different bytes in them mean different pixels, which is all that is asked.
    lines = [raw[line * (stride + 1) + 1 : (line + 1) * (stride + 1)] for line in range(height)]
    return width, height, {line[at : at + size] for line in lines for at in range(0, stride, size)}


def test_a_browser_shows_what_was_found(browser: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.render(report()), encoding="utf-8")
    dom = opened(browser, file, "--dump-dom")
    assert "<title>✗ Validation of staging failed</title>" in dom
    assert len(re.findall(r"<tr id=\"check-\d+\">", dom)) == 7
    assert dom.count("<section") == 6
    points = re.search(r"<polyline class=\"trace\" points=\"([^\"]*)\"", dom)
    assert points
    assert len(points[1].split()) == 200
    assert [kind for kind in ("p50", "p95", "budget") if f'<line class="mark {kind}"' in dom] == [
        "p50",
        "p95",
        "budget",
    ]
    drawn = chart.of({"latencies_ms": LATENCIES, "budget_ms": 150.0})
    assert drawn is not None
    assert dom.count(drawn.title) == 2


def test_text_from_elsewhere_neither_runs_nor_asks_anybody(
    browser: str, tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    address, asked = listener
    hostile = f'<img src="{address}/image"><link rel="stylesheet" href="{address}/style">{NASTY}'
    file = tmp_path / "report.html"
    text = page.render(report(hostile))
    # Escaping alone keeps it out, also where a server's or a viewer's policy replaces the page's own.
    file.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text), encoding="utf-8")
    dom = opened(browser, file, "--dump-dom")
    assert "<title>✗ Validation of staging failed</title>" in dom
    assert "owned" in dom
    assert "<script" not in dom
    assert "<img" not in dom
    assert asked == []


def test_the_policy_of_the_page_stops_what_would_be_in_it(
    browser: str, tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    address, asked = listener
    inside = f"<script>document.title='owned'</script><img src='{address}/image'>"
    file = tmp_path / "report.html"
    text = page.render(report()).replace("</main>", inside + "</main>")
    file.write_text(text, encoding="utf-8")
    assert "<title>✗ Validation of staging failed</title>" in opened(browser, file, "--dump-dom")
    assert asked == []
    file.write_text(re.sub(r"<meta http-equiv[^>]*>", "", text), encoding="utf-8")
    assert "<title>owned</title>" in opened(browser, file, "--dump-dom")
    assert asked == ["/image"]


@pytest.mark.parametrize("width", [1100, 500])
def test_it_can_be_seen_in_light_and_dark(width: int, browser: str, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page.render(report()), encoding="utf-8")
    seen = {}
    for scheme, more in (("light", []), ("dark", ["--blink-settings=preferredColorScheme=0"])):
        picture = tmp_path / f"{scheme}.png"
        opened(browser, file, f"--screenshot={picture}", f"--window-size={width},1500", *more)
        seen[scheme] = picture.read_bytes()
        found = pixels(seen[scheme])
        assert found[:2] == (width, 1500)
        assert len(found[2]) > 50
    assert seen["light"] != seen["dark"]

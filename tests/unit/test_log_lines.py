"""Log lines as a person sees them."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from soundbite.development.following import readable


def test_a_json_line_becomes_time_level_message_and_the_rest() -> None:
    entry = {
        "level": "info",
        "time": "2026-11-23T14:05:18.186Z",
        "environment": "dev-localstack",
        "release": "working-tree",
        "status": 202,
        "message": "request",
    }
    assert readable(json.dumps(entry)) == "14:05:18.186 info request status=202"


@given(st.text(max_size=80))
def test_any_other_line_stays_as_it_is(line: str) -> None:
    assert readable(line) == line


def test_json_that_is_no_log_line_stays_as_it_is() -> None:
    assert readable('{"a": 1}') == '{"a": 1}'

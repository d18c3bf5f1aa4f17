"""What a person sees: secrets nowhere, colours only where they are wanted, one line a step."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soundbite import console
from tests.conftest import ROOT, clean_environ

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = "********"
# The mask itself cannot be masked.
SECRETS = st.text(st.characters(blacklist_characters="*", codec="utf-8"), min_size=1, max_size=12)


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Return the secrets known in this test: none of another test's."""
    known: set[str] = set()
    monkeypatch.setattr(console, "_secrets", known)
    return known


def test_a_secret_is_masked_in_say(capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal("hunter22")
    console.say("the password is hunter22.")
    assert capsys.readouterr().err == f"the password is {MASK}.\n"


def test_a_secret_is_masked_in_result(capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal("hunter22")
    console.result("hunter22hunter22")
    assert capsys.readouterr().out == f"{MASK}{MASK}\n"


def test_a_secret_is_masked_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal("hunter22")
    console.table([("TOKEN", "hunter22")])
    assert capsys.readouterr().out == f"TOKEN  {MASK}\n"


def test_a_secret_is_masked_in_the_name_and_the_detail_of_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal("hunter22")
    with console.step("ask hunter22") as step:
        step.detail = "answered hunter22"
    shown = capsys.readouterr().err
    assert f"ask {MASK}" in shown
    assert f"answered {MASK}" in shown


def test_a_secret_is_masked_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal("hunter22")
    console.result_json({"token": "hunter22", "list": ["is hunter22"]})
    assert json.loads(capsys.readouterr().out) == {"token": MASK, "list": [f"is {MASK}"]}


@pytest.mark.parametrize("secret", ['pa"ss"word', "back\\slash", "pässwört", "tab\there", "zażółć"])
def test_a_secret_that_json_writes_differently_is_masked_in_json(
    secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console.conceal(secret)
    console.result_json({"token": secret})
    assert json.loads(capsys.readouterr().out) == {"token": MASK}


@pytest.mark.parametrize("secret", ["3000", "null", "true", '"a": "b"'])
def test_masking_leaves_json_valid(secret: str, capsys: pytest.CaptureFixture[str]) -> None:
    console.conceal(secret)
    console.result_json({"port": 3000, "nothing": None, "yes": True, "a": "b"})
    assert set(json.loads(capsys.readouterr().out)) == {"port", "nothing", "yes", "a"}


def test_each_line_of_a_secret_is_masked_alone() -> None:
    console.conceal("-----BEGIN KEY-----\nMIIEvQIBADAN\n-----END KEY-----\n")
    assert console.redact("line 2: MIIEvQIBADAN") == f"line 2: {MASK}"


def test_a_secret_of_many_lines_is_masked_whole() -> None:
    console.conceal("first line\nx\nthird line")
    assert console.redact("<first line\nx\nthird line>") == f"<{MASK}>"


@pytest.mark.parametrize("order", [("token", "token-and-more"), ("token-and-more", "token")])
def test_a_secret_that_contains_another_is_masked_whole(order: tuple[str, str]) -> None:
    for secret in order:
        console.conceal(secret)
    assert console.redact("token-and-more token") == f"{MASK} {MASK}"


@pytest.mark.parametrize("short", ["", "a", "abc", " ab ", "a\nb\nc"[:3]])
def test_a_short_secret_is_not_masked(short: str, secrets: set[str]) -> None:
    console.conceal(short)
    assert console.redact("abc a b ab") == "abc a b ab"
    assert secrets == set()


def test_a_secret_is_masked_also_without_the_space_around_it() -> None:
    console.conceal("  hunter22\n")
    assert console.redact("hunter22") == MASK


def test_text_without_a_secret_stays_as_it_is() -> None:
    console.conceal("hunter22")
    assert console.redact("Hunter22 and hunter 22") == "Hunter22 and hunter 22"


@given(st.lists(SECRETS, min_size=1, max_size=4), st.data())
def test_redact_never_leaves_a_concealed_value(values: list[str], data: st.DataObject) -> None:
    parts = st.one_of(st.sampled_from(values), st.text(st.characters(blacklist_characters="*"), max_size=6))
    text = "".join(data.draw(st.lists(parts, max_size=8)))
    console._secrets.clear()
    for value in values:
        console.conceal(value)
    shown = console.redact(text)
    assert not [value for value in values if len(value.strip()) >= 4 and value.strip() in shown]


@given(st.lists(st.text("ab", min_size=4, max_size=6), min_size=2, max_size=3), st.text("abc", max_size=20))
def test_redact_never_leaves_a_concealed_value_where_secrets_overlap(values: list[str], text: str) -> None:
    console._secrets.clear()
    for value in values:
        console.conceal(value)
    shown = console.redact(text)
    assert not [value for value in values if value in shown]


def test_columns_of_a_table_are_as_wide_as_their_widest_cell(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([("a", "bbbb", "c"), ("aaa", "b", "")], heading=("x", "y", "z"))
    assert capsys.readouterr().out.splitlines() == ["x    y     z", "a    bbbb  c", "aaa  b"]


def test_a_table_without_rows_shows_its_heading(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([], heading=("name", "state"))
    assert capsys.readouterr().out == "name  state\n"


def test_a_step_that_fails_is_told_as_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="boom"), console.step("build"):
        raise ValueError("boom")
    assert capsys.readouterr().err.startswith("✗ build")


def test_a_step_that_is_interrupted_is_told_as_failed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), console.step("build"):
        raise KeyboardInterrupt
    assert capsys.readouterr().err.startswith("✗ build")


def test_without_a_terminal_a_step_is_one_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
    with console.step("build") as step:
        step.detail = "done"
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert shown.startswith("✓ build           done")
    assert "\x1b" not in shown
    assert "\r" not in shown


def test_without_a_terminal_nothing_is_coloured(capsys: pytest.CaptureFixture[str]) -> None:
    console.warn("careful")
    console.error("wrong")
    console.table([("a",)], heading=("b",))
    assert capsys.readouterr() == ("b\na\n", "! careful\n✗ wrong\n")


_STEP = """
import sys
from soundbite import console
console.conceal("hunter22")
with console.step("emulator") as step:
    step.tell("loading hunter22")
    sys.stdin.readline()
    step.detail = "ready"
console.warn("careful")
"""


class Terminal:
    """A program whose standard error is a real terminal."""

    def __init__(self, program: str, **variables: str) -> None:
        self.master, slave = pty.openpty()
        self.shown = b""
        os.set_blocking(self.master, False)
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", program],
                env=clean_environ(TERM="xterm", **variables),
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=slave,
                text=True,
            )
        finally:
            os.close(slave)

    def read(self) -> str:
        """Return everything that it printed so far."""
        try:
            while part := os.read(self.master, 65536):
                self.shown += part
        except (BlockingIOError, OSError):  # nothing yet; or, as Linux has it, nobody writes any more
            pass
        return self.shown.decode(errors="replace")

    def wait_for(self, text: str) -> None:
        """Wait until it has printed a text."""
        end = time.monotonic() + 20
        while text not in self.read():
            assert time.monotonic() < end, self.shown
            time.sleep(0.02)

    def finish(self) -> str:
        """Give it its line of input, and return everything that it printed."""
        self.process.communicate("\n", timeout=20)
        return self.read()

    def close(self) -> None:
        """End it, whatever happened."""
        self.process.kill()
        self.process.communicate()
        os.close(self.master)


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    """Return a list whose terminals are closed at the end."""
    made: list[Terminal] = []
    yield made
    for each in made:
        each.close()


def test_on_a_terminal_a_step_is_seen_at_once_and_rewrites_its_one_line(terminals: list[Terminal]) -> None:
    terminal = Terminal(_STEP)
    terminals.append(terminal)
    terminal.wait_for(f"loading {MASK}")
    step = terminal.finish().split("\n")[0]
    first, *rewritten, last = [part for part in step.split("\r\x1b[2K") if part]
    assert "emulator …" in first
    assert rewritten
    assert all("◦ emulator … " in each for each in rewritten)
    assert "✓" in last
    assert "ready" in last


def test_on_a_terminal_what_is_said_next_begins_on_a_line_of_its_own(terminals: list[Terminal]) -> None:
    terminal = Terminal(_STEP)
    terminals.append(terminal)
    assert terminal.finish().split("\n")[1] == "\x1b[33m!\x1b[0m careful\r"


def test_a_secret_in_the_progress_of_a_step_is_masked(terminals: list[Terminal]) -> None:
    terminal = Terminal(_STEP)
    terminals.append(terminal)
    terminal.wait_for("loading")
    assert "hunter" not in terminal.finish()


@pytest.mark.parametrize("width", [30, 33])
def test_a_secret_is_masked_also_where_the_line_is_cut_off(width: int, terminals: list[Terminal]) -> None:
    terminal = Terminal(_STEP, COLUMNS=str(width))
    terminals.append(terminal)
    terminal.wait_for("loading")
    assert "hunt" not in terminal.finish()


def test_no_color_leaves_colours_out_on_a_terminal(terminals: list[Terminal]) -> None:
    terminal = Terminal(_STEP, NO_COLOR="1")
    terminals.append(terminal)
    shown = terminal.finish()
    assert "! careful" in shown
    assert "\x1b[3" not in shown
    assert "\x1b[0m" not in shown


def test_a_dumb_terminal_gets_plain_lines(terminals: list[Terminal]) -> None:
    terminal = Terminal(_STEP.replace("import sys", "import os, sys\nos.environ['TERM'] = 'dumb'", 1))
    terminals.append(terminal)
    assert "\x1b" not in terminal.finish()

"""Parsing, merging and expanding hold for any text, not only for the examples."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from soundbite.environment import expansion, layers, references
from soundbite.environment.layers import Binding, Origin

NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,8}", fullmatch=True)
PLAIN = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="$'\\"), max_size=30)


def _bindings(values: dict[str, str], *, literal: bool = False) -> dict[str, Binding]:
    return {key: Binding(key, value, Origin("file", n), literal) for n, (key, value) in enumerate(values.items())}


@given(st.dictionaries(NAMES, PLAIN))
def test_what_has_no_dollar_stays_as_it_is(values: dict[str, str]) -> None:
    problems: list[str] = []
    assert expansion.expand(_bindings(values), {}, problems) == values
    assert problems == []


@given(st.text(max_size=40))
def test_a_literal_is_never_expanded(text: str) -> None:
    problems: list[str] = []
    assert expansion.expand(_bindings({"A": text}, literal=True), {}, problems) == {"A": text}
    assert problems == []


@given(st.text(max_size=40))
def test_doubling_every_dollar_gives_the_text_back(text: str) -> None:
    problems: list[str] = []
    assert expansion.expand(_bindings({"A": text.replace("$", "$$")}), {}, problems) == {"A": text}
    assert problems == []


@given(st.dictionaries(NAMES, st.text(alphabet="ABC${}:-x ", max_size=12), max_size=5))
def test_any_text_is_either_expanded_or_explained(values: dict[str, str]) -> None:
    problems: list[str] = []
    done = expansion.expand(_bindings(values), {}, problems)
    assert set(done) == set(values) or problems
    assert all(problem.startswith("file:") for problem in problems)


@given(st.lists(NAMES, min_size=1, max_size=6, unique=True))
def test_a_ring_of_references_is_a_cycle_whatever_its_length(names: list[str]) -> None:
    ring = {name: f"${{{names[(n + 1) % len(names)]}}}" for n, name in enumerate(names)}
    problems: list[str] = []
    assert expansion.expand(_bindings(ring), {}, problems) == {}
    assert len([problem for problem in problems if "refers to itself" in problem]) == 1


@given(st.lists(st.dictionaries(NAMES, PLAIN, max_size=4), max_size=4))
def test_the_last_layer_wins_and_nothing_is_lost(stack: list[dict[str, str]]) -> None:
    merged = layers.merge(binding for layer in stack for binding in layers.from_mapping(layer, "layer"))
    expected: dict[str, str] = {}
    for layer in stack:
        expected |= layer
    assert {key: binding.value for key, binding in merged.items()} == expected


@given(st.text(max_size=200))
def test_reading_any_file_ends_in_bindings_or_in_problems_with_a_line(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.env"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        problems: list[str] = []
        found = list(layers.read(path, "any.env", problems))
    lines = len(text.splitlines()) + 1
    assert all(1 <= (binding.origin.line or 0) <= lines for binding in found)
    assert all(problem.startswith("any.env:") for problem in problems)


@given(st.dictionaries(NAMES, st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="'\\"))))
def test_what_is_written_in_single_quotes_is_read_back(values: dict[str, str]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any.env"
        path.write_text("".join(f"{key}='{value}'\n" for key, value in values.items()), encoding="utf-8")
        problems: list[str] = []
        found = {binding.key: binding for binding in layers.read(path, "any.env", problems)}
    assert problems == []
    assert {key: binding.value for key, binding in found.items()} == values
    assert [binding.origin.line for binding in found.values()] == list(range(1, len(values) + 1))
    assert all(binding.literal for binding in found.values())


@given(st.sampled_from(["secretsmanager", "ssm", "env", "output"]), st.text(max_size=20))
def test_a_reference_is_either_accepted_whole_or_refused(kind: str, target: str) -> None:
    text = f"{kind}:{target}"
    try:
        found = references.parse(text)
    except ValueError:
        return
    assert str(found) == text

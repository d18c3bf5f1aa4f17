"""The example in docs/adopting.md does what the page says."""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from soundbite import environment
from soundbite.checks import Outcome, Scene, Verdict
from soundbite.checks.model import REGISTRY
from soundbite.checks.running import judge
from soundbite.cloud import Cloud
from tests.conftest import ROOT
from tests.unit.faulty import by_path, message, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

IDS = ("identity.shop", "journey.search")


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Verdict]]:
    """Return a function that runs the page's checks on a shop with so many books."""
    page = (ROOT / "docs" / "adopting.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "shop_of_the_page.py").write_text(example, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(REGISTRY, "checks", dict(REGISTRY.checks))
    monkeypatch.delitem(importlib.import_module("sys").modules, "shop_of_the_page", raising=False)
    importlib.import_module("shop_of_the_page")

    def judge_all(books: int, env: str = "dev-localstack", says: str = "") -> dict[str, Verdict]:
        loaded = environment.load(env)

        def about(_: dict[str, Any]) -> bytes:
            return message({"environment": says or env})

        def search(_: dict[str, Any]) -> bytes:
            return message({"books": ["Emma"] * books})

        with serving(by_path({"GET /about": about, "POST /search": search})) as url:
            scene = Scene(loaded, Cloud(loaded), tmp_path, url=url)
            return {name: judge(REGISTRY.checks[name], scene) for name in IDS}

    return judge_all


def test_the_example_works(judged: Callable[..., dict[str, Verdict]]) -> None:
    verdicts = judged(2)
    assert {each.outcome for each in verdicts.values()} == {Outcome.PASS}, verdicts
    search = verdicts["journey.search"]
    assert search.title == "A book can be found."
    assert search.data["found"] == 2
    json.dumps(search.data)


def test_the_example_ends_as_the_table_says(
    judged: Callable[..., dict[str, Verdict]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert judged(101)["journey.search"].outcome is Outcome.WARN
    assert judged(2, "production")["journey.search"].outcome is Outcome.SKIP
    assert judged(2, says="staging")["identity.shop"].message.endswith("is staging, not dev-localstack")
    monkeypatch.setattr("soundbite.checks.running._PAUSE", 9)
    assert judged(0)["journey.search"].message == "Emma is not found: the index is empty"

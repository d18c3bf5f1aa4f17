"""Waiting: between two looks it is slept as long as looking costs, within bounds."""

from __future__ import annotations

import time

import pytest

from soundbite import waiting


@pytest.mark.parametrize(("took", "least", "slept"), [(0.001, 0.05, 0.05), (0.1, 0.05, 0.3), (9, 0.05, 0.5), (0, 1, 1)])
def test_between_two_looks_it_is_slept_by_what_they_cost(
    monkeypatch: pytest.MonkeyPatch, took: float, least: float, slept: float
) -> None:
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100 + took)
    waiting.pause(100, least)
    assert asked == [pytest.approx(slept)]

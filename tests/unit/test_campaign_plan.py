"""What a fault campaign does is told by its seed alone, and leaves nothing out."""

from __future__ import annotations

import signal
from contextlib import nullcontext
from itertools import islice

import pytest

from bench.campaign.command import Campaign, main
from bench.campaign.plan import FAULTS, HOSTS, OPERATIONS, STEPS, blows


def test_the_same_seed_gives_the_same_campaign_and_another_another() -> None:
    assert list(islice(blows(1), 50)) == list(islice(blows(1), 50))
    assert list(islice(blows(1), 50)) != list(islice(blows(2), 50))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_fault_comes_before_any_comes_again(seed: int) -> None:
    first = [each.fault for each in islice(blows(seed), len(FAULTS))]
    assert sorted(first) == sorted(FAULTS)


def test_two_hundred_operations_leave_nothing_out() -> None:
    campaign = list(islice(blows(1), 200))
    assert {each.operation for each in campaign} == set(OPERATIONS)
    assert {each.host for each in campaign} == set(range(1, HOSTS + 1))
    assert {each.step for each in campaign} == {step for steps in STEPS.values() for step in steps}
    assert {(each.how, each.elsewhere) for each in campaign} == {
        (how, elsewhere) for how in ("--resume", "--abort") for elsewhere in (True, False)
    }


@pytest.mark.parametrize("words", [["--seed=x"], ["--minutes=0"], ["--operations=-1"], ["--what"]])
def test_a_wrong_argument_is_one_line_and_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "bench/faults: " in said


def test_a_campaign_that_is_cut_short_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut(campaign: Campaign, *_: object) -> None:
        campaign.rows.append({"fault": "none", "code": 0, "settled": "free", "struck": True, "violations": []})
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.campaign.command.stage", nullcontext)
    monkeypatch.setattr(Campaign, "go", cut)
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    try:
        assert main(["--seed=1"]) == 130
    finally:
        for each, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(each, handler)
    assert "seed 1: 1 operations in 0 minutes" in capsys.readouterr().out

"""Intervals cover the truth as often as they say, on data whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics import interval, value
from umekomi.evaluate.statistics.draws import draw
from umekomi.evaluate.statistics.intervals import interval_of, student_quantile
from umekomi.evaluate.statistics.resampling import plan_units

SETS = 2000
"""A rate of 95 % is known to 1 point from so many data sets."""


def coverage(data: NDArray[np.float64], truth: float, groups: list[int] | None = None) -> float:
    """Percent of the rows of ``data`` whose interval covers ``truth``: all in one draw, as one seed gives each."""
    outcomes = [Outcome("score", row) for row in data]
    draws = draw(outcomes, plan_units(data.shape[1], groups), resamples=1000, seed=0)
    found = [interval_of(each, draws, column=column) for column, each in enumerate(outcomes)]
    return 100 * float(np.mean([each.low <= truth <= each.high for each in found]))


def thirds(rng: np.random.Generator, rate: float, n: int) -> NDArray[np.float64]:
    """precision@3 on items of different difficulty."""
    return rng.binomial(3, rng.beta(2 * rate, 2 * (1 - rate), (SETS, n))) / 3


@pytest.mark.parametrize("n", [30, 100, 300, 1000])
@pytest.mark.parametrize(
    ("draw_items", "truth"),
    [
        (lambda rng, n: rng.normal(0.05, 0.05, (SETS, n)), 0.05),
        (lambda rng, n: rng.binomial(1, 0.8, (SETS, n)) * 1.0, 0.8),
        (lambda rng, n: thirds(rng, 0.8, n), 0.8),
        (lambda rng, n: rng.beta(2, 1, (SETS, n)), 2 / 3),
    ],
    ids=["normal", "right 0.8", "thirds 0.8", "beta"],
)
def test_means_are_covered(
    draw_items: Callable[[np.random.Generator, int], NDArray[np.float64]], truth: float, n: int
) -> None:
    assert 93 <= coverage(draw_items(np.random.default_rng(n), n), truth) <= 97


@pytest.mark.parametrize(("n", "most"), [(30, 98.5), (100, 98.5), (300, 97), (1000, 97)])
def test_shares_near_1_are_covered(n: int, most: float) -> None:
    """Few items allow few intervals: of those for 30 items none is nearer to 95 % at a rate of 0.98."""
    assert 93 <= coverage(np.random.default_rng(n).binomial(1, 0.98, (SETS, n)) * 1.0, 0.98) <= most
    assert 93 <= coverage(thirds(np.random.default_rng(n), 0.98, n), 0.98) <= most


@pytest.mark.parametrize("count", [20, 100])
def test_groups_are_covered_where_items_alone_would_not_be(count: int) -> None:
    rng = np.random.default_rng(count)
    group = np.repeat(np.arange(count), rng.integers(1, 15, count))
    data = 0.7 * rng.standard_normal((500, count))[:, group] + rng.standard_normal((500, len(group)))
    assert 92 <= coverage(data, 0.0, group.tolist()) <= 98
    assert coverage(data, 0.0) < 85


@pytest.mark.parametrize("reduction", ["spearman", "pearson"])
def test_correlations_are_covered(reduction: str) -> None:
    rng = np.random.default_rng(3)
    truth = math.sqrt(0.5) if reduction == "pearson" else 6 / math.pi * math.asin(math.sqrt(0.5) / 2)
    covered = 0
    for _ in range(400):
        scores = rng.standard_normal(150)
        outcome = Outcome("sts", scores + rng.standard_normal(150), reduction, scores)  # type: ignore[arg-type]
        found = interval(outcome, resamples=500)
        covered += found.low <= truth <= found.high
    assert 372 <= covered <= 392  # 93 to 98 %: 400 sets know it to 2 points


@pytest.mark.parametrize(("n", "least"), [(100, 0.4), (1000, 0.88)])
def test_v_measure_is_covered_in_spite_of_its_bias(n: int, least: float) -> None:
    """Its bias shrinks with n: percentiles of resamples cover none of the smaller sets, and 60 % of the larger."""
    rng = np.random.default_rng(n)
    joint = np.full((9, 9), 0.3 / 81) + np.eye(9) * 0.7 / 9
    truth = 2 + (joint * np.log(joint)).sum() / math.log(9)
    covered = 0
    for _ in range(120):
        labels = rng.integers(0, 9, n) * 1.0
        clusters = np.where(rng.random(n) < 0.7, labels, rng.integers(0, 9, n))
        found = interval(Outcome("v_measure", clusters, "v_measure", labels), resamples=300)
        covered += found.low <= truth <= found.high
    assert covered >= least * 120


def test_all_right_is_not_taken_for_certain() -> None:
    found = interval(Outcome("knn_accuracy@3", np.ones(30)))
    assert found.high == 1
    assert found.low == pytest.approx(stats.beta(30.5, 0.5).ppf(0.025), abs=0.03)


def test_right_or_wrong_is_jeffreys_interval() -> None:
    items = np.arange(400) < 320
    found = interval(Outcome("knn_accuracy@3", items * 1.0), resamples=20_000)
    theirs = stats.beta(320.5, 80.5)
    assert found.low == pytest.approx(theirs.ppf(0.025), abs=0.002)
    assert found.high == pytest.approx(theirs.ppf(0.975), abs=0.002)


@given(seed=st.integers(0, 1000), n=st.integers(2, 50), grouped=st.booleans())
@settings(deadline=None, max_examples=40)
def test_the_value_lies_inside_and_the_seed_decides(seed: int, n: int, grouped: bool) -> None:
    rng = np.random.default_rng(seed)
    groups = ["a", "b", *rng.choice(list("abcd"), n - 2)] if grouped else None
    for outcome in (
        Outcome("m", rng.random(n)),
        Outcome("m", rng.integers(0, 2, n) * 1.0),
        Outcome("v", rng.integers(0, 3, n) * 1.0, "v_measure", rng.integers(0, 3, n) * 1.0),
        Outcome("s", rng.random(n), "spearman", rng.integers(0, 3, n) * 1.0),
    ):
        found = interval(outcome, groups=groups, resamples=200, seed=seed)
        assert found.low <= value(outcome) <= found.high
        assert found == interval(outcome, groups=groups, resamples=200, seed=seed)


def test_groups_of_one_item_each_are_no_groups() -> None:
    outcome = Outcome("m", np.random.default_rng(0).random(50))
    assert interval(outcome, groups=[f"g{each}" for each in range(50)]) == interval(outcome)


def test_what_is_kept_between_calls_and_what_is_drawn_in_blocks_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    outcome = Outcome("m", np.random.default_rng(0).random(3000))
    kept = interval(outcome, resamples=500)
    monkeypatch.setattr("umekomi.evaluate.statistics.resampling._KEPT_BYTES", 0)
    assert interval(outcome, resamples=500) == kept


def test_students_quantile_is_scipys() -> None:
    for freedom in (4, 9, 29, 999):
        assert student_quantile(0.975, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=0.005)


@pytest.mark.parametrize(
    ("items", "words"),
    [([], "has no items"), ([0.5], "1 item"), ([0.5, math.nan], "of item 1 is nan")],
)
def test_what_allows_no_interval_is_refused(items: list[float], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        interval(Outcome("m", np.array(items)))


def test_groups_must_be_as_many_as_items_and_more_than_one() -> None:
    outcome = Outcome("m", np.arange(4.0))
    with pytest.raises(InvalidInput, match="3 groups for 4 items"):
        interval(outcome, groups=[1, 2, 3])
    with pytest.raises(InvalidInput, match="one group"):
        interval(outcome, groups=[1, 1, 1, 1])
    with pytest.raises(InvalidInput, match="resamples is 10"):
        interval(outcome, resamples=10)

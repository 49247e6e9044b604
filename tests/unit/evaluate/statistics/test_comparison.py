"""A difference is called one as rarely as promised where there is none, and found where there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome, Reduction
from umekomi.evaluate.statistics import compare, items_to_separate, judge, minimum_detectable_effect, value
from umekomi.evaluate.statistics.comparison import flip_p_values

SETS = 2000


def thirds(rng: np.random.Generator, easy: NDArray[np.float64]) -> NDArray[np.float64]:
    return rng.binomial(3, easy) / 3


@pytest.mark.parametrize("n", [100, 300, 1000])
def test_equal_models_are_called_different_in_3_to_7_percent(n: int) -> None:
    rng = np.random.default_rng(n)
    easy = rng.beta(1.6, 0.4, (n, SETS))
    normal = rng.standard_normal((2, n, SETS))
    for differences in (thirds(rng, easy) - thirds(rng, easy), normal[0] - normal[1]):
        false_alarms = np.mean(np.array(flip_p_values(differences, seed=0, flips=1999)) < 0.05)
        assert 0.03 <= false_alarms <= 0.07


def test_equal_models_are_judged_different_in_3_to_7_percent_of_200_data_sets() -> None:
    rng = np.random.default_rng(2)
    better = 0
    for _ in range(200):
        easy = rng.beta(1.6, 0.4, 300)
        outcomes = {name: Outcome("precision@3", thirds(rng, easy)) for name in "ab"}
        better += judge(outcomes, dataset="null", resamples=500).comparisons[0].verdict != "tied"
    assert 6 <= better <= 14


@pytest.mark.parametrize("reduction", ["spearman", "pearson"])
def test_equal_correlations_are_called_different_as_rarely(reduction: Reduction) -> None:
    rng = np.random.default_rng(4)
    called = 0
    for _ in range(400):
        scores = rng.standard_normal(120)
        a, b = (Outcome("sts", scores + rng.standard_normal(120), reduction, scores) for _ in range(2))
        called += compare(a, b, resamples=500).p < 0.05
    assert 10 <= called <= 30


def test_groups_keep_false_alarms_down() -> None:
    rng = np.random.default_rng(5)
    group = np.repeat(np.arange(30), 10)
    alone = together = 0
    for _ in range(60):
        a, b = (Outcome("m", rng.standard_normal(30)[group] + rng.standard_normal(300)) for _ in range(2))
        together += compare(a, b, groups=group.tolist(), resamples=200).p < 0.05
        alone += compare(a, b, resamples=200).p < 0.05
    assert together <= 8 < 20 < alone


def test_random_signs_agree_with_scipys_permutation_test() -> None:
    rng = np.random.default_rng(6)
    a, b = rng.random(12), rng.random(12) + 0.15
    theirs = stats.permutation_test(
        (a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf
    )
    assert compare(Outcome("m", a), Outcome("m", b)).p == pytest.approx(theirs.pvalue, abs=0.015)


def test_many_items_are_tested_by_the_limit_of_the_same_test() -> None:
    differences = np.random.default_rng(7).standard_normal((20_000, 3)) + np.array([0, 0.01, 0.02])
    by_signs = flip_p_values(differences, seed=0, flips=3000)
    by_limit = flip_p_values(np.concatenate([differences, np.zeros((1, 3))]), seed=0)
    np.testing.assert_allclose(by_signs, by_limit, atol=0.03)


@given(seed=st.integers(0, 1000), n=st.integers(2, 40))
@settings(deadline=None, max_examples=30)
def test_swapping_the_models_turns_the_signs(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (Outcome("m", rng.integers(0, 4, n) / 3) for _ in range(2))
    there, back = compare(a, b, resamples=200), compare(b, a, resamples=200)
    assert there.delta == pytest.approx(value(a) - value(b))
    assert there.delta == -back.delta
    assert there.p == back.p
    assert there.low <= there.delta <= there.high


@pytest.mark.parametrize("reduction", ["mean", "spearman", "v_measure"])
def test_a_model_against_itself_is_a_tie(reduction: Reduction) -> None:
    rng = np.random.default_rng(8)
    items, reference = rng.integers(0, 5, 60) * 1.0, rng.integers(0, 5, 60) * 1.0
    outcome = Outcome("m", items, reduction, None if reduction == "mean" else reference)
    found = compare(outcome, Outcome("m", items.copy(), reduction, outcome.reference))
    assert (found.delta, found.low, found.high, found.p, found.items_to_separate) == (0, 0, 0, 1, None)


def test_two_items_that_differ_prove_nothing() -> None:
    items = np.ones(300)
    other = items.copy()
    other[[5, 9]] = 0
    found = compare(Outcome("m", items), Outcome("m", other))
    assert found.p == pytest.approx(0.5, abs=0.03)
    assert found.low < 0 < found.delta


def test_only_like_is_compared_with_like() -> None:
    a = Outcome("m", np.arange(5.0), "spearman", np.arange(5.0))
    for other, words in (
        (Outcome("n", a.items, "spearman", a.reference), "m cannot be compared with n"),
        (Outcome("m", np.arange(4.0), "spearman", np.arange(4.0)), "5 items of one model and 4 of the other"),
        (Outcome("m", a.items, "spearman", np.arange(5.0) + 1), "same answers"),
    ):
        with pytest.raises(InvalidInput, match=words):
            compare(a, other)


def test_the_items_said_to_separate_models_do_so_in_80_percent() -> None:
    needed = 200 + (items_to_separate(200, delta=0.2, error=1 / np.sqrt(200)) or 0)
    differences = np.random.default_rng(9).normal(0.2, 1, (needed, 1000))
    assert 0.76 <= np.mean(np.array(flip_p_values(differences, seed=0, flips=1999)) < 0.05) <= 0.84
    assert minimum_detectable_effect(needed, deviation=1) == pytest.approx(0.2, rel=0.02)


def test_no_number_of_items_separates_equals_and_one_item_shows_nothing() -> None:
    assert items_to_separate(100, delta=0.0, error=0.1) is None
    assert items_to_separate(100, delta=5.0, error=0.1) == 1
    with pytest.raises(InvalidInput, match="1 items"):
        minimum_detectable_effect(1, deviation=1)

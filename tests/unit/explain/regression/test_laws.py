"""What the statistics must be: what scikit-learn, scipy and plain shuffling give, only sooner."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import false_discovery_control
from sklearn.linear_model import Ridge

from umekomi.errors import InvalidInput
from umekomi.explain.features import standardise
from umekomi.explain.regression.blocks import measure_contributions, split_predictions
from umekomi.explain.regression.coefficients import fit_coefficients
from umekomi.explain.regression.folds import assign_folds, permute_target
from umekomi.explain.regression.intervals import false_discovery
from umekomi.explain.regression.ridge import build_space, cross_validate
from umekomi.explain.regression.stability import select_stable

sizes = st.lists(st.integers(1, 9), min_size=5, max_size=30)


def numbered(counts: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts)


@given(sizes, st.integers(0, 99))
def test_folds_keep_groups_whole_and_are_never_empty(counts: list[int], seed: int) -> None:
    groups = numbered(counts)
    folds = assign_folds(groups, folds=5, seed=seed)
    assert set(folds) == set(range(5))
    assert all(len(set(folds[groups == group])) == 1 for group in set(groups))


@given(st.integers(2, 4), st.integers(5, 25), st.integers(0, 99))
def test_a_shuffled_target_keeps_what_groups_of_one_size_have_in_common(size: int, count: int, seed: int) -> None:
    target = np.random.default_rng(seed).standard_normal(size * count)
    groups = numbered([size] * count)
    shuffled = permute_target(target, groups, permutations=3, seed=seed)
    whole = {frozenset(target[groups == group]) for group in range(count)}
    for column in shuffled.T:
        assert {frozenset(column[groups == group]) for group in range(count)} == whole


@given(sizes, st.integers(0, 99))
def test_a_shuffled_target_has_values_of_the_target_only(counts: list[int], seed: int) -> None:
    groups = numbered(counts)
    target = np.random.default_rng(seed).standard_normal(len(groups))
    shuffled = permute_target(target, groups, permutations=2, seed=seed)
    assert set(shuffled.ravel()) <= set(target)


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(InvalidInput, match="4 groups for 5 folds"):
        assign_folds(numbered([3, 3, 3, 3]), folds=5, seed=0)


@pytest.mark.parametrize("columns", [8, 90])
def test_predictions_are_those_of_scikit_learn(columns: int) -> None:
    """With fewer and with more columns than rows: there, the regression runs in the space of the rows."""
    rng = np.random.default_rng(0)
    groups = numbered([2] * 30)
    features, _ = standardise(rng.standard_normal((60, columns)))
    target = features[:, 0] + rng.standard_normal(60)
    folds = assign_folds(groups, folds=5, seed=0)
    space = build_space(features)
    found = cross_validate(space.rows, target[:, None], folds)
    for fold, penalty in enumerate(found.penalties):
        mine = folds == fold
        fitted = features[~mine] - features[~mine].mean(axis=0)
        peer = Ridge(alpha=penalty * (fitted**2).sum()).fit(features[~mine], target[~mine])
        np.testing.assert_allclose(found.predictions[mine, 0], peer.predict(features[mine]), atol=1e-8)
        np.testing.assert_allclose(space.to_columns(found.weights[fold]), peer.coef_, atol=1e-8)
    coefficients = fit_coefficients(space, target, groups, found=found, resamples=200, seed=0)
    peer = Ridge(alpha=found.final * (features**2).sum()).fit(features, target)
    np.testing.assert_allclose(coefficients.values, peer.coef_, atol=1e-8)
    assert coefficients.low[0] < coefficients.values[0] < coefficients.high[0]


def test_contributions_are_the_mean_over_shuffles() -> None:
    rng = np.random.default_rng(1)
    groups = np.arange(40)
    features, _ = standardise(rng.standard_normal((40, 6)))
    target = features[:, 0] + features[:, 4] + 0.5 * rng.standard_normal(40)
    folds = assign_folds(groups, folds=4, seed=0)
    space = build_space(features)
    found = cross_validate(space.rows, target[:, None], folds)
    parts = split_predictions(space, features, [slice(0, 3), slice(3, 6)], folds=folds, found=found)
    np.testing.assert_allclose(parts.sum(axis=1) + found.baseline[:, 0], found.predictions[:, 0], atol=1e-8)
    exact = measure_contributions(parts, target, groups, folds=folds, found=found, resamples=200, seed=0)
    errors = []
    for _ in range(3000):
        predicted = found.predictions[:, 0] - parts[:, 0]
        for fold in range(4):
            mine = np.flatnonzero(folds == fold)
            predicted[mine] += parts[rng.permutation(mine), 0]
        errors.append(((target - predicted) ** 2).sum())
    squares = ((target - found.baseline[:, 0]) ** 2).sum()
    plain = ((target - found.predictions[:, 0]) ** 2).sum()
    assert exact[0].drop == pytest.approx((np.mean(errors) - plain) / squares, rel=0.02)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_q_is_that_of_scipy(p_values: list[float]) -> None:
    mine = false_discovery(np.array(p_values))
    np.testing.assert_allclose(mine, false_discovery_control(p_values, method="by"), rtol=1e-9, atol=1e-300)


def test_intervals_of_coefficients_are_those_of_fitting_again() -> None:
    """Beside bootstrap fits of whole groups, under the same penalty: as wide on average to a fifth."""
    rng = np.random.default_rng(4)
    groups = numbered([4] * 80)
    features, _ = standardise(rng.standard_normal((80, 6))[groups])
    target = features[:, 0] + rng.standard_normal(80)[groups] + rng.standard_normal(320)
    space = build_space(features)
    found = cross_validate(space.rows, target[:, None], assign_folds(groups, folds=5, seed=0))
    mine = fit_coefficients(space, target, groups, found=found, resamples=1000, seed=0)
    again = []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(groups == group) for group in rng.integers(0, 80, 80)])
        centred = features[rows] - features[rows].mean(axis=0)
        again.append(Ridge(alpha=found.final * (centred**2).sum()).fit(features[rows], target[rows]).coef_)
    widths = (mine.high - mine.low) / (2 * 1.96 * np.std(again, axis=0))
    assert 0.8 < widths.mean() < 1.25


def test_a_lasso_is_stable_on_what_matters() -> None:
    rng = np.random.default_rng(5)
    features, _ = standardise(rng.standard_normal((200, 60)))
    target = features[:, 3] - features[:, 40] + rng.standard_normal(200)
    found = select_stable(features, target, np.arange(200), seed=0)
    assert set(np.flatnonzero(found.stable)) == {3, 40}

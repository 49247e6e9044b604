"""Correlations are scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.pairs import correlations
from umekomi.evaluate.outcomes import Outcome, Reduction
from umekomi.evaluate.statistics import value
from umekomi.types import Vectors


def pairs(seed: int, n: int) -> tuple[Vectors, Vectors]:
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((n, 6)).astype(np.float32)
    return first, (first + rng.standard_normal((n, 6))).astype(np.float32)


@given(seed=st.integers(0, 10_000), n=st.integers(3, 50))
def test_they_are_those_of_cosine_and_score(seed: int, n: int) -> None:
    first, second = pairs(seed, n)
    scores = np.random.default_rng(seed).integers(0, 6, n) * 1.0
    scores[:2] = 0, 5
    spearman, pearson = correlations(first, second, scores)
    a, b = first.astype(np.float64), second.astype(np.float64)
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert value(spearman) == pytest.approx(stats.spearmanr(cosines, scores).statistic, abs=1e-9)
    assert value(pearson) == pytest.approx(stats.pearsonr(cosines, scores).statistic, abs=1e-9)


@given(seed=st.integers(0, 10_000))
def test_spearman_asks_for_the_order_only(seed: int) -> None:
    first, second = pairs(seed, 20)
    scores = np.random.default_rng(seed).random(20)
    plain, bent = (value(correlations(first, second, each)[0]) for each in (scores, np.exp(3 * scores)))
    assert plain == pytest.approx(bent, abs=1e-12)


@pytest.mark.parametrize("reduction", ["spearman", "pearson"])
def test_perfect_order_is_1_and_one_value_is_0(reduction: Reduction) -> None:
    scores = np.random.default_rng(0).random(50)
    assert value(Outcome("sts", scores, reduction, scores)) == pytest.approx(1, abs=1e-12)
    assert value(Outcome("sts", -scores, reduction, scores)) == pytest.approx(-1, abs=1e-12)
    assert value(Outcome("sts", np.full(50, 0.3), reduction, scores)) == 0
    assert value(Outcome("sts", scores, reduction, np.full(50, 0.3))) == 0


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([1.0, 1.0, 1.0, 1.0], "all 4 scores are 1"),
        ([1.0, float("nan"), 2.0, 3.0], "score of pair 1 is nan"),
        ([1.0, 2.0], "not as many pairs"),
    ],
)
def test_scores_that_allow_no_correlation_are_refused(scores: list[float], words: str) -> None:
    first, second = pairs(0, 4)
    with pytest.raises(InvalidInput, match=words):
        correlations(first, second, np.array(scores))


def test_a_model_that_gives_one_vector_for_everything_is_refused() -> None:
    same = np.ones((4, 3), np.float32)
    with pytest.raises(InvalidInput, match="all 4 cosines are 1"):
        correlations(same, same, np.arange(4.0))


def test_two_pairs_are_too_few() -> None:
    first, second = pairs(0, 2)
    with pytest.raises(InvalidInput, match="there are 2 pairs"):
        correlations(first, second, np.arange(2.0))

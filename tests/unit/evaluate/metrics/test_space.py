"""The shape of a space is measured as by its definition, over all pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from umekomi.embedding.vectors import normalize
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.space import space_figures


@given(seed=st.integers(0, 1000), n=st.integers(12, 60), shift=st.floats(0, 5))
@settings(deadline=None, max_examples=30)
def test_figures_are_those_of_scipy_and_scikit_learn(seed: int, n: int, shift: float) -> None:
    vectors = normalize((np.random.default_rng(seed).standard_normal((n, 10)) + shift).astype(np.float32))
    near = nearest(vectors, k=10).index
    found = space_figures(vectors, near)
    counts = np.bincount(near.ravel(), minlength=n)
    assert found["hubness_skewness"] == pytest.approx(stats.skew(counts), nan_ok=True, abs=1e-9)
    assert found["antihub_share"] == (counts == 0).mean()
    cosines = cosine_similarity(vectors.astype(np.float64))[~np.eye(n, dtype=bool)]
    assert found["anisotropy"] == pytest.approx(cosines.mean(), abs=1e-6)
    explained = PCA(1).fit(vectors.astype(np.float64)).explained_variance_ratio_[0]
    assert found["first_component"] == pytest.approx(explained, abs=1e-6)


def test_equal_vectors_are_one_cone_without_variance() -> None:
    vectors = np.tile(normalize(np.ones((1, 8), np.float32)), (20, 1))
    found = space_figures(vectors, nearest(vectors, k=2).index)
    assert found["anisotropy"] == pytest.approx(1)
    assert found["first_component"] == 0
    assert found["antihub_share"] == pytest.approx(17 / 20)  # of ties, the lower rows are the nearest

"""Exact search agrees with the definition of cosine similarity."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from umekomi.search.exact import nearest


@given(seed=st.integers(0, 10_000), n=st.integers(1, 30), top=st.integers(1, 40))
def test_hits_are_sorted_by_cosine(seed: int, n: int, top: int) -> None:
    rng = np.random.default_rng(seed)
    documents = rng.normal(size=(n, 5)).astype(np.float32) * rng.uniform(0.1, 9, (n, 1)).astype(np.float32)
    query = rng.normal(size=5).astype(np.float32)
    hits = nearest(query, documents, top=top)
    cosines = documents @ query / np.linalg.norm(documents, axis=1) / np.linalg.norm(query)
    assert len(hits) == min(n, top)
    np.testing.assert_allclose([hit.score for hit in hits], np.sort(cosines)[::-1][:top], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose([cosines[hit.index] for hit in hits], [hit.score for hit in hits], atol=1e-5)


def test_ties_keep_their_order_and_zero_vectors_do_not_break_it() -> None:
    documents = np.array([[0, 0], [1, 0], [2, 0], [0, 1]], np.float32)
    hits = nearest(np.array([3, 0], np.float32), documents)
    assert [hit.index for hit in hits] == [1, 2, 0, 3]

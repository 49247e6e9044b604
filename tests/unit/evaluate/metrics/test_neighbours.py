"""The nearest texts are the exact ones, in any block, with duplicates tied and the text itself left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from umekomi.embedding.vectors import normalize
from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.exact import similarity_of_pairs, similarity_table
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.types import Vectors


def clustered(rng: np.random.Generator, n: int, dim: int = 16) -> Vectors:
    """Texts like those of a real model: all in one half, in clusters, some twice."""
    centres = rng.standard_normal((4, dim))[rng.integers(0, 4, n)]
    vectors = normalize((rng.standard_normal((n, dim)) + centres + 1).astype(np.float32))
    vectors[rng.integers(0, n, n // 4)] = vectors[rng.integers(0, n, n // 4)]
    return vectors


def by_hand(vectors: Vectors, k: int) -> NDArray[np.int64]:
    """All similarities in whole numbers, sorted by similarity as float32 and then by row."""
    fixed = np.rint(vectors.astype(np.float64) * 2**26).astype(object)
    table = np.array([[float(left @ right) / 2**52 for right in fixed] for left in fixed], np.float32)
    rows = np.arange(len(vectors))
    return np.stack(
        [[at for at in np.lexsort((rows, -table[row])) if at != row][:k] for row in range(len(vectors))]
    ).astype(np.int64)


@given(seed=st.integers(0, 10_000), n=st.integers(4, 40), k=st.integers(1, 3))
@settings(deadline=None, max_examples=30)
def test_they_are_those_that_whole_numbers_give(seed: int, n: int, k: int) -> None:
    vectors = clustered(np.random.default_rng(seed), n)
    np.testing.assert_array_equal(nearest(vectors, k=k).index, by_hand(vectors, k))


@given(seed=st.integers(0, 10_000), n=st.integers(12, 400), k=st.integers(1, 10), block=st.integers(1, 200_000))
@settings(deadline=None, max_examples=60)
def test_they_do_not_depend_on_the_block(seed: int, n: int, k: int, block: int) -> None:
    vectors = clustered(np.random.default_rng(seed), n)
    whole, parts = nearest(vectors, k=k), nearest(vectors, k=k, block_bytes=block)
    np.testing.assert_array_equal(whole.index, parts.index)
    np.testing.assert_array_equal(whole.similarity, parts.similarity)
    np.testing.assert_array_equal(whole.tied, parts.tied)


def test_they_are_scikit_learns_where_nothing_ties() -> None:
    from sklearn.neighbors import NearestNeighbors

    rng = np.random.default_rng(0)
    vectors = normalize(rng.standard_normal((3000, 64)).astype(np.float32))
    found = nearest(vectors, k=10)
    theirs = NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(vectors.astype(np.float64))
    distance, index = theirs.kneighbors()
    np.testing.assert_array_equal(found.index, index[:, :10])
    np.testing.assert_allclose(found.similarity, 1 - distance[:, :10], atol=2e-7)
    assert not found.tied.any()


def test_a_text_is_left_out_by_its_row_and_its_duplicates_stay() -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], np.float32)
    found = nearest(vectors, k=1)
    assert found.index[:, 0].tolist() == [1, 0, 0, 0]
    assert found.similarity[:, 0].tolist() == [1, 1, 1, 0]
    assert found.tied.tolist() == [True, True, True, True]
    assert nearest(vectors, k=2).tied.tolist() == [False, False, False, True]


def test_a_crowd_of_duplicates_keeps_the_order_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    vectors = normalize(rng.standard_normal((3000, 24)).astype(np.float32))
    crowd = np.sort(rng.choice(3000, 2500, replace=False))
    vectors[crowd] = vectors[crowd[0]]
    found = nearest(vectors, k=3, block_bytes=1 << 20)
    assert found.index[crowd[0]].tolist() == crowd[1:4].tolist()
    assert found.index[crowd[9]].tolist() == crowd[:3].tolist()
    assert found.tied[crowd].all()


def test_queries_may_be_other_texts_and_then_none_is_left_out() -> None:
    rng = np.random.default_rng(2)
    corpus, queries = (normalize(rng.standard_normal((n, 8)).astype(np.float32)) for n in (50, 7))
    queries[3] = corpus[20]
    found = nearest(corpus, k=50, queries=queries)
    assert found.index[3, 0] == 20
    assert (np.sort(found.index, axis=1) == np.arange(50)).all()
    assert not found.tied.any()


@given(seed=st.integers(0, 1000), dim=st.integers(1, 700))
@settings(deadline=None, max_examples=30)
def test_similarities_agree_to_the_last_bit_however_they_are_computed(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    left, right = (normalize(rng.standard_normal((n, dim)).astype(np.float32)) for n in (5, 9))
    table = similarity_table(left, right)
    rows, columns = (each.ravel().astype(np.int64) for each in np.indices(table.shape))
    np.testing.assert_array_equal(
        table.ravel(), similarity_of_pairs(left, right, left_rows=rows, right_rows=columns)
    )
    np.testing.assert_array_equal(table[:, ::-1][2:3], similarity_table(left[2:3], right[::-1]))
    np.testing.assert_allclose(table, left.astype(np.float64) @ right.T.astype(np.float64), atol=3e-7)


@pytest.mark.parametrize(
    ("vectors", "k", "words"),
    [
        (
            np.array([[1, 0], [np.nan, 0], [0, np.nan]], np.float32),
            1,
            "2 of 3 vectors hold NaN or infinity, the first in",
        ),
        (np.array([[1, 0], [0, 1]], np.float32), 2, "k is 2, but each text has 1 other texts"),
        (np.array([[1, 0], [0, 1]], np.float32), 0, "k is 0"),
        (np.array([[1, 0], [0, 3]], np.float32), 1, "row 1 of the vectors has length 3 instead of 1"),
        (np.zeros((0, 4), np.float32), 1, "0 other texts"),
        (np.zeros((3, 0), np.float32), 1, r"shape \(3, 0\)"),
    ],
)
def test_what_cannot_be_searched_is_refused(vectors: Vectors, k: int, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        nearest(vectors, k=k)


def test_rows_of_zeros_are_as_near_to_everything() -> None:
    vectors = np.array([[0, 0], [1, 0], [-1, 0]], np.float32)
    assert nearest(vectors, k=2).index.tolist() == [[1, 2], [0, 2], [0, 1]]

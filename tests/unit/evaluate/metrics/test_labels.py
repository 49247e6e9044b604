"""Metrics over labels agree with scikit-learn or with the definition, item by item."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs
from sklearn.neighbors import KNeighborsClassifier

from umekomi.embedding.vectors import normalize
from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics import labels as ours
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.statistics import value
from umekomi.types import Vectors


def topics(n: int = 240, *, kinds: int = 4, seed: int = 0, pull: float = 0.5) -> tuple[Vectors, ours.Labels]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, kinds, n)
    vectors = rng.standard_normal((n, 24)) + pull * rng.standard_normal((kinds, 24))[labels] + 0.5
    return normalize(vectors.astype(np.float32)), labels


def test_precision_is_the_share_of_neighbours_with_the_same_label() -> None:
    near = np.array([[1, 2, 3], [0, 3, 2], [3, 0, 1], [2, 1, 0]])
    labels = np.array([7, 7, 2, 7])
    assert ours.precision_at_k(near, labels, k=3).items.tolist() == [2 / 3, 2 / 3, 0, 2 / 3]
    assert ours.precision_at_k(near, labels, k=1).items.tolist() == [1, 1, 0, 0]
    assert ours.precision_at_k(near, labels, k=1).metric == "precision@1"


def test_knn_accuracy_is_scikit_learns_leave_one_out() -> None:
    vectors, labels = topics()
    near = nearest(vectors, k=5)
    right = []
    for row in range(len(labels)):
        others = np.arange(len(labels)) != row
        model = KNeighborsClassifier(5, metric="cosine", algorithm="brute").fit(vectors[others], labels[others])
        right.append(model.predict(vectors[row : row + 1])[0] == labels[row])
    votes = labels[near.index]
    counts = np.sort([(votes == kind).sum(axis=1) for kind in range(4)], axis=0)
    clear = counts[-1] != counts[-2]  # scikit-learn gives ties to the lower label, we to the nearest text
    np.testing.assert_array_equal(ours.knn_accuracy(near.index, labels, k=5).items[clear], np.array(right)[clear])
    assert 0 < (~clear).sum() < 150


def test_of_equally_frequent_labels_the_nearest_counts() -> None:
    near, labels = np.array([[1, 2, 3, 4], *[[0, 1, 2, 3]] * 4]), np.array([1, 9, 1, 1, 9])
    assert ours.knn_accuracy(near, labels, k=4).items[0] == 0
    assert ours.knn_accuracy(near[:, [1, 0, 2, 3]], labels, k=4).items[0] == 1


def test_r_precision_is_precision_at_the_number_of_relevant_texts() -> None:
    vectors, labels = topics(120)
    labels[5] = 99  # alone with its label
    table = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    for row, item in enumerate(ours.r_precision(vectors, labels, block_bytes=4000).items):
        others = np.delete(np.arange(120), row)
        relevant = int((labels[others] == labels[row]).sum())
        first = others[np.argsort(-table[row, others])[:relevant]]
        assert item == pytest.approx((labels[first] == labels[row]).mean() if relevant else 0.0)


def test_ties_at_the_last_place_of_r_precision_count_by_their_share() -> None:
    vectors = normalize(np.array([[1, 0], [1, 1], [1, 1], [1, 1]], np.float32))
    # one relevant text and three equally near: each has a third of a place
    assert ours.r_precision(vectors, np.array([0, 0, 1, 1])).items[0] == pytest.approx(1 / 3)


@given(seed=st.integers(0, 1000), n=st.integers(5, 60), kinds=st.integers(2, 5))
@settings(deadline=None, max_examples=30)
def test_silhouette_is_scikit_learns(seed: int, n: int, kinds: int) -> None:
    vectors, labels = topics(n, kinds=kinds, seed=seed)
    vectors[0] = vectors[-1]
    if 2 <= len(np.unique(labels)) < n:
        expected = theirs.silhouette_samples(vectors.astype(np.float64), labels, metric="cosine")
        np.testing.assert_allclose(ours.silhouette(vectors, labels).items, expected, atol=2e-5)


@given(seed=st.integers(0, 1000), kinds=st.integers(1, 5), clusters=st.integers(1, 5))
def test_v_measure_is_scikit_learns(seed: int, kinds: int, clusters: int) -> None:
    rng = np.random.default_rng(seed)
    labels, found = rng.integers(0, kinds, 40), rng.integers(0, clusters, 40)
    outcome = ours.Outcome("v_measure", found * 1.0, "v_measure", labels * 1.0)
    assert value(outcome) == pytest.approx(theirs.v_measure_score(labels, found), abs=1e-9)


def test_k_means_finds_plain_topics_the_same_way_twice() -> None:
    vectors, labels = topics(pull=3)
    first, second = (ours.kmeans_v_measure(vectors, labels, seed=4) for _ in range(2))
    assert value(first) > 0.98
    np.testing.assert_array_equal(first.items, second.items)


def test_k_means_of_equal_vectors_is_worth_nothing() -> None:
    vectors = np.tile(normalize(np.ones((1, 8), np.float32)), (20, 1))
    assert value(ours.kmeans_v_measure(vectors, np.arange(20) % 2, seed=0)) == 0


def test_the_probe_learns_labels_but_not_what_only_groups_share() -> None:
    vectors, labels = topics(pull=1.5)
    assert value(ours.linear_probe(vectors, labels, groups=None, seed=0)) > 0.95
    # Each group has a direction of its own and one label by chance: only its own texts could teach it.
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(40), 6)
    own = normalize(
        (rng.standard_normal((40, 64))[group] + 0.1 * rng.standard_normal((240, 64))).astype(np.float32)
    )
    chance = (np.arange(40) % 2)[group]
    groups = [f"g{each}" for each in group]
    assert value(ours.linear_probe(own, chance, groups=None, seed=0)) > 0.9
    assert value(ours.linear_probe(own, chance, groups=groups, seed=0)) < 0.7


@given(seed=st.integers(0, 1000), count=st.integers(2, 30))
def test_folds_keep_groups_whole_and_spread_labels(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(count), rng.integers(1, 5, count))
    labels = rng.integers(0, 3, len(group))
    fold = ours.plan_folds(labels, [str(each) for each in group], seed=seed)
    assert all(len(set(fold[group == each])) == 1 for each in range(count))
    assert set(fold) == set(range(min(5, count)))
    single = ours.plan_folds(np.arange(100) % 4, None, seed=seed)
    assert {
        int((single[np.arange(100) % 4 == label] == each).sum()) for label in range(4) for each in range(5)
    } == {5}


def test_the_published_notebook_is_reproduced_to_the_last_digit() -> None:
    vectors, labels = topics(300)
    vectors *= np.linspace(0.5, 2, 300, dtype=np.float32)[:, None]
    vectors[7], vectors[9] = vectors[200], vectors[201]
    labels[[7, 200]] = 0, 1  # where the first is the duplicate, it is the duplicate's label that counts
    values = np.array([[float(each) for each in row] for row in vectors])
    total = 0
    for one in values:
        cosines = [np.dot(each, one) / (np.linalg.norm(each) * np.linalg.norm(one)) for each in values]
        order = np.array(cosines).argsort()[::-1]
        total += sum(int(labels[order[0]] == labels[order[place]]) for place in range(1, 4))
    outcome = ours.legacy_precision(vectors, labels, k=3)
    assert outcome.metric == "legacy_precision@3"
    assert value(outcome) == total / (300 * 3)


@given(counts=st.lists(st.integers(0, 6), min_size=1, max_size=500), k=st.integers(1, 6))
def test_the_mean_of_shares_is_rounded_once(counts: list[int], k: int) -> None:
    items = np.minimum(counts, k)
    assert value(ours.Outcome("precision", items / k)) == int(items.sum()) / (len(items) * k)


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=10)
def test_the_order_of_the_texts_changes_no_value(seed: int) -> None:
    vectors, labels = topics(90, seed=seed)
    order = np.random.default_rng(seed).permutation(90)
    for rows in (np.arange(90), order):
        near = nearest(vectors[rows], k=3)
        assert not near.tied.any()
        found = {
            "precision": ours.precision_at_k(near.index, labels[rows], k=3).items,
            "knn": ours.knn_accuracy(near.index, labels[rows], k=3).items,
            "r_precision": ours.r_precision(vectors[rows], labels[rows]).items,
            "silhouette": ours.silhouette(vectors[rows], labels[rows]).items,
        }
        if rows is not order:
            before = found
    for name, items in before.items():
        np.testing.assert_allclose(items[order], found[name], atol=1e-6, err_msg=name)


def test_one_label_and_too_few_texts_are_refused() -> None:
    vectors, labels = topics(10)
    near = nearest(vectors, k=3).index
    same = np.zeros(10, np.int64)
    for call in (
        lambda: ours.precision_at_k(near, same, k=3),
        lambda: ours.silhouette(vectors, same),
        lambda: ours.linear_probe(vectors, same, groups=None, seed=0),
        lambda: ours.kmeans_v_measure(vectors, same, seed=0),
    ):
        with pytest.raises(InvalidInput, match="all 10 texts have the same label"):
            call()
    with pytest.raises(InvalidInput, match="k is 4, but 3 neighbours"):
        ours.knn_accuracy(near, labels, k=4)
    with pytest.raises(InvalidInput, match="9 labels for 10 texts"):
        ours.precision_at_k(near, labels[:9], k=1)
    with pytest.raises(InvalidInput, match="one group"):
        ours.linear_probe(vectors, labels, groups=["a"] * 10, seed=0)

"""Whether texts of one category lie together: neighbours, clusters, and what a linear classifier can tell apart."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.checks import check_finite, check_labels, check_unit
from umekomi.evaluate.metrics.neighbours import BLOCK_BYTES, iter_similarities
from umekomi.evaluate.outcomes import Outcome
from umekomi.extras import require
from umekomi.types import Vectors

Labels: TypeAlias = NDArray[np.int64]
"""int64 ``(n,)``: a number for each text's label."""

FOLDS = 5
PROBE_C = 0.01
PROBE_STEPS = 200
KMEANS_STARTS = 5
LEGACY_TEXTS = 20_000


def precision_at_k(neighbours: NDArray[np.int64], labels: Labels, *, k: int) -> Outcome:
    """The share of a text's ``k`` nearest others that have its label; chance is the label's share of the others.

    neighbours  int64 ``(n, k or more)``, nearest first, the text itself left out (`neighbours.nearest`)
    labels      int64 ``(n,)``
    """
    same = _labels_of(neighbours, labels, k=k) == labels[:, None]
    return Outcome(f"precision@{k}", same.mean(axis=1))


def knn_accuracy(neighbours: NDArray[np.int64], labels: Labels, *, k: int) -> Outcome:
    """Whether the most frequent label among a text's ``k`` nearest others is its own, 1 or 0.

    Of equally frequent labels the one with the nearest text counts.
    """
    near = _labels_of(neighbours, labels, k=k)
    votes = np.zeros(near.shape, np.int64)
    for place in range(k):
        votes += near == near[:, place : place + 1]
    elected = near[np.arange(len(near)), votes.argmax(axis=1)]
    return Outcome(f"knn_accuracy@{k}", (elected == labels).astype(np.float64))


def r_precision(vectors: Vectors, labels: Labels, *, block_bytes: int = BLOCK_BYTES) -> Outcome:
    """The share of a text's R nearest others that have its label, where R is how many others have it.

    Of texts tied at the last place, each counts by the share of them that has a place: the mean over all orders. A
    text whose label no other has cannot find any and counts 0.
    """
    check_unit(vectors)
    check_labels(labels, len(vectors))
    others = np.bincount(labels - labels.min())[labels - labels.min()] - 1
    items = np.zeros(len(labels))
    for start, table in iter_similarities(vectors, block_bytes=block_bytes):
        own = np.arange(len(table))
        table[own, start + own] = -np.inf
        for relevant in np.unique(others[start : start + len(table)]):
            rows = own[others[start : start + len(table)] == relevant]
            if relevant > 0:
                items[start + rows] = _share_of_first(
                    table[rows], labels[start + rows], labels, places=int(relevant)
                )
    return Outcome("r_precision", items)


def _share_of_first(table: NDArray[np.float32], own: Labels, labels: Labels, *, places: int) -> NDArray[np.float64]:
    last = -np.partition(-table, places - 1, axis=1)[:, places - 1 : places]
    same = labels[None, :] == own[:, None]
    above, level = table > last, table == last
    left = places - above.sum(axis=1)
    found = (above & same).sum(axis=1) + left * (level & same).sum(axis=1) / level.sum(axis=1)
    return np.asarray(found / places, np.float64)


def silhouette(vectors: Vectors, labels: Labels) -> Outcome:
    """How much nearer a text is to its own label's texts than to the nearest other label's, from -1 to 1.

    Rousseeuw 1987 (doi:10.1016/0377-0427(87)90125-7) with cosine distance: ``(b - a) / max(a, b)``, where ``a`` is
    the mean distance to the others of the own label and ``b`` the least mean distance to another label; 0 for a
    text alone with its label. The mean similarity to a label is the similarity to the mean of its vectors, so this
    takes no table of all pairs.
    """
    check_unit(vectors)
    check_labels(labels, len(vectors))
    _, label = np.unique(labels, return_inverse=True)
    sizes = np.bincount(label)
    sums = np.stack([vectors[label == each].sum(axis=0, dtype=np.float64) for each in range(len(sizes))])
    similarity = vectors @ sums.T
    rows = np.arange(len(vectors))
    itself = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
    others = np.maximum(sizes[label] - 1, 1)
    inside = 1 - (similarity[rows, label] - itself) / others
    outside = 1 - similarity / sizes
    outside[rows, label] = np.inf
    nearest = outside.min(axis=1)
    scale = np.maximum(np.maximum(inside, nearest), np.finfo(np.float64).tiny)
    return Outcome("silhouette", np.where(sizes[label] > 1, (nearest - inside) / scale, 0.0))


def legacy_precision(vectors: Vectors, labels: Labels, *, k: int = 3) -> Outcome:
    """The published notebook's score: for comparison with published numbers, not for ranking.

    Its loop (github.com/okitalabs/Embeddings, 200.HuggingFaceEmbeddings.ipynb) sorts the float64 cosines to all
    texts upwards, reads the order backwards, and compares the label of the first text with those of the next ``k``.
    It takes the first for the text itself; where that is a duplicate, the duplicate's label is compared, and the
    text counts as its neighbour. Which duplicate comes first is numpy's unstable sort's choice, here as there.
    """
    check_finite(vectors)
    check_labels(labels, len(vectors))
    if not 1 <= k < len(vectors):
        raise InvalidInput(f"k is {k}, but each text has {len(vectors) - 1} others", param="k")
    if len(vectors) > LEGACY_TEXTS:
        raise InvalidInput(f"there are {len(vectors)} texts, but the notebook's loop is meant for {LEGACY_TEXTS}")
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1)
    lengths[lengths == 0] = np.inf  # the notebook divides by 0 here
    items = np.zeros(len(labels))
    for row, vector in enumerate(wide):
        # Not a matrix product: that would round the cosines of duplicates differently.
        cosines = np.einsum("ij,j->i", wide, vector) / (lengths * lengths[row])
        first, *following = labels[np.argsort(cosines)[::-1][: 1 + k]]
        items[row] = np.mean(following == first)
    return Outcome(f"legacy_precision@{k}", items)


def kmeans_v_measure(vectors: Vectors, labels: Labels, *, seed: int) -> Outcome:
    """The V-measure of k-means with as many clusters as there are labels, from 0 to 1 (Rosenberg and Hirschberg
    2007).

    The best of five starts of scikit-learn's k-means (Lloyd) on the vectors as they are. The clusters are found
    once: intervals and tests resample texts, not clusterings. Raises `MissingExtra` without scikit-learn.
    """
    check_unit(vectors)
    check_labels(labels, len(vectors))
    cluster = require("sklearn.cluster", extra="evaluate")
    kinds, reference = np.unique(labels, return_inverse=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer distinct vectors than clusters: the score says so
        found = cluster.KMeans(len(kinds), n_init=KMEANS_STARTS, random_state=seed).fit_predict(vectors)
    return Outcome(
        "v_measure", found.astype(np.float64), reduction="v_measure", reference=reference.astype(np.float64)
    )


def linear_probe(vectors: Vectors, labels: Labels, *, groups: Sequence[str] | None, seed: int) -> Outcome:
    """Whether logistic regression on the other folds' vectors predicts a text's label, 1 or 0.

    Five folds with like shares of the labels; texts of one group are in one fold, so that what they share teaches
    nothing about each other. Components are centred and scaled on the folds that teach. Raises `MissingExtra`
    without scikit-learn, and `InvalidInput` where fewer than two folds can be made.
    """
    check_finite(vectors)
    check_labels(labels, len(vectors))
    fold = plan_folds(labels, groups, seed=seed)
    linear = require("sklearn.linear_model", extra="evaluate")
    right = np.zeros(len(labels))
    for each in range(int(fold.max()) + 1):
        held, taught = fold == each, fold != each
        if (labels[taught] == labels[taught][0]).all():
            right[held] = labels[held] == labels[taught][0]
            continue
        mean, scale = vectors[taught].mean(axis=0), vectors[taught].std(axis=0) + 1e-12
        model = linear.LogisticRegression(C=PROBE_C, max_iter=PROBE_STEPS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a last step too few moves no label
            model.fit((vectors[taught] - mean) / scale, labels[taught])
        right[held] = model.predict((vectors[held] - mean) / scale) == labels[held]
    return Outcome("linear_probe", right)


def plan_folds(labels: Labels, groups: Sequence[str] | None, *, seed: int) -> NDArray[np.int64]:
    """A fold for each text, int64 ``(n,)``: groups whole, each label spread over the folds as evenly as they allow.

    Groups go, largest first, to the fold that has the fewest of their labels so far. Raises `InvalidInput` for
    fewer than two groups.
    """
    _, group = np.unique(np.arange(len(labels)) if groups is None else np.asarray(groups), return_inverse=True)
    _, label = np.unique(labels, return_inverse=True)
    count = int(group.max()) + 1
    if count < 2:
        raise InvalidInput("all texts are in one group: cross-validation needs two groups or more")
    tally = np.zeros((count, int(label.max()) + 1))
    np.add.at(tally, (group, label), 1)
    order = np.random.default_rng(seed).permutation(count)
    order = order[np.argsort(-tally[order].sum(axis=1), kind="stable")]
    share = tally / tally.sum(axis=0)
    folds = min(FOLDS, count)
    filled, size = np.zeros((folds, tally.shape[1])), np.zeros(folds)
    chosen = np.zeros(count, np.int64)
    for each in order:
        best = int(np.lexsort((size, filled @ tally[each]))[0])
        chosen[each] = best
        filled[best] += share[each]
        size[best] += tally[each].sum()
    return chosen[group]


def _labels_of(neighbours: NDArray[np.int64], labels: Labels, *, k: int) -> Labels:
    check_labels(labels, len(neighbours))
    if not 1 <= k <= neighbours.shape[1]:
        raise InvalidInput(f"k is {k}, but {neighbours.shape[1]} neighbours of each text are known", param="k")
    return labels[neighbours[:, :k]]

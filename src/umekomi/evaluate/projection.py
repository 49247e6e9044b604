"""Vectors to points of a plane, for looking at. A layout is no score: how far to trust it is computed beside it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.extras import require
from umekomi.types import Vectors

Method: TypeAlias = Literal["tsne", "pca", "umap"]

PERPLEXITY = 30
"""How many neighbours a text of a t-SNE map listens to: openTSNE's default, and what most published maps use."""

FEWEST_FOR_TSNE = 12
"""Below it, perplexity would fall under 4 and t-SNE would draw noise."""

FEWEST_FOR_THREADS = 5_000
"""Two threads halve the time of 2,700 texts on idle cores, and multiply it where others use them (2026-11-21)."""

TRUST_NEIGHBOURS = 10
TRUST_SAMPLE = 5_000
"""Trustworthiness is a mean over texts: 5,000 of them give it to about the second digit, in seconds."""

BLOCK_BYTES = 64 << 20

Points: TypeAlias = NDArray[np.float32]
Notify: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A place in the plane for every text.

    points           float32 ``(n, 2)``, in the order of the vectors
    method           how they were made
    seed             the same seed and vectors give the same points, bit for bit, on one machine
    trustworthiness  1: whoever is near in the plane is near among the vectors; about 0.5: the plane says nothing.
                     NaN where all vectors are equal
    """

    points: Points
    method: Method
    seed: int
    trustworthiness: float


def project(
    vectors: Vectors, *, method: Method = "tsne", seed: int = 0, notify: Notify, threads: int | None = None
) -> Layout:
    """A map of ``vectors`` ``(n, d)`` by their directions, with its trustworthiness.

    ``notify`` is told what was done otherwise than asked: PCA for fewer than 12 texts, one point where all vectors
    are equal, vectors of length 0, and a sample for trustworthiness. Raises `InvalidInput` for fewer than 3 texts,
    numbers that are not finite and an unknown ``method``; `MissingExtra` without openTSNE or umap-learn.
    """
    if method not in get_args(Method):
        raise InvalidInput(f"no map is called '{method}'; known: {', '.join(get_args(Method))}", param="method")
    directions = _directions(vectors, notify)
    count = len(directions)
    if np.ptp(directions, axis=0).max() == 0:
        notify(f"the map of {count} texts is one point: all their vectors are equal")
        return Layout(np.zeros((count, 2), np.float32), "pca", seed, float("nan"))
    if method != "pca" and count < FEWEST_FOR_TSNE:
        notify(
            f"the map is made by pca in place of {method}, which needs {FEWEST_FOR_TSNE} texts; there are {count}"
        )
        method = "pca"
    draw = {"pca": _pca, "tsne": _tsne, "umap": _umap}[method]
    points = np.ascontiguousarray(draw(directions, seed, _threads(count, threads)), np.float32)
    if count > TRUST_SAMPLE:
        notify(f"trustworthiness of the map: measured on {TRUST_SAMPLE:,} of {count:,} texts")
    return Layout(points, method, seed, trustworthiness(directions, points, seed=seed))


def trustworthiness(
    vectors: Vectors, points: Points, *, k: int = TRUST_NEIGHBOURS, sample: int = TRUST_SAMPLE, seed: int = 0
) -> float:
    """How far the ``k`` nearest in the plane are among the nearest by cosine, from 0 to 1.

    Venna & Kaski 2001, "Neighborhood preservation in nonlinear projection methods": 1 less a penalty for each
    neighbour in the plane that is none among the vectors, by its rank there. Over ``sample`` texts where there are
    more; the ranks are among all texts all the same. ``k`` is lowered where there are fewer than ``2 k + 1`` texts.
    """
    count = len(vectors)
    k = min(k, (count - 1) // 2)
    if k < 1:
        return float("nan")
    rows = np.arange(count)
    if count > sample:
        rows = np.sort(np.random.default_rng(seed).choice(count, sample, replace=False))
    near = _nearest_in_plane(points, rows, k)
    penalty = 0
    step = max(1, BLOCK_BYTES // (4 * count))
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        penalty += _rank_penalty(vectors[block] @ vectors.T, block, near[start : start + step], k)
    return 1 - 2 * penalty / (len(rows) * k * (2 * count - 3 * k - 1))


def _rank_penalty(similarity: NDArray[np.float32], rows: NDArray[np.int64], near: NDArray[np.int64], k: int) -> int:
    """Sum of (rank - k) over the neighbours in the plane whose rank among the vectors is over k."""
    np.put_along_axis(similarity, rows[:, None], np.inf, axis=1)
    theirs = np.take_along_axis(similarity, near, axis=1)
    penalty = 0
    for column in range(near.shape[1]):
        # The text itself counts as nearer, so this is the rank from 1 on.
        ranks = np.count_nonzero(similarity > theirs[:, column, None], axis=1)
        penalty += int(np.maximum(ranks - k, 0).sum())
    return penalty


def _nearest_in_plane(points: Points, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The ``k`` nearest points of each of ``rows``, itself left out by identity: a duplicate may come before it."""
    tree = require("scipy.spatial", extra="evaluate").cKDTree(points)
    found = np.asarray(tree.query(points[rows], k=k + 1)[1], np.int64)
    others = found != rows[:, None]
    others[others.all(axis=1), -1] = False
    kept: NDArray[np.int64] = found[others].reshape(len(rows), k)
    return kept


def _directions(vectors: Vectors, notify: Notify) -> Vectors:
    """``vectors`` at unit length; those of length 0 stay what they are."""
    if vectors.ndim != 2 or len(vectors) < 3:
        raise InvalidInput(f"a map needs at least 3 texts; there are {len(vectors)}", param="vectors")
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    bad = np.flatnonzero(~np.isfinite(lengths))
    if len(bad):
        raise InvalidInput(
            f"{len(bad)} of {len(vectors)} vectors hold NaN or infinity, the first at row {bad[0]}; "
            "check the model that made them",
            param="vectors",
        )
    if empty := int(np.count_nonzero(lengths == 0)):
        notify(f"{empty} of {len(vectors)} vectors have length 0: their places in the map mean nothing")
    return np.ascontiguousarray(vectors / np.where(lengths == 0, 1, lengths)[:, None], np.float32)


def _pca(vectors: Vectors, seed: int, threads: int) -> NDArray[np.float64]:
    """The two directions of most variance, each with its largest weight positive, so that signs do not flip."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    scatter = np.zeros((vectors.shape[1], vectors.shape[1]))
    step = max(1, BLOCK_BYTES // (8 * vectors.shape[1]))
    for start in range(0, len(vectors), step):
        centred = vectors[start : start + step] - mean
        scatter += centred.T @ centred
    axes = np.linalg.eigh(scatter)[1][:, ::-1][:, :2]
    if axes.shape[1] < 2:
        axes = np.column_stack([axes, np.zeros(len(axes))])
    largest = np.argmax(np.abs(axes), axis=0)
    axes = axes * np.where(axes[largest, [0, 1]] < 0, -1.0, 1.0)
    return np.asarray(vectors @ axes - mean @ axes)


def _tsne(vectors: Vectors, seed: int, threads: int) -> NDArray[np.float64]:
    """openTSNE on exact neighbours, from PCA: both as Kobak & Berens 2019, "The art of using t-SNE", advise.

    Its gradients are summed in an order that does not depend on the threads (checked with 1 and 2, Barnes-Hut and
    FFT), so the seed alone decides; openTSNE takes FFT from 10,000 texts on.
    """
    tsne = require("openTSNE", extra="evaluate")
    neighbours = require("openTSNE.nearest_neighbors", extra="evaluate")
    affinity = require("openTSNE.affinity", extra="evaluate")
    perplexity = min(PERPLEXITY, (len(vectors) - 1) // 3)
    near = nearest(vectors, k=3 * perplexity)
    distance = np.sqrt(np.maximum(2 - 2 * near.similarity.astype(np.float64), 0))
    known = neighbours.PrecomputedNeighbors(near.index, distance)
    likeness = affinity.PerplexityBasedNN(perplexity=perplexity, knn_index=known, n_jobs=threads, random_state=seed)
    run = tsne.TSNE(n_jobs=threads, random_state=seed)
    return np.asarray(run.fit(affinities=likeness, initialization=_start(vectors, seed, threads)))


def _start(vectors: Vectors, seed: int, threads: int) -> NDArray[np.float64]:
    """PCA shrunk to a standard deviation of 0.0001, as t-SNE wants it, with 1 % of noise to part equal texts."""
    points = _pca(vectors, seed, threads)
    points *= 1e-4 / points[:, 0].std()
    return points + np.random.default_rng(seed).normal(scale=1e-6, size=points.shape)


def _umap(vectors: Vectors, seed: int, threads: int) -> NDArray[np.float64]:
    """umap-learn with a seed, for which it uses one thread."""
    umap: Any = require("umap", extra="maps")
    count = min(15, len(vectors) - 1)
    run = umap.UMAP(n_neighbors=count, metric="cosine", random_state=seed, n_jobs=1)
    return np.asarray(run.fit_transform(vectors))


def _threads(count: int, wanted: int | None) -> int:
    if count < FEWEST_FOR_THREADS:
        return 1
    return wanted or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)

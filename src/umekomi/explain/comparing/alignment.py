"""Two spaces laid over one another by a rotation, and how far apart texts then still lie."""

from __future__ import annotations

import numpy as np

from umekomi.explain.regression.folds import Integers, Numbers
from umekomi.explain.regression.rotation import random_rotation

TURNS = 3

_DECIMALS = 6
"""Of a cosine of float32 vectors; what is finer would be rounding, shown as a move."""


def widen(vectors: Numbers, dim: int) -> Numbers:
    """``vectors`` with zeros up to ``dim`` numbers, so that spaces of different lengths can be aligned."""
    return np.pad(vectors, ((0, 0), (0, dim - vectors.shape[1])))


def best_rotation(base: Numbers, tuned: Numbers) -> Numbers:
    """The rotation or reflection R, float64 ``(dim, dim)``, for which ``base @ R`` is nearest to ``tuned``.

    Orthogonal Procrustes: Schönemann 1966, doi:10.1007/BF02289451. Both ``(n, dim)``.
    """
    left, _, right = np.linalg.svd(base.T @ tuned)
    return np.asarray(left @ right, np.float64)


def distances(first: Numbers, second: Numbers) -> Numbers:
    """1 - cosine of each row of both, float64 ``(n,)``. Rows are of unit length, as far as float32 goes."""
    found = np.round(1 - (first * second).sum(axis=1), _DECIMALS)
    return np.asarray(found + 0.0, np.float64)  # no -0.0


def distances_aligned(base: Numbers, tuned: Numbers, folds: Integers) -> Numbers:
    """`distances` after the best rotation of each fold, found on the other folds, not on its own."""
    found = np.empty(len(base))
    for fold in range(int(folds.max()) + 1):
        mine = folds == fold
        found[mine] = distances(base[mine] @ best_rotation(base[~mine], tuned[~mine]), tuned[mine])
    return found


def distances_of_placebo(base: Numbers, folds: Integers, *, seed: int) -> Numbers:
    """`distances_aligned` of ``base`` and itself, turned at random: nothing moved, and this is still left over.

    With fewer texts than dimensions it is much, since a rotation then cannot be known. The largest of `TURNS`.
    """
    rng = np.random.default_rng([seed, 6])
    turns = [random_rotation(base.shape[1], rng) for _ in range(TURNS)]
    return np.asarray(np.max([distances_aligned(base, base @ turn, folds) for turn in turns], axis=0))

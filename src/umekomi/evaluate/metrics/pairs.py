"""Whether pairs that people find alike have similar vectors: correlations of cosine with their scores."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.metrics.checks import check_finite
from umekomi.evaluate.outcomes import Outcome
from umekomi.types import Vectors

MIN_PAIRS = 3


def correlations(first: Vectors, second: Vectors, scores: NDArray[np.float64]) -> tuple[Outcome, Outcome]:
    """Spearman's and Pearson's correlation of each pair's cosine with its score, from -1 to 1.

    first, second  float32 ``(n, dim)`` of any length; a pair with a row of zeros has cosine 0
    scores         float64 ``(n,)`` on any scale, more is more alike; equal ones share the mean of their ranks

    Raises `InvalidInput` where they are not of one length or not finite, for fewer than three pairs, and where all
    scores or all cosines are equal: no correlation is defined then.
    """
    check_finite(first, what="first vectors")
    check_finite(second, what="second vectors")
    if not first.shape == second.shape == (len(scores), first.shape[1]):
        raise InvalidInput(
            f"{len(first)} first and {len(second)} second vectors and {len(scores)} scores are not as many pairs"
        )
    if len(scores) < MIN_PAIRS:
        raise InvalidInput(f"there are {len(scores)} pairs: a correlation needs at least {MIN_PAIRS}")
    unusable = np.flatnonzero(~np.isfinite(scores))
    if unusable.size:
        raise InvalidInput(f"the score of pair {unusable[0]} is {scores[unusable[0]]}: give every pair a number")
    cosines = _cosines(first, second)
    for what, numbers in (("scores", scores), ("cosines", cosines)):
        if (numbers == numbers[0]).all():
            raise InvalidInput(
                f"all {len(numbers)} {what} are {numbers[0]:.6g}: no correlation with them is defined"
            )
    reference = np.asarray(scores, np.float64)
    return (
        Outcome("spearman", cosines, reduction="spearman", reference=reference),
        Outcome("pearson", cosines, reduction="pearson", reference=reference),
    )


def _cosines(first: Vectors, second: Vectors) -> NDArray[np.float64]:
    a, b = first.astype(np.float64), second.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    products = np.einsum("ij,ij->i", a, b)
    return np.asarray(np.where(lengths > 0, products / np.where(lengths > 0, lengths, 1), 0.0), np.float64)

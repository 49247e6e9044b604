"""The shape of a model's vectors: hubs that are near to everything, and a narrow cone that everything lies in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.metrics.checks import check_finite
from umekomi.types import Vectors

SAMPLED_VECTORS = 10_000


def space_figures(vectors: Vectors, neighbours: NDArray[np.int64]) -> dict[str, float]:
    """Hubness and anisotropy of ``vectors``, float32 ``(n, dim)``, with their neighbours, int64 ``(n, k)``.

    hubness_skewness    skewness of how often each text is among the ``k`` nearest of others; 0 is even, over 1 is
                        hubby (Radovanović et al. 2010, Journal of Machine Learning Research 11:2487-2531)
    antihub_share       share of texts that are among nobody's nearest
    anisotropy          mean cosine of two different texts; 0 is even (Ethayarajh 2019, doi:10.18653/v1/D19-1006)
    first_component     share of the variance that lies along one line
    """
    check_finite(vectors)
    counts = np.bincount(neighbours.ravel(), minlength=len(vectors)).astype(np.float64)
    return {
        "hubness_skewness": _skewness(counts),
        "antihub_share": float((counts == 0).mean()),
        "anisotropy": _mean_cosine(vectors),
        "first_component": _first_component(vectors),
    }


def _skewness(counts: NDArray[np.float64]) -> float:
    centred = counts - counts.mean()
    deviation = np.sqrt((centred**2).mean())
    return float((centred**3).mean() / deviation**3) if deviation > 0 else 0.0


def _mean_cosine(vectors: Vectors) -> float:
    """Over all pairs of different rows, from the length of their sum: no table of pairs is made."""
    count = len(vectors)
    if count < 2:
        return 0.0
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    weights = np.where(lengths > 0, 1 / np.where(lengths > 0, lengths, 1), 0)
    total = weights @ vectors
    return float((total @ total - np.count_nonzero(lengths)) / (count * (count - 1)))


def _first_component(vectors: Vectors) -> float:
    sample = vectors[:: -(-len(vectors) // SAMPLED_VECTORS)].astype(np.float64)
    sample -= sample.mean(axis=0)
    variances = np.linalg.eigvalsh(sample.T @ sample)
    return float(variances[-1] / variances.sum()) if variances.sum() > 0 else 0.0

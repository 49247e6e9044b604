"""Refuses what no metric can be computed from: vectors that are not numbers, labels that tell nothing apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.types import Vectors

UNIT_TOLERANCE = 1e-3
"""How far from 1 the length of a row may be. float32 arithmetic stays within 1e-6; int8 rows within 1e-3."""


def check_finite(vectors: Vectors, *, what: str = "vectors") -> None:
    """Raises `InvalidInput` where a row holds NaN or an infinity; the message names the first such row."""
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise InvalidInput(
            f"{what} have shape {vectors.shape}: one row for each text and one column or more needed"
        )
    # A sum is not finite where an addend is not, and costs no copy of the vectors.
    suspect = np.flatnonzero(~np.isfinite(vectors.sum(axis=1, dtype=np.float64)))
    if suspect.size:
        raise InvalidInput(
            f"{suspect.size} of {len(vectors)} {what} hold NaN or infinity, the first in row {suspect[0]}: "
            "the model or the endpoint that gave them is broken"
        )


def check_unit(vectors: Vectors, *, what: str = "vectors") -> None:
    """Raises `InvalidInput` unless every row is finite and of unit length, or all zeros."""
    check_finite(vectors, what=what)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    wrong = np.flatnonzero((np.abs(lengths - 1) > UNIT_TOLERANCE) & (lengths != 0))
    if wrong.size:
        raise InvalidInput(
            f"row {wrong[0]} of the {what} has length {lengths[wrong[0]]:.4g} instead of 1: normalize them first"
        )


def check_labels(labels: NDArray[np.int64], items: int) -> None:
    """Raises `InvalidInput` unless there are ``items`` labels of at least two kinds."""
    if labels.shape != (items,):
        raise InvalidInput(f"there are {labels.size} labels for {items} texts: one for each is needed")
    if items == 0 or (labels == labels[0]).all():
        raise InvalidInput(
            f"all {items} texts have the same label: nothing can be told apart; give texts of two labels or more"
        )

"""Arithmetic on finished vectors."""

from __future__ import annotations

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.types import Vectors


def normalize(vectors: Vectors) -> Vectors:
    """Rows scaled to unit length, float32 ``(n, dim)``; a row of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(lengths == 0, 1, lengths), dtype=np.float32)


def cut_dimensions(vectors: Vectors, dimensions: int | None) -> Vectors:
    """The first ``dimensions`` components of each row, scaled to unit length again; None changes nothing.

    Worth it for models trained for it (Matryoshka representation learning, arXiv:2205.13147); others lose quality.
    Raises `InvalidInput` where ``dimensions`` is not between 1 and the vectors' own length.
    """
    if dimensions is None:
        return vectors
    dim = vectors.shape[1]
    check_dimensions(dimensions, dim)
    return normalize(vectors[:, :dimensions])


def check_dimensions(dimensions: int | None, dim: int) -> None:
    """Raises `InvalidInput` unless ``dimensions`` is None or between 1 and ``dim``."""
    if dimensions is not None and not 1 <= dimensions <= dim:
        raise InvalidInput(
            f"dimensions is {dimensions}, but this model's vectors have {dim}: use a value from 1 to {dim}",
            param="dimensions",
        )

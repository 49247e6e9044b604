"""Similarities that are the same on every machine, in every block and for every duplicate.

A matrix product rounds differently with its shape, so equal vectors need not get equal similarities from it.
Components rounded to multiples of 2⁻²⁶ have products that are multiples of 2⁻⁵²; sums of those below 2 are exact in
float64 in any order, so every way of computing them agrees to the last bit. For unit vectors no partial sum comes
near 2. The rounding moves a similarity by less than √dim · 2⁻²⁶, 3e-7 at 384 dimensions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from umekomi.types import Vectors

_GRID = 2.0**26
_CHUNK_BYTES = 32 << 20


def margin(dim: int) -> float:
    """How far two float32 products of unit vectors may be from the order of their exact similarities.

    Twice the bound of a product's rounding error, ``dim · u`` in any order of adding (Higham, Accuracy and
    Stability of Numerical Algorithms, 2nd edition, section 3.1), and of what the grid and float32 take.
    """
    unit = 2.0**-24
    return 2 * (1.01 * dim * unit + math.sqrt(dim) / _GRID + unit)


def similarity_of_pairs(
    left: Vectors, right: Vectors, *, left_rows: NDArray[np.int64], right_rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The exact similarity of ``left[left_rows[i]]`` and ``right[right_rows[i]]``, rounded to float32."""
    result = np.empty(len(left_rows), np.float32)
    step = max(1, _CHUNK_BYTES // (8 * left.shape[1]))
    for start in range(0, len(result), step):
        part = slice(start, start + step)
        result[part] = np.einsum("ij,ij->i", _on_grid(left[left_rows[part]]), _on_grid(right[right_rows[part]]))
    return result


def similarity_table(left: Vectors, right: Vectors) -> NDArray[np.float32]:
    """The exact similarities of each row of ``left`` with each of ``right``, rounded to float32."""
    result = np.empty((len(left), len(right)), np.float32)
    asked = _on_grid(left)
    step = max(1, _CHUNK_BYTES // (8 * max(right.shape[1], len(left))))
    for start in range(0, len(right), step):
        part = slice(start, start + step)
        result[:, part] = asked @ _on_grid(right[part]).T
    return result


def _on_grid(rows: Vectors) -> NDArray[np.float64]:
    scaled = np.multiply(rows, _GRID, dtype=np.float64)
    return np.rint(scaled, out=scaled) / _GRID

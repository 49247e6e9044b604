"""Vectors to points of a plane, for looking at. A layout is no score: how far to trust it is computed beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Method: TypeAlias = Literal["tsne", "pca", "umap"]


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """A place in the plane for every text.

    points           float32 ``(n, 2)``, in the order of the vectors
    method           how they were made
    seed             the same seed and vectors give the same points, bit for bit, on one machine
    trustworthiness  1: whoever is near in the plane is near among the vectors; about 0.5: the plane says nothing.
                     NaN where it is not defined (fewer than 4 texts)
    """

    points: NDArray[np.float32]
    method: Method
    seed: int
    trustworthiness: float

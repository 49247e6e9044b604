"""What a metric found, item by item: enough to state its value, to resample it and to pair it with another's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Reduction: TypeAlias = Literal["mean", "spearman", "pearson", "v_measure"]
"""How the items make the value: their mean, a correlation with ``reference``, or the V-measure against it."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """One metric of one model on one task.

    metric     ``precision@3``, ``ndcg@10``, ``spearman`` …; higher is better in all of them
    items      float64 ``(n,)``: each item's contribution, in the task's order (for correlations the cosines, for
               ``v_measure`` the clusters' numbers)
    reference  float64 ``(n,)``, what people said (scores; numbers of labels); None for a mean
    """

    metric: str
    items: NDArray[np.float64]
    reduction: Reduction = "mean"
    reference: NDArray[np.float64] | None = None

"""Many comparisons at once: corrected probabilities, and ranks that models share where none is better."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted probabilities, in the order given (Holm 1979, Scandinavian Journal of Statistics 6:65-70).

    An adjusted p below 0.05 holds with at most 5 % risk of any false difference among all of them.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return [float(each) for each in adjusted]


def rank(values: Mapping[str, float], tied: Iterable[Collection[str]]) -> dict[str, int]:
    """1 plus the number of models that are better and not ``tied`` with it, for each model; the best first.

    Being tied need not carry over: where A and B are tied, and B and C, but A beats C, the ranks are 1, 1 and 2.
    """
    pairs = {frozenset(each) for each in tied}
    names = sorted(values, key=lambda name: (-values[name], name))
    return {
        name: 1 + sum(values[other] > values[name] and frozenset((name, other)) not in pairs for other in names)
        for name in names
    }

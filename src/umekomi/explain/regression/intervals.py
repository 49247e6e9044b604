"""Intervals by resampling groups, chances of values under noise, and lists with few false entries."""

from __future__ import annotations

import numpy as np

from umekomi.evaluate.statistics.intervals import LEVEL, Interval, middle
from umekomi.evaluate.statistics.resampling import iter_weights
from umekomi.explain.regression.folds import Integers, Numbers


def ratio_draws(above: Numbers, below: Numbers, groups: Integers, *, resamples: int, seed: int) -> Numbers:
    """``sum(above) / sum(below)`` in resamples of whole groups, float64 ``(resamples, …)``.

    above  float64 ``(n,)`` or ``(n, values)``; below float64 ``(n,)``
    """
    count = int(groups.max()) + 1
    upper = np.zeros((count, *above.shape[1:]))
    np.add.at(upper, groups, above)
    lower = np.bincount(groups, weights=below, minlength=count)
    blocks = [
        (weights @ upper).reshape(len(weights), -1) / (weights @ lower)[:, None]
        for weights in iter_weights(count, resamples=resamples, seed=seed, drawing="smooth")
    ]
    return np.asarray(np.concatenate(blocks).reshape(-1, *above.shape[1:]), np.float64)


def interval_around(value: float, draws: Numbers, *, groups: int, level: float = LEVEL) -> Interval:
    """The middle of ``draws``, widened where there are few groups, and never without ``value`` itself."""
    found = middle(draws, units=groups, level=level)
    return Interval(min(found.low, value), max(found.high, value))


def chance(value: float, null: Numbers) -> float:
    """How often noise gives as much: never 0, since the value itself is one of the arrangements.

    Phipson and Smyth 2010, doi:10.2202/1544-6115.1585.
    """
    return float((1 + np.count_nonzero(null >= value)) / (1 + len(null)))


def false_discovery(p_values: Numbers) -> Numbers:
    """q of each p: listing all with q at most 0.05, 5 % of what is listed is false on average.

    Benjamini and Yekutieli 2001 (doi:10.1214/aos/1013699998), which holds however the tests depend on one another:
    dimensions of an embedding do so in ways that nobody knows.
    """
    count = len(p_values)
    if not count:
        return np.zeros(0)
    order = np.argsort(p_values, kind="stable")
    harmonic = float((1 / np.arange(1, count + 1)).sum())
    raised = p_values[order] * count * harmonic / np.arange(1, count + 1)
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(1, np.minimum.accumulate(raised[::-1])[::-1])
    return adjusted

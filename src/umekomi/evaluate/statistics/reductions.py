"""From items to a value: a mean, a correlation or a V-measure, of all items or of many resamples at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.resampling import Numbers, Units

_ROUNDING = 1e-12
"""A variance below this share of the mean square is what rounding leaves of equal values."""


def value(outcome: Outcome) -> float:
    """The outcome's value over all items. Raises `InvalidInput` for no items and for items that are not finite."""
    check_outcome(outcome)
    if outcome.reduction == "mean":
        return _mean(outcome.items)
    everything = np.ones((1, len(outcome.items)))
    return float(reduce_all([outcome], everything, Units(len(outcome.items)))[0, 0])


def _mean(items: Numbers) -> float:
    """Rounded once: thirds have no exact float, so that a plain mean of them may be off by its last digit."""
    total = math.fsum(items)
    sixtieths = round(total * 60)
    if abs(total * 60 - sixtieths) < 1e-6:
        return sixtieths / (60 * len(items))
    return total / len(items)


def check_outcome(outcome: Outcome) -> None:
    """Raises `InvalidInput` unless the outcome has finite items, and a reference for each where it needs one."""
    if outcome.items.ndim != 1 or not len(outcome.items):
        raise InvalidInput(f"{outcome.metric} has no items: nothing was scored")
    if not np.isfinite(outcome.items).all():
        row = int(np.flatnonzero(~np.isfinite(outcome.items))[0])
        raise InvalidInput(f"{outcome.metric} of item {row} is {outcome.items[row]}, not a number")
    needs = outcome.reduction != "mean"
    if needs and (outcome.reference is None or len(outcome.reference) != len(outcome.items)):
        raise InvalidInput(f"{outcome.metric} is a {outcome.reduction} and needs a reference for each of its items")


def reduce_all(outcomes: Sequence[Outcome], weights: Numbers, units: Units) -> Numbers:
    """The outcomes' values in each resample, float64 ``(resamples, outcomes)``.

    outcomes  of one reduction, against one reference
    weights   ``(resamples, units.count)``; an item of weight 2 counts as if it stood there twice
    """
    if outcomes[0].reduction == "mean":
        sums = np.stack([units.sums(each.items) for each in outcomes], axis=1)
        sizes = units.sums(np.ones(len(outcomes[0].items)))
        return np.asarray(weights @ sums / (weights @ sizes)[:, None], np.float64)
    spread, reference = units.spread(weights), outcomes[0].reference
    assert reference is not None
    if outcomes[0].reduction == "v_measure":
        return np.stack([_v_measure(each.items, reference, spread) for each in outcomes], axis=1)
    ranked = outcomes[0].reduction == "spearman"
    return _correlations([each.items for each in outcomes], reference, spread, ranked=ranked)


def _correlations(items: Sequence[Numbers], reference: Numbers, weights: Numbers, *, ranked: bool) -> Numbers:
    """Weighted correlations of each of ``items`` with ``reference``; 0 in a resample where either has one value."""
    total = weights.sum(axis=1)
    y = _ranks(reference, weights) if ranked else (reference - reference.mean())[None, :]
    towards = weights * (y - (_dot(weights, y) / total)[:, None])
    spread = _dot(towards, y)
    told_apart = spread > _ROUNDING * _dot(weights, y * y)
    result = np.zeros((len(weights), len(items)))
    for column, each in enumerate(items):
        x = _ranks(each, weights) if ranked else (each - each.mean())[None, :]
        square = _dot(weights, x * x)
        variance = square - _dot(weights, x) ** 2 / total
        varied = told_apart & (variance > _ROUNDING * square)
        both = np.sqrt(np.where(varied, spread * variance, 1))
        result[:, column] = np.where(varied, np.clip(_dot(towards, x) / both, -1, 1), 0.0)
    return result


def _dot(left: Numbers, right: Numbers) -> Numbers:
    """The product of each row with the other's row, or with the only one."""
    return np.asarray(left @ right[0] if len(right) == 1 else np.einsum("bi,bi->b", left, right), np.float64)


def _ranks(values: Numbers, weights: Numbers) -> Numbers:
    """Ranks within each resample, ``(resamples, n)``, equal values sharing the mean of theirs; counted from
    -1/2."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=np.nan) != 0)
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(sizes, axis=1) - sizes / 2
    level = np.empty(len(values), np.int64)
    level[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(values)))
    return middle[:, level]


def _v_measure(clusters: Numbers, labels: Numbers, weights: Numbers) -> Numbers:
    """Harmonic mean of homogeneity and completeness: 2 I(C, L) / (H(C) + H(L)); 1 where both have one kind only."""
    cluster = np.unique(clusters, return_inverse=True)[1]
    kinds, label = np.unique(labels, return_inverse=True)
    cells, cell = np.unique(cluster * len(kinds) + label, return_inverse=True)
    table = weights @ np.eye(len(cells))[cell] / weights.sum(axis=1)[:, None]
    by_cluster = table @ np.eye(cluster.max() + 1)[cells // len(kinds)]
    by_label = table @ np.eye(len(kinds))[cells % len(kinds)]
    joint, own, other = _entropy(table), _entropy(by_cluster), _entropy(by_label)
    both = own + other
    return np.where(both > 0, 2 * (both - joint) / np.where(both > 0, both, 1), 1.0)


def _entropy(shares: Numbers) -> Numbers:
    return np.asarray(-(shares * np.log(np.where(shares > 0, shares, 1))).sum(axis=1), np.float64)

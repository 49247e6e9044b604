"""From items to a value: a mean, a correlation or a V-measure, of all items or of many resamples at once."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.resampling import Numbers, Units


def value(outcome: Outcome) -> float:
    """The outcome's value over all items. Raises `InvalidInput` for no items and for items that are not finite."""
    check_outcome(outcome)
    if outcome.reduction == "mean":
        return _mean(outcome.items)
    everything = np.ones((1, len(outcome.items)))
    return float(reduce_weighted(outcome, everything, Units(len(outcome.items)))[0])


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
    """The values of outcomes of one reduction in each resample, float64 ``(resamples, outcomes)``."""
    if outcomes[0].reduction == "mean":
        sums = np.stack([units.sums(each.items) for each in outcomes], axis=1)
        sizes = units.sums(np.ones(len(outcomes[0].items)))
        return np.asarray(weights @ sums / (weights @ sizes)[:, None], np.float64)
    return np.stack([reduce_weighted(each, weights, units) for each in outcomes], axis=1)


def reduce_weighted(outcome: Outcome, weights: Numbers, units: Units) -> Numbers:
    """The outcome's value in each resample, float64 ``(resamples,)``. ``weights`` is ``(resamples, units.count)``.

    An item of weight 2 counts as if it stood there twice.
    """
    if outcome.reduction == "mean":
        sizes = units.sums(np.ones(len(outcome.items)))
        return np.asarray((weights @ units.sums(outcome.items)) / (weights @ sizes), np.float64)
    assert outcome.reference is not None
    each = units.spread(weights)
    if outcome.reduction == "v_measure":
        return _v_measure(outcome.items, outcome.reference, each)
    if outcome.reduction == "spearman":
        return _correlation(_ranks(outcome.items, each), _ranks(outcome.reference, each), each)
    return _correlation(outcome.items[None, :], outcome.reference[None, :], each)


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


def _correlation(x: Numbers, y: Numbers, weights: Numbers) -> Numbers:
    total = weights.sum(axis=1)
    dx = x - (np.einsum("bi,bi->b", weights, np.broadcast_to(x, weights.shape)) / total)[:, None]
    dy = y - (np.einsum("bi,bi->b", weights, np.broadcast_to(y, weights.shape)) / total)[:, None]
    weighted = weights * dx
    covariance = np.einsum("bi,bi->b", weighted, dy)
    scale = np.sqrt(np.einsum("bi,bi->b", weighted, dx) * np.einsum("bi,bi,bi->b", weights, dy, dy))
    return np.where(scale > 0, covariance / np.where(scale > 0, scale, 1), 0.0)


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

"""What each block of columns adds to predictions of groups that were not seen, by shuffling it there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from umekomi.evaluate.statistics.intervals import Interval
from umekomi.explain.regression.folds import Integers, Numbers
from umekomi.explain.regression.intervals import false_discovery, interval_around, ratio_draws
from umekomi.explain.regression.ridge import CrossValidated, Space


@dataclass(frozen=True, slots=True)
class Contribution:
    """``drop``: how much R² falls where the block is shuffled. ``q`` as in `false_discovery`, over the blocks."""

    drop: float
    interval: Interval
    q: float


def split_predictions(
    space: Space, columns: Numbers, blocks: Sequence[slice], *, folds: Integers, found: CrossValidated
) -> Numbers:
    """What each block adds to each row's prediction out of fold, float64 ``(n, blocks)``."""
    weights, centres = space.to_columns(found.weights), space.to_columns(found.centres)
    parts = np.empty((len(columns), len(blocks)))
    for fold in range(len(weights)):
        mine = folds == fold
        for at, block in enumerate(blocks):
            parts[mine, at] = (columns[mine, block] - centres[fold, block]) @ weights[fold, block]
    return parts


def measure_contributions(
    parts: Numbers,
    target: Numbers,
    groups: Integers,
    *,
    folds: Integers,
    found: CrossValidated,
    resamples: int,
    seed: int,
) -> tuple[Contribution, ...]:
    """The contribution of each block, from its ``parts`` ``(n, blocks)`` of the predictions.

    A block is shuffled among the rows of its fold and the model left as it is. The mean over all orders needs no
    shuffling: a row then gets the mean of the block's parts, and their variance as further error.
    """
    errors = (target - found.predictions[:, 0]) ** 2
    added = np.empty_like(parts)
    for fold in range(int(folds.max()) + 1):
        mine = folds == fold
        rest = target[mine, None] - found.predictions[mine, :1] + parts[mine]
        shuffled = (rest - parts[mine].mean(axis=0)) ** 2 + parts[mine].var(axis=0)
        added[mine] = shuffled - errors[mine, None]
    squares = (target - found.baseline[:, 0]) ** 2
    draws = ratio_draws(added, squares, groups, resamples=resamples, seed=seed)
    drops = added.sum(axis=0) / squares.sum()
    below = (1 + (draws <= 0).sum(axis=0)) / (1 + len(draws))
    q = false_discovery(below)
    count = int(groups.max()) + 1
    return tuple(
        Contribution(float(drop), interval_around(float(drop), draws[:, at], groups=count), float(q[at]))
        for at, drop in enumerate(drops)
    )

"""Coefficients of a fit on all rows, with intervals over resampled groups and a limit on false discoveries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from umekomi.evaluate.statistics.intervals import LEVEL
from umekomi.evaluate.statistics.resampling import iter_weights
from umekomi.explain.regression.folds import Integers, Numbers
from umekomi.explain.regression.intervals import false_discovery
from umekomi.explain.regression.ridge import CrossValidated, Space, build_fit, sum_up
from umekomi.extras import require


@dataclass(frozen=True, slots=True, eq=False)
class Coefficients:
    """One entry a column: what one standard deviation more of it adds to the prediction.

    values  float64 ``(p,)``; ``low`` and ``high`` their 95 % intervals
    p, q    the chance that the sign is an accident, and the share of false ones in a list up to here
    """

    values: Numbers
    low: Numbers
    high: Numbers
    p: Numbers
    q: Numbers


def fit_coefficients(
    space: Space, target: Numbers, groups: Integers, *, found: CrossValidated, resamples: int, seed: int
) -> Coefficients:
    """Ridge coefficients under the penalty ``found`` by cross-validation, with clustered bootstrap intervals.

    A ridge coefficient is shrunk, and shared among columns that go together; so is the interval.
    """
    special = require("scipy.special", extra="evaluate")
    values = fit_final(space, target, found=found)
    count = int(groups.max()) + 1
    squares = np.zeros(len(values))
    for moved in iter_moves(space, target, groups, found=found, resamples=resamples, seed=seed):
        squares += (moved**2).sum(axis=0)
    error = np.sqrt(squares / resamples * count / (count - 1))
    statistic = np.abs(values) / np.where(error > 0, error, np.inf)
    half = special.stdtrit(count - 1, (1 + LEVEL) / 2) * error
    p = np.where(error > 0, 2 * special.stdtr(count - 1, -statistic), 1.0)
    return Coefficients(values, values - half, values + half, p, false_discovery(p))


def fit_final(space: Space, target: Numbers, *, found: CrossValidated) -> Numbers:
    """Coefficients of all columns on all rows, float64 ``(p,)``."""
    fit = build_fit(sum_up(space.rows, target[:, None]))
    return space.to_columns(fit.weights(found.final)[:, 0])


def iter_moves(
    space: Space, target: Numbers, groups: Integers, *, found: CrossValidated, resamples: int, seed: int
) -> Iterator[Numbers]:
    """By how much resamples of the groups move the coefficients, in blocks float64 ``(resamples of the block, p)``.

    A resample changes the weight of each group in the normal equations at the solution, one Newton step instead of
    a new fit (the score bootstrap: Kline and Santos 2012, doi:10.1515/2156-6674.1006). Residuals are those out of
    fold: those of the fit itself are too small where columns are many.
    """
    fit = build_fit(sum_up(space.rows, target[:, None]))
    residuals = target - found.predictions[:, 0]
    scores = np.zeros((int(groups.max()) + 1, space.rows.shape[1]))
    np.add.at(scores, groups, (space.rows - fit.centre) * residuals[:, None])
    scores -= scores.mean(axis=0)
    influence = space.to_columns(fit.solve(found.final, scores.T).T)
    for weights in iter_weights(len(scores), resamples=resamples, seed=seed, drawing="smooth"):
        yield weights @ influence

"""Ridge regression of many targets at once, scored on groups that it has not seen.

The penalty is chosen inside the folds. A fit that leaves out the folds *j* and *k* serves twice, to choose for *k*
on *j* and for *j* on *k*; so five folds take 16 sets of sums instead of 26, and every shuffled target shares them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from umekomi.explain.regression.folds import Integers, Numbers
from umekomi.extras import require

PENALTIES = (1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0)
"""As shares of the sum of squares of all columns: from nearly none to one that leaves nearly nothing."""

RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Standardised columns in as few coordinates as hold them; ridge regression is the same in any of them.

    rows   float64 ``(n, r)``, r at most n
    basis  float64 ``(r, columns)``: ``rows @ basis`` are the columns; None where the coordinates are the columns
    """

    rows: Numbers
    basis: Numbers | None

    def to_columns(self, weights: Numbers) -> Numbers:
        """Weights of coordinates ``(…, r)`` as weights of columns."""
        return weights if self.basis is None else np.asarray(weights @ self.basis)


def build_space(columns: Numbers) -> Space:
    """The space of ``columns`` ``(n, p)``: themselves, or with more columns than rows their n coordinates."""
    if columns.shape[1] <= columns.shape[0]:
        return Space(columns, None)
    values, vectors = np.linalg.eigh(columns @ columns.T)
    kept = values > RANK_TOLERANCE * max(values.max(), np.finfo(np.float64).tiny)
    scale = np.sqrt(values[kept])
    if not kept.any():
        return Space(np.zeros((len(columns), 1)), np.zeros((1, columns.shape[1])))
    return Space(vectors[:, kept] * scale, (vectors[:, kept] / scale).T @ columns)


@dataclass(frozen=True, slots=True, eq=False)
class Sums:
    """All that a fit needs to know of some rows: counts, sums and products, which can be taken away."""

    count: int
    rows: Numbers
    targets: Numbers
    squares: Numbers
    products: Numbers

    def minus(self, *others: Sums) -> Sums:
        return Sums(
            self.count - sum(each.count for each in others),
            self.rows - sum(each.rows for each in others),
            self.targets - sum(each.targets for each in others),
            self.squares - sum(each.squares for each in others),
            self.products - sum(each.products for each in others),
        )


def sum_up(rows: Numbers, targets: Numbers) -> Sums:
    return Sums(len(rows), rows.sum(axis=0), targets.sum(axis=0), rows.T @ rows, rows.T @ targets)


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Ridge regressions of every target on the same rows, for any penalty.

    centre    float64 ``(r,)``: what a row is measured from
    means     float64 ``(targets,)``: the prediction at the centre
    squares   float64 ``(r, r)``: products of the centred coordinates
    products  float64 ``(r, targets)``: those with the targets
    """

    centre: Numbers
    means: Numbers
    squares: Numbers
    products: Numbers

    def weights(self, penalty: float) -> Numbers:
        """Of every coordinate for every target, float64 ``(r, targets)``."""
        return self.solve(penalty, self.products)

    def solve(self, penalty: float, right: Numbers) -> Numbers:
        """The damped products' inverse times ``right`` ``(r, any)``."""
        linalg = require("scipy.linalg", extra="evaluate")
        damped = self.squares.copy().T  # in LAPACK's order, so that it is not copied once more; it is symmetric
        trace = max(float(np.trace(damped)), np.finfo(np.float64).tiny)
        damped.flat[:: len(damped) + 1] += penalty * trace
        factor = linalg.cho_factor(damped, lower=True, overwrite_a=True, check_finite=False)
        return np.asarray(linalg.cho_solve(factor, right, check_finite=False), np.float64)

    def predict(self, rows: Numbers, weights: Numbers) -> Numbers:
        return np.asarray(rows @ weights + (self.means - self.centre @ weights), np.float64)


def build_fit(sums: Sums) -> Fit:
    centre, means = sums.rows / sums.count, sums.targets / sums.count
    squares = sums.squares - sums.count * np.outer(centre, centre)
    return Fit(centre, means, squares, sums.products - sums.count * np.outer(centre, means))


@dataclass(frozen=True, slots=True, eq=False)
class CrossValidated:
    """Predictions of every row by fits that have not seen its group.

    predictions  float64 ``(n, targets)``
    baseline     float64 ``(n, targets)``: the mean of the rows that were fitted, which knows nothing of the columns
    weights      float64 ``(folds, r)`` of the first target, and the ``centres`` ``(folds, r)`` of its fits
    penalties    of `PENALTIES`, ``(folds,)``, for the first target; ``final`` is the one for a fit on all rows
    """

    predictions: Numbers
    baseline: Numbers
    weights: Numbers
    centres: Numbers
    penalties: tuple[float, ...]
    final: float

    def r2(self, targets: Numbers) -> Numbers:
        """The share of each target's squares that was predicted, float64 ``(targets,)``; below 0 where the mean of
        the other folds would have been nearer."""
        left = ((targets - self.predictions) ** 2).sum(axis=0)
        return np.asarray(1 - left / ((targets - self.baseline) ** 2).sum(axis=0), np.float64)


def count_fits(folds: int) -> int:
    """How often `cross_validate` reports an advance."""
    return folds * (folds - 1) // 2 + folds


def cross_validate(
    rows: Numbers, targets: Numbers, folds: Integers, *, advance: Callable[[int], None] = lambda done: None
) -> CrossValidated:
    """Predict ``targets`` ``(n, targets)`` from ``rows`` ``(n, r)``, each fold from the others, at least two."""
    parts = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    sums = [sum_up(rows[part], targets[part]) for part in parts]
    whole = sum_up(rows, targets)
    errors = np.zeros((len(parts), len(PENALTIES), targets.shape[1]))
    for first, second in combinations(range(len(parts)), 2):
        fit = build_fit(whole.minus(sums[first], sums[second]))
        for place, penalty in enumerate(PENALTIES):
            weights = fit.weights(penalty)
            for left_out, scored in ((first, parts[second]), (second, parts[first])):
                errors[left_out, place] += _squared(fit.predict(rows[scored], weights) - targets[scored])
        advance(1)
    chosen = errors.argmin(axis=1)
    predictions, baseline = np.empty_like(targets), np.empty_like(targets)
    final = np.zeros(len(PENALTIES))
    firsts, centres = [], []
    for fold, part in enumerate(parts):
        fit = build_fit(whole.minus(sums[fold]))
        baseline[part] = fit.means
        for place, penalty in enumerate(PENALTIES):
            weights = fit.weights(penalty)
            found = fit.predict(rows[part], weights)
            final[place] += _squared(found[:, :1] - targets[part, :1])[0]
            mine = chosen[fold] == place
            predictions[np.ix_(part, mine)] = found[:, mine]
            if mine[0]:
                firsts.append(weights[:, 0])
                centres.append(fit.centre)
        advance(1)
    return CrossValidated(
        predictions,
        baseline,
        np.stack(firsts),
        np.stack(centres),
        tuple(PENALTIES[place] for place in chosen[:, 0]),
        PENALTIES[int(final.argmin())],
    )


def predict_folds(rows: Numbers, target: Numbers, folds: Integers, penalties: Sequence[float]) -> Numbers:
    """As `cross_validate` predicts one target ``(n,)``, with a penalty given for each fold."""
    predictions = np.empty(len(target))
    parts = [np.flatnonzero(folds == fold) for fold in range(int(folds.max()) + 1)]
    sums = [sum_up(rows[part], target[part, None]) for part in parts]
    whole = sum_up(rows, target[:, None])
    for part, mine, penalty in zip(parts, sums, penalties, strict=True):
        fit = build_fit(whole.minus(mine))
        predictions[part] = fit.predict(rows[part], fit.weights(penalty))[:, 0]
    return predictions


def _squared(errors: Numbers) -> Numbers:
    return np.asarray((errors**2).sum(axis=0), np.float64)

"""How far a score could be from what more data of the same kind would give: bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.reductions import check_outcome, reduce_weighted
from umekomi.evaluate.statistics.resampling import Units, iter_weights, plan_units

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a value."""

    low: float
    high: float


def interval(
    outcome: Outcome,
    *,
    groups: Sequence[str] | Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """The interval that covers the true value in ``level`` of all data sets drawn like this one.

    Items are drawn anew, or whole groups where ``groups`` names one for each item. Raises `InvalidInput` for an
    outcome without items, with items that are not finite, or with fewer than two groups.
    """
    check_outcome(outcome)
    units = plan_units(len(outcome.items), groups)
    drawn = draw([outcome], units, resamples=resamples, seed=seed)
    return bounds(drawn[:, 0], level=level)


def draw(outcomes: Sequence[Outcome], units: Units, *, resamples: int, seed: int) -> NDArray[np.float64]:
    """The outcomes' values in the same resamples, float64 ``(resamples, outcomes)``."""
    if resamples < 100:
        raise InvalidInput(f"resamples is {resamples}: at least 100 are needed, 2000 are usual", param="resamples")
    blocks = [
        np.stack([reduce_weighted(each, weights, units) for each in outcomes], axis=1)
        for weights in iter_weights(units.count, resamples=resamples, seed=seed)
    ]
    return np.concatenate(blocks)


def bounds(drawn: NDArray[np.float64], *, level: float) -> Interval:
    """The interval from the values of resamples, ``(resamples,)``."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))

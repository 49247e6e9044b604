"""How far a score could be from what more data of the same kind would give: bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.reductions import check_outcome, reduce_all, value
from umekomi.evaluate.statistics.resampling import Numbers, Units, iter_weights, plan_units

RESAMPLES = 2000
LEVEL = 0.95
MIN_RESAMPLES = 100


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
    units = plan_units(len(outcome.items), groups)
    return bounds(draw([outcome], units, resamples=resamples, seed=seed), 0, outcome, level=level)


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What outcomes would have been in the same resamples.

    values  float64 ``(resamples, outcomes)``
    totals  float64 ``(resamples,)``: the weight of all items together
    ends    float64 ``(resamples, 2)``: the weight of the two made-up items of `bounds`
    units   how many units were drawn
    """

    values: Numbers
    totals: Numbers
    ends: Numbers
    units: int


def draw(outcomes: Sequence[Outcome], units: Units, *, resamples: int, seed: int) -> Drawn:
    """The values of ``outcomes`` in ``resamples`` resamples. Raises `InvalidInput` for fewer than 100."""
    if resamples < MIN_RESAMPLES:
        raise InvalidInput(f"resamples is {resamples}: give at least {MIN_RESAMPLES}; {RESAMPLES} are usual")
    if units.count < 2:
        raise InvalidInput("there is 1 item: nothing can be resampled; give 2 or more")
    for each in outcomes:
        check_outcome(each)
    items = len(outcomes[0].items)
    sizes = units.sums(np.ones(items))
    values, totals = [], []
    for weights in iter_weights(units.count, resamples=resamples, seed=seed):
        values.append(reduce_all(outcomes, weights, units))
        totals.append(weights @ sizes)
    ends = np.random.default_rng([seed, units.count, 2]).standard_gamma(0.5, (resamples, 2)) * (items / units.count)
    return Drawn(np.concatenate(values), np.concatenate(totals), ends, units.count)


def bounds(drawn: Drawn, column: int, outcome: Outcome, *, level: float = LEVEL) -> Interval:
    """The interval of ``outcome``, whose resamples stand in ``column``.

    Where items are shares and some are 0 or 1, two made-up items of half a unit each, a 0 and a 1, are added to the
    resamples: 30 right answers of 30 do not prove that all will be right. For answers that are right or wrong this
    is Jeffreys' interval (Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286).
    """
    values = drawn.values[:, column]
    if outcome.reduction == "mean" and is_share(outcome.items):
        total = drawn.totals + drawn.ends.sum(axis=1)
        values = (values * drawn.totals + drawn.ends[:, 1]) / total
    found = quantiles(values, units=drawn.units, level=level)
    exact = value(outcome)
    return Interval(min(found.low, exact), max(found.high, exact))


def is_share(items: Numbers) -> bool:
    """Whether all items lie between 0 and 1, and one of them at an end."""
    low, high = items.min(), items.max()
    return bool(low >= 0 and high <= 1 and (low == 0 or high == 1))


def quantiles(values: Numbers, *, units: int, level: float) -> Interval:
    """The middle ``level`` of the resamples, widened as Student's distribution is wider than the normal one.

    Percentiles of resamples alone are too narrow for few units (Hesterberg 2015,
    doi:10.1080/00031305.2015.1089789).
    """
    widened = math.sqrt(units / (units - 1)) * student_quantile((1 + level) / 2, units - 1)
    outside = NormalDist().cdf(-widened)
    low, high = np.quantile(values, [outside, 1 - outside])
    return Interval(float(low), float(high))


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's distribution, to 0.001 from 4 degrees of freedom on.

    The expansion in 1/freedom of Cornish and Fisher (Abramowitz and Stegun 1964, 26.7.5), which saves needing
    scipy.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))

"""How far a score could be from what more data of the same kind would give: bootstrap intervals.

Percentiles of resamples are the start. Three things are mended where they cover too seldom: few units, shares near
0 or 1, and V-measure. What they cover then stands in docs/reference/metrics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.draws import RESAMPLES, Draws, draw
from umekomi.evaluate.statistics.reductions import value
from umekomi.evaluate.statistics.resampling import Numbers, plan_units

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds of a value, which itself lies between them."""

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
    outcome with fewer than two items or groups, or with items that are not finite.
    """
    units = plan_units(len(outcome.items), groups)
    return interval_of(outcome, draw([outcome], units, resamples=resamples, seed=seed), column=0, level=level)


def interval_of(outcome: Outcome, draws: Draws, *, column: int, level: float = LEVEL) -> Interval:
    """The interval of ``outcome``, whose values in resamples stand in ``column`` of ``draws``."""
    values, exact = draws.values[:, column], value(outcome)
    if outcome.reduction == "mean":
        values = _with_ends(outcome, values, draws)
    found = middle(values, units=draws.units.count, level=level)
    if outcome.reduction == "v_measure":
        # Too high on few items, and higher again on resamples of them: turned over, the interval moves down by as
        # much as resampling moved it up (the basic bootstrap; Davison and Hinkley 1997, section 5.2).
        found = Interval(2 * exact - found.high, 2 * exact - found.low)
    return Interval(min(found.low, exact), max(found.high, exact))


def _with_ends(outcome: Outcome, values: Numbers, draws: Draws) -> Numbers:
    """The means of shares, with a made-up 0 and a made-up 1 among the units, of up to half a unit each.

    30 right answers of 30 do not prove that all will be right, but resamples hold nothing else. The made-up ones
    weigh as much as the share of units that are 0 or 1 throughout: where all are, this is Jeffreys' interval
    (Brown, Cai and DasGupta 2001, doi:10.1214/ss/1009213286), and where none is, nothing is added.
    """
    if outcome.items.min() < 0 or outcome.items.max() > 1:
        return values
    means = draws.units.means(outcome.items)
    ends = draws.ends * np.mean((means == 0) | (means == 1))
    return np.asarray((values * draws.totals + ends[:, 1]) / (draws.totals + ends.sum(axis=1)), np.float64)


def middle(values: Numbers, *, units: int, level: float) -> Interval:
    """The middle ``level`` of the resamples, widened as Student's distribution is wider than the normal one.

    Percentiles alone are too narrow for few units (Hesterberg 2015, doi:10.1080/00031305.2015.1089789).
    """
    widened = math.sqrt(units / (units - 1)) * student_quantile((1 + level) / 2, units - 1)
    outside = NormalDist().cdf(-widened)
    low, high = np.quantile(values, [outside, 1 - outside])
    return Interval(float(low), float(high))


def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's distribution with ``freedom`` degrees of freedom.

    At 0.975 too low by 0.02 for 3 degrees, 0.15 for 2 and 4 for 1, and right to 0.005 from 4 on: an expansion in
    1/freedom (Abramowitz and Stegun 1964, 26.7.5), so that scores need no scipy.
    """
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom**power for power, term in enumerate(terms, start=1)))

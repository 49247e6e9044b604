"""What the outcomes of several models would have been in the same resamples of their items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.reductions import check_outcome, reduce_all
from umekomi.evaluate.statistics.resampling import Drawing, Numbers, Units, iter_weights

RESAMPLES = 2000
MIN_RESAMPLES = 100


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """Values in resamples.

    values  float64 ``(resamples, outcomes)``
    totals  float64 ``(resamples,)``: the weight of all items together, in units
    ends    float64 ``(resamples, 2)``: weights of two further half units, for what `intervals` makes up
    units   what was drawn
    """

    values: Numbers
    totals: Numbers
    ends: Numbers
    units: Units


def draw(outcomes: Sequence[Outcome], units: Units, *, resamples: int, seed: int) -> Draws:
    """The values of ``outcomes``, of one reduction, in ``resamples`` resamples.

    Raises `InvalidInput` for fewer than two units, for fewer than 100 resamples, and for items that are not finite.
    """
    if resamples < MIN_RESAMPLES:
        raise InvalidInput(f"resamples is {resamples}: give at least {MIN_RESAMPLES}; {RESAMPLES} are usual")
    for each in outcomes:
        check_outcome(each)
    if units.count < 2:
        raise InvalidInput("there is 1 item: nothing can be resampled; give 2 or more")
    # The logarithms of nearly empty cells need whole items: smooth weights find V-measure steadier than it is.
    drawing: Drawing = "replacing" if outcomes[0].reduction == "v_measure" else "smooth"
    sizes = units.sums(np.ones(len(outcomes[0].items)))
    values, totals = [], []
    for weights in iter_weights(units.count, resamples=resamples, seed=seed, drawing=drawing):
        values.append(reduce_all(outcomes, weights, units))
        totals.append(weights @ (sizes / sizes.mean()))
    ends = np.random.default_rng([seed, units.count, 2]).standard_gamma(0.5, (resamples, 2))
    return Draws(np.concatenate(values), np.concatenate(totals), ends, units)

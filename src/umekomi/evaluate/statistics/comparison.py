"""Whether two models differ on the same items by more than chance would have them differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import NormalDist

import numpy as np

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.draws import RESAMPLES, Draws, draw
from umekomi.evaluate.statistics.intervals import middle, student_quantile
from umekomi.evaluate.statistics.power import RISK, items_to_separate
from umekomi.evaluate.statistics.reductions import value
from umekomi.evaluate.statistics.resampling import Numbers, plan_units

FLIPS = 9_999
_BLOCK_BYTES = 16 << 20
EXACT_UNITS = 20_000
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Paired:
    """One model's value minus the other's, on the same items.

    delta, low, high   the difference and its interval
    error              standard error of the difference
    p                  probability of a difference at least as large, either way, if the models were alike
    items_to_separate  further items with which this difference would be found at 5 % with 80 % probability; None
                       where it is found already, and where it is 0
    """

    delta: float
    low: float
    high: float
    error: float
    p: float
    items_to_separate: int | None


def compare(
    a: Outcome,
    b: Outcome,
    *,
    groups: Sequence[str] | Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Paired:
    """``a``'s value minus ``b``'s. Raises `InvalidInput` unless both are of one metric and as many items."""
    return compare_all({"a": a, "b": b}, groups=groups, resamples=resamples, seed=seed)["a", "b"]


def compare_all(
    outcomes: Mapping[str, Outcome],
    *,
    groups: Sequence[str] | Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[tuple[str, str], Paired]:
    """Every pair of models, in the order given, over the same resamples."""
    found = list(outcomes.values())
    check_all_alike(found)
    units = plan_units(len(found[0].items), groups)
    return compare_drawn(outcomes, draw(found, units, resamples=resamples, seed=seed), seed=seed)


def compare_drawn(outcomes: Mapping[str, Outcome], draws: Draws, *, seed: int) -> dict[tuple[str, str], Paired]:
    """The same, where the resamples have been drawn already."""
    names, found = list(outcomes), list(outcomes.values())
    pairs = list(combinations(range(len(found)), 2))
    if found[0].reduction == "mean" and pairs:
        sums = np.stack([draws.units.sums(each.items) for each in found], axis=1)
        left, right = np.array(pairs, np.int64).T
        flipped: Sequence[float | None] = flip_p_values(sums[:, left] - sums[:, right], seed=seed)
    else:
        flipped = [None] * len(pairs)
    return {
        (names[i], names[j]): _paired(found[i], found[j], draws, columns=(i, j), p=p)
        for (i, j), p in zip(pairs, flipped, strict=True)
    }


def check_all_alike(outcomes: Iterable[Outcome]) -> None:
    """Raises `InvalidInput` unless all are of one metric, on as many items, against the same reference."""
    for a, b in pairwise(outcomes):
        if (a.metric, a.reduction) != (b.metric, b.reduction):
            raise InvalidInput(f"{a.metric} cannot be compared with {b.metric}: compare one metric of two models")
        if len(a.items) != len(b.items):
            raise InvalidInput(f"{a.metric} has {len(a.items)} items of one model and {len(b.items)} of the other")
        if a.reference is not None and not np.array_equal(a.reference, np.asarray(b.reference)):
            raise InvalidInput(f"{a.metric} of the two models was not taken against the same answers")


def _paired(a: Outcome, b: Outcome, draws: Draws, *, columns: tuple[int, int], p: float | None) -> Paired:
    """``p`` is None where it is to be had from the resamples."""
    if np.array_equal(a.items, b.items):
        return Paired(delta=0.0, low=0.0, high=0.0, error=0.0, p=1.0, items_to_separate=None)
    moved = draws.values[:, columns[0]] - draws.values[:, columns[1]]
    delta, error = value(a) - value(b), float(moved.std(ddof=1))
    if a.reduction == "mean":
        moved += _unseen(a, b, draws)
    found = middle(moved, units=draws.units.count, level=1 - RISK)
    if p is None:
        p = normal_p(
            delta, error * student_quantile(1 - RISK / 2, draws.units.count - 1) / _NORMAL.inv_cdf(1 - RISK / 2)
        )
    further = None if p < RISK else items_to_separate(len(a.items), delta=delta, error=error)
    return Paired(delta, min(found.low, delta), max(found.high, delta), error, p, further)


def _unseen(a: Outcome, b: Outcome, draws: Draws) -> Numbers:
    """Up to half a unit more of the largest difference in favour of either, in each resample.

    Where models differ on two items only, resamples cannot show that the third might have gone the other way.
    Weighed by the share of units that do not differ, this is the adjustment of Bonett and Price 2012
    (doi:10.3102/1076998611411915) for differences of any size.
    """
    differences = draws.units.sums(a.items - b.items)
    largest = np.abs(differences).max() * draws.units.count / len(a.items) * np.mean(differences == 0)
    return np.asarray((draws.ends[:, 1] - draws.ends[:, 0]) * largest / draws.totals, np.float64)


def normal_p(delta: float, error: float) -> float:
    """Probability of a normal difference as far from 0 as ``delta``, either way, with standard error ``error``."""
    if delta == 0:
        return 1.0
    return 2 * _NORMAL.cdf(-abs(delta) / error) if error > 0 else 0.0


def flip_p_values(differences: Numbers, *, seed: int, flips: int = FLIPS) -> list[float]:
    """For each column of differences by unit, ``(units, pairs)``: how often random signs give a sum as far from 0.

    If neither model is better, each unit's difference could as well have the other sign: Fisher's randomisation
    test (Smucker, Allan and Carterette 2007, doi:10.1145/1321440.1321528). With more than `EXACT_UNITS` units, by
    the normal limit of the same test.
    """
    observed = np.abs(differences.sum(axis=0))
    if len(differences) > EXACT_UNITS:
        deviations = np.sqrt((differences**2).sum(axis=0))
        return [normal_p(far, deviation) for far, deviation in zip(observed, deviations, strict=True)]
    threshold = observed - 1e-9 * np.abs(differences).sum(axis=0)  # sums of thirds round either way
    rng = np.random.default_rng([seed, len(differences), flips])
    reached = np.ones(differences.shape[1])
    rows = max(1, _BLOCK_BYTES // (8 * len(differences)))
    for start in range(0, flips, rows):
        signs = _signs(rng, min(rows, flips - start), len(differences))
        reached += (np.abs(signs @ differences) >= threshold).sum(axis=0)
    return [float(each) for each in reached / (flips + 1)]


def _signs(rng: np.random.Generator, rows: int, columns: int) -> Numbers:
    """Random -1 and 1, float64 ``(rows, columns)``, from one bit each."""
    bits = np.unpackbits(np.frombuffer(rng.bytes(-(-rows * columns // 8)), np.uint8), count=rows * columns)
    return np.asarray(bits.reshape(rows, columns) * 2.0 - 1.0, np.float64)

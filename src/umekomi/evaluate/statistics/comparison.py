"""Whether two models differ on the same items by more than chance would have them differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.statistics.intervals import LEVEL, RESAMPLES, bounds, draw
from umekomi.evaluate.statistics.power import items_to_separate
from umekomi.evaluate.statistics.reductions import check_outcome, value
from umekomi.evaluate.statistics.resampling import Units, plan_units

FLIPS = 9_999
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
    outcomes: dict[str, Outcome],
    *,
    groups: Sequence[str] | Sequence[int] | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[tuple[str, str], Paired]:
    """Every pair of models, in the order given, over the same resamples."""
    names, found = list(outcomes), list(outcomes.values())
    for each in found:
        check_outcome(each)
        check_alike(found[0], each)
    units = plan_units(len(found[0].items), groups)
    drawn = draw(found, units, resamples=resamples, seed=seed)
    pairs = [(i, j) for i in range(len(names)) for j in range(i + 1, len(names))]
    values = [value(each) for each in found]
    deltas = np.array([_delta(found[i], found[j], values[i] - values[j]) for i, j in pairs])
    spread = np.array([np.std(drawn[:, i] - drawn[:, j], ddof=1) for i, j in pairs])
    p = _p_values(found, pairs, units, deltas=deltas, errors=spread, seed=seed)
    return {
        (names[i], names[j]): _paired(
            deltas[at], drawn[:, i] - drawn[:, j], error=spread[at], p=p[at], items=len(found[0].items)
        )
        for at, (i, j) in enumerate(pairs)
    }


def check_alike(a: Outcome, b: Outcome) -> None:
    """Raises `InvalidInput` unless the two are of one metric, on as many items, against the same reference."""
    if a.metric != b.metric or a.reduction != b.reduction:
        raise InvalidInput(f"{a.metric} cannot be compared with {b.metric}: compare one metric of two models")
    if len(a.items) != len(b.items):
        raise InvalidInput(f"{a.metric} has {len(a.items)} items of one model and {len(b.items)} of the other")
    if a.reference is not None and b.reference is not None and not np.array_equal(a.reference, b.reference):
        raise InvalidInput(f"{a.metric} of the two models was not taken against the same answers")


def _delta(a: Outcome, b: Outcome, difference: float) -> float:
    return 0.0 if np.array_equal(a.items, b.items) else difference


def _paired(delta: float, drawn: NDArray[np.float64], *, error: float, p: float, items: int) -> Paired:
    if delta == 0 and p == 1:
        drawn = np.where(np.abs(drawn) < 1e-12, 0.0, drawn)
    found = bounds(drawn, level=LEVEL)
    further = None if p < 1 - LEVEL else items_to_separate(items, delta=delta, error=error)
    return Paired(float(delta), found.low, found.high, float(error), float(p), further)


def _p_values(
    outcomes: Sequence[Outcome],
    pairs: Sequence[tuple[int, int]],
    units: Units,
    *,
    deltas: NDArray[np.float64],
    errors: NDArray[np.float64],
    seed: int,
) -> list[float]:
    if outcomes[0].reduction != "mean":
        return [_normal_p(delta, error) for delta, error in zip(deltas, errors, strict=True)]
    sums = np.stack([units.sums(each.items) for each in outcomes], axis=1)
    left, right = np.array(pairs, np.int64).T
    return flip_p_values(sums[:, left] - sums[:, right], seed=seed)


def _normal_p(delta: float, error: float) -> float:
    if delta == 0:
        return 1.0
    return 2 * _NORMAL.cdf(-abs(delta) / error) if error > 0 else 0.0


def flip_p_values(differences: NDArray[np.float64], *, seed: int, flips: int = FLIPS) -> list[float]:
    """For each column of differences by unit, ``(units, pairs)``: how often random signs give a sum as far from 0.

    If neither model is better, each unit's difference could as well have the other sign (Fisher's randomisation
    test; Smucker et al. 2007, doi:10.1145/1321440.1321528). With more than `EXACT_UNITS` units, by the normal
    limit.
    """
    observed = np.abs(differences.sum(axis=0))
    scale = np.abs(differences).sum(axis=0)
    if len(differences) > EXACT_UNITS:
        return [_normal_p(o, math.sqrt(v)) for o, v in zip(observed, (differences**2).sum(axis=0), strict=True)]
    rng = np.random.default_rng([seed, len(differences), flips])
    reached = np.ones(differences.shape[1])
    rows = max(1, (32 << 20) // (8 * len(differences)))
    for start in range(0, flips, rows):
        count = min(rows, flips - start)
        bits = np.unpackbits(np.frombuffer(rng.bytes(-(-count * len(differences) // 8)), np.uint8))
        signs = bits[: count * len(differences)].reshape(count, -1) * 2.0 - 1.0
        reached += (np.abs(signs @ differences) >= observed - 1e-9 * scale).sum(axis=0)
    return [float(each) for each in reached / (flips + 1)]

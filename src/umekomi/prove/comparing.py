"""Base and tuned on one data set: every metric of both with its interval, and their difference, item by item."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import Verdict as Direction
from umekomi.evaluate.statistics import Paired, compare, interval, minimum_detectable_effect, value
from umekomi.evaluate.statistics.resampling import plan_units
from umekomi.evaluate.tasks import Task
from umekomi.prove.measuring import Measured
from umekomi.prove.results import MetricRecord, Part

FEWEST_UNITS = 6
"""Documents, or items that stand alone, below which nothing is decided: with 5 of them no difference can reach 5 %
in a randomisation test, since 2 of its 2^5 signs are as far from 0 as can be."""

BASE, TUNED = "base", "tuned"
_SAME = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Both models on one data set. ``groups`` names for each item what it is drawn with; None: every item alone."""

    part: Part
    dataset: str
    base: Measured
    tuned: Measured
    groups: tuple[str, ...] | None = None

    @property
    def items(self) -> int:
        """Queries, pairs or texts."""
        return len(self.base.primary.items)

    @property
    def units(self) -> int:
        """What is drawn: groups, or items."""
        return self.items if self.groups is None else len(set(self.groups))

    @property
    def decides(self) -> bool:
        """Whether it is large enough for a verdict."""
        return self.units >= FEWEST_UNITS


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of both models. ``paired`` is None where there is only one thing to draw.

    balance  items on which tuned is better, as good and worse; None for correlations
    stride   what one unit that differs adds to ``delta``, on average, either way; 0 for correlations
    """

    metric: str
    base: float
    tuned: float
    paired: Paired | None
    balance: tuple[int, int, int] | None
    stride: float = 0.0

    @property
    def delta(self) -> float:
        """Tuned minus base."""
        return self.tuned - self.base

    @property
    def same(self) -> bool:
        """Whether no item differs."""
        return self.paired is not None and self.paired.p == 1 and self.paired.error == 0

    def detectable(self, items: int, *, risk: float) -> float | None:
        """The smallest change that would have been found with 80 % probability; None where no item differs.

        Where few units differ, their deviation is small, and yet so small a change could not be found: as many
        units must differ as the test needs.
        """
        if self.paired is None or self.paired.error == 0:
            return None
        effect = minimum_detectable_effect(items, deviation=self.paired.error * math.sqrt(items), risk=risk)
        return max(effect, fewest_units(risk=risk) * self.stride)


@dataclass(frozen=True, slots=True)
class Judged:
    """A primary metric with what it says. ``p`` is adjusted; None where the data set is too small to decide.

    detectable  as `Difference.detectable`, with the share of the risk that this metric has
    needed      groups, or items that stand alone, with which it could decide
    """

    trial: Trial
    difference: Difference
    p: float | None
    direction: Direction
    detectable: float | None = None
    needed: int = FEWEST_UNITS


def trial_of(part: Part, task: Task, base: Measured, tuned: Measured) -> Trial:
    """Both models' measures on ``task``; of a general set only the primary one, which decides."""
    shown = 1 if part == "general" else None
    before, after = (Measured(each.outcomes[:shown], each.ranked) for each in (base, tuned))
    return Trial(part, task.name, before, after, task.groups)


def compare_trial(trial: Trial, *, resamples: int, seed: int) -> tuple[Difference, ...]:
    """Tuned against base by every metric, the primary one first."""
    return tuple(
        _difference(before, after, trial, resamples=resamples, seed=seed)
        for before, after in zip(trial.base.outcomes, trial.tuned.outcomes, strict=True)
    )


def _difference(before: Outcome, after: Outcome, trial: Trial, *, resamples: int, seed: int) -> Difference:
    paired = None
    if trial.units > 1:
        paired = compare(after, before, groups=trial.groups, resamples=resamples, seed=seed)
    balance, stride = None, 0.0
    if before.reduction == "mean":
        moved = after.items - before.items
        won, lost = int(np.sum(moved > _SAME)), int(np.sum(moved < -_SAME))
        balance = (won, len(moved) - won - lost, lost)
        stride = _stride(moved, trial)
    return Difference(before.metric, value(before), value(after), paired, balance, stride)


def _stride(moved: NDArray[np.float64], trial: Trial) -> float:
    if trial.units < 2:
        return 0.0
    sums = np.abs(plan_units(len(moved), trial.groups).sums(moved))
    differing = sums[sums > _SAME]
    return float(differing.mean() / len(moved)) if len(differing) else 0.0


def metric_records(trial: Trial, *, resamples: int, seed: int) -> tuple[MetricRecord, ...]:
    """Every metric of both models, with intervals over what is drawn."""
    return tuple(
        record
        for before, after in zip(trial.base.outcomes, trial.tuned.outcomes, strict=True)
        for record in (
            metric_record(trial, BASE, before, resamples=resamples, seed=seed),
            metric_record(trial, TUNED, after, resamples=resamples, seed=seed),
        )
    )


def metric_record(trial: Trial, model: str, outcome: Outcome, *, resamples: int, seed: int) -> MetricRecord:
    """One metric of one model on the data set of ``trial``."""
    ci95 = None
    if trial.units > 1:
        found = interval(outcome, groups=trial.groups, resamples=resamples, seed=seed)
        ci95 = (found.low, found.high)
    return MetricRecord(
        part=trial.part,
        dataset=trial.dataset,
        model=model,
        metric=outcome.metric,
        value=value(outcome),
        ci95=ci95,
        items=len(outcome.items),
        groups=None if trial.groups is None else trial.units,
    )


def fewest_units(*, risk: float) -> int:
    """Units with which a difference can be found at all: 2 of their 2^n signs are as far from 0 as can be."""
    return math.floor(math.log2(2 / risk)) + 1

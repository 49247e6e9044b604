"""A study regressed on a model's vectors: the figures from which the verdict follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from umekomi.explain.features import Features, build_features
from umekomi.explain.reading import Study
from umekomi.explain.regression.folds import Integers, Numbers, assign_folds, permute_target
from umekomi.explain.regression.intervals import chance, interval_around, ratio_draws
from umekomi.explain.regression.ridge import CrossValidated, Space, build_space, cross_validate
from umekomi.explain.results import GroupedR2, Verdict
from umekomi.explain.settings import RISK, ExplainSettings
from umekomi.types import Vectors


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A study regressed on a model's vectors, and everything that further questions need.

    target  float64 ``(n,)``: with mean 0 and standard deviation 1; ``spread`` and ``middle`` undo that
    null    float64 ``(permutations,)``: R² of shuffled targets
    """

    study: Study
    features: Features
    space: Space
    target: Numbers
    spread: float
    middle: float
    folds: Integers
    found: CrossValidated
    r2: GroupedR2
    null: Numbers

    @property
    def p(self) -> float:
        return chance(self.r2.value, self.null)

    @property
    def verdict(self) -> Verdict:
        """A signal where R², its interval and the shuffled targets all say so."""
        seen = self.r2.value > 0 and self.r2.ci95[0] > 0 and self.p <= RISK
        return "signal" if seen else "no detectable signal"


def regress(
    study: Study,
    vectors: Mapping[str, Vectors],
    settings: ExplainSettings,
    *,
    advance: Callable[[int], None] = lambda done: None,
) -> Regression:
    """Cross-validate over groups, beside shuffled targets. ``vectors`` ``(n, dim)`` by column of texts.

    ``advance`` is called `count_fits` times in all. Raises `InvalidInput` for fewer groups than folds.
    """
    folds = assign_folds(study.groups, folds=settings.folds, seed=settings.seed)
    features = build_features(study, vectors)
    space = build_space(features.columns)
    middle, spread = float(study.target.mean()), float(study.target.std())
    target = (study.target - middle) / spread
    shuffled = permute_target(target, study.groups, permutations=settings.permutations, seed=settings.seed)
    targets = np.concatenate([target[:, None], shuffled], axis=1)
    found = cross_validate(space.rows, targets, folds, advance=advance)
    r2 = found.r2(targets)
    grouped = _grouped_r2(target, found, study.groups, settings)
    return Regression(study, features, space, target, spread, middle, folds, found, grouped, r2[1:])


def _grouped_r2(target: Numbers, found: CrossValidated, groups: Integers, settings: ExplainSettings) -> GroupedR2:
    left = (target - found.predictions[:, 0]) ** 2
    squares = (target - found.baseline[:, 0]) ** 2
    value = float(1 - left.sum() / squares.sum())
    draws = 1 - ratio_draws(left, squares, groups, resamples=settings.resamples, seed=settings.seed)
    bounds = interval_around(value, draws, groups=int(groups.max()) + 1)
    return GroupedR2(value, (bounds.low, bounds.high))

"""What tuning a model moved on a table: predictions, texts and directions, each beside a placebo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from umekomi.evaluate.settings import Watch
from umekomi.explain.comparing.alignment import (
    best_rotation,
    distances,
    distances_aligned,
    distances_of_placebo,
    widen,
)
from umekomi.explain.features import Block
from umekomi.explain.regressing import Regression
from umekomi.explain.regression.coefficients import fit_final, iter_moves
from umekomi.explain.regression.folds import Numbers
from umekomi.explain.regression.intervals import interval_around, ratio_draws
from umekomi.explain.results import Comparison, MovedBlock, MovedText, Placebo
from umekomi.explain.settings import RISK, ExplainSettings
from umekomi.types import Vectors

SHOWN_TEXTS = 8
PLACEBO_DRAWS = 500


def compare(
    base: Regression,
    tuned: Regression,
    vectors: tuple[Mapping[str, Vectors], Mapping[str, Vectors]],
    *,
    names: tuple[str, str],
    settings: ExplainSettings,
    watch: Watch,
) -> Comparison:
    """``base`` and ``tuned`` on the same study and folds; ``vectors`` of both by column of texts."""
    first, second = ((each.target - each.found.predictions[:, 0]) ** 2 for each in (base, tuned))
    squares = (base.target - base.found.baseline[:, 0]) ** 2
    groups, count = base.study.groups, base.study.group_count
    difference = float((first - second).sum() / squares.sum())
    draws = ratio_draws(first - second, squares, groups, resamples=settings.resamples, seed=settings.seed)
    bounds = interval_around(difference, draws, groups=count)
    texts = [block for block in base.features.blocks if block.text is not None]
    with watch.stage("aligning", total=len(texts)) as advance:
        blocks = []
        for block in texts:
            blocks.append(_compare_block(block, base, tuned, vectors, settings=settings))
            advance(1)
    target = base.study.question.target
    verdict: Literal["better", "worse", "tied"] = "better" if difference > 0 else "worse"
    said = f"{names[1]} explains '{target}' {verdict} than {names[0]}"
    if bounds.low <= 0 <= bounds.high:
        verdict, said = "tied", f"{names[1]} and {names[0]} are tied in explaining '{target}'"
    return Comparison(
        base=names[0],
        tuned=names[1],
        r2_difference=difference,
        ci95=(bounds.low, bounds.high),
        verdict=verdict,
        sentence=f"{said}: grouped R² differs by {difference:+.3f} [{bounds.low:+.3f}, {bounds.high:+.3f}].",
        blocks=tuple(blocks),
    )


def _compare_block(
    block: Block,
    base: Regression,
    tuned: Regression,
    vectors: tuple[Mapping[str, Vectors], Mapping[str, Vectors]],
    *,
    settings: ExplainSettings,
) -> MovedBlock:
    assert block.text is not None
    found = [each[block.text].astype(np.float64) for each in vectors]
    before = float(distances(*found).mean()) if found[0].shape == found[1].shape else None
    dim = max(each.shape[1] for each in found)
    here, there = (widen(each, dim) for each in found)
    after = distances_aligned(here, there, base.folds)
    placebo = distances_of_placebo(here, base.folds, seed=settings.seed)
    excess, ones = after - placebo, np.ones(len(after))
    draws = ratio_draws(excess, ones, base.study.groups, resamples=settings.resamples, seed=settings.seed)
    bounds = interval_around(float(excess.mean()), draws, groups=base.study.group_count)
    signals = base.verdict == tuned.verdict == "signal"
    return MovedBlock(
        block=block.name,
        before=before,
        after=float(after.mean()),
        placebo=float(placebo.mean()),
        ci95=(bounds.low, bounds.high),
        moved=bounds.low > 0,
        direction=_compare_directions(block, base, tuned, best_rotation(here, there), seed=settings.seed)
        if signals
        else None,
        texts=_moved_most(base.study.texts[block.text], after, beyond=float(placebo.max())),
    )


def _compare_directions(
    block: Block, base: Regression, tuned: Regression, rotation: Numbers, *, seed: int
) -> Placebo:
    """Whether the direction towards the target moved by more than it moves when groups are drawn anew.

    Two directions are as alike as what they say of the texts: the correlation of the texts along both.
    """
    other = next(each for each in tuned.features.blocks if each.text == block.text)
    weights, scale = _weights(base)[block.columns], base.features.scale[block.columns]
    raw = weights / np.where(scale > 0, scale, np.inf)
    turned = np.pad(raw, (0, len(rotation) - len(raw))) @ rotation
    their_scale = tuned.features.scale[other.columns]
    texts = tuned.features.columns[:, other.columns]
    value = _correlation(texts @ (turned[: len(other)] * their_scale), texts @ _weights(tuned)[other.columns])
    placebo = _resampled(block, base, weights, seed=seed)
    p = float((1 + np.count_nonzero(placebo <= value)) / (1 + len(placebo)))
    low, high = (float(each) for each in np.quantile(placebo, [RISK, 1.0]))
    said = "moved by more than" if p <= RISK else "did not move by more than"
    sentence = (
        f"The direction towards the target {said} drawing the groups anew moves it in the base: along both, texts "
        f"correlate by {value:.3f}; in the base against itself by {low:.3f} to {high:.3f}."
    )
    return Placebo("direction", value, (low, high), p, p <= RISK, sentence)


def _weights(regression: Regression) -> Numbers:
    return fit_final(regression.space, regression.target, found=regression.found)


def _resampled(block: Block, base: Regression, weights: Numbers, *, seed: int) -> Numbers:
    """How alike the base's direction and those on resampled groups are, float64 ``(PLACEBO_DRAWS,)``."""
    texts = base.features.columns[:, block.columns]
    along = texts @ weights
    found = []
    for moved in iter_moves(
        base.space, base.target, base.study.groups, found=base.found, resamples=PLACEBO_DRAWS, seed=seed
    ):
        others = texts @ (weights + moved[:, block.columns]).T
        found += [_correlation(along, other) for other in others.T]
    return np.array(found)


def _correlation(first: Numbers, second: Numbers) -> float:
    """0 where one of them is constant."""
    if min(first.std(), second.std()) == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])


def _moved_most(texts: tuple[str, ...], after: Numbers, *, beyond: float) -> tuple[MovedText, ...]:
    moved: dict[str, float] = {}
    for text, distance in zip(texts, after.tolist(), strict=True):
        if distance > beyond:
            moved[text] = max(distance, moved.get(text, distance))
    order = sorted(moved, key=lambda text: (-moved[text], text))[:SHOWN_TEXTS]
    return tuple(MovedText(text, moved[text]) for text in order)

"""One model's vectors on a study: first whether anything is there, and only then what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from umekomi.evaluate.settings import Watch
from umekomi.explain.features import Block, Features, build_features, standardise
from umekomi.explain.reading import Study
from umekomi.explain.regression.blocks import measure_contributions, split_predictions
from umekomi.explain.regression.coefficients import fit_coefficients
from umekomi.explain.regression.folds import Integers, Numbers, assign_folds, permute_target
from umekomi.explain.regression.intervals import chance, interval_around, ratio_draws
from umekomi.explain.regression.ridge import CrossValidated, Space, build_space, cross_validate
from umekomi.explain.regression.rotation import ROTATIONS, check_rotation
from umekomi.explain.regression.stability import PAIRS, select_stable
from umekomi.explain.results import (
    BlockRecord,
    CoefficientRecord,
    Direction,
    Explanation,
    ExtremeText,
    GroupedR2,
    NullRecord,
    RotationRecord,
    Verdict,
)
from umekomi.explain.settings import RISK, ExplainSettings
from umekomi.types import Vectors

EXTREMES = 8
PICTURED_ROWS = 3000


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


def explain(
    regression: Regression, model: Mapping[str, Any], settings: ExplainSettings, watch: Watch
) -> Explanation:
    """What can be said of ``regression``: its R² and the null, and under a signal what it comes from."""
    null = regression.null
    about = Explanation(
        model=dict(model),
        grouped_r2=regression.r2,
        verdict=regression.verdict,
        sentence=_sentence(regression),
        null=NullRecord(regression.p, float(null.mean()), float(null.max()), tuple(map(float, null))),
        penalty=regression.found.final,
        blocks=tuple(BlockRecord(block.name, len(block)) for block in regression.features.blocks),
        predicted=_pictured(regression, settings.seed),
    )
    return _with_parts(about, regression, settings, watch) if about.verdict == "signal" else about


def _with_parts(about: Explanation, regression: Regression, settings: ExplainSettings, watch: Watch) -> Explanation:
    features, groups = regression.features, regression.study.groups
    slices = [block.columns for block in features.blocks]
    parts = split_predictions(
        regression.space, features.columns, slices, folds=regression.folds, found=regression.found
    )
    with watch.stage("coefficients", total=1 + PAIRS) as advance:
        coefficients = fit_coefficients(
            regression.space,
            regression.target,
            groups,
            found=regression.found,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        advance(1)
        stability = select_stable(features.columns, regression.target, groups, seed=settings.seed, advance=advance)
    order = np.argsort(-np.abs(coefficients.values), kind="stable")
    block_of = {at: block.name for block in features.blocks for at in range(block.start, block.stop)}
    records = tuple(
        CoefficientRecord(
            rank=rank,
            block=block_of[at],
            column=features.names[at],
            coefficient=float(coefficients.values[at] * regression.spread),
            ci95=(
                float(coefficients.low[at] * regression.spread),
                float(coefficients.high[at] * regression.spread),
            ),
            p=float(coefficients.p[at]),
            q=float(coefficients.q[at]),
            stability=float(stability.shares[at]),
            stable=bool(stability.stable[at]),
        )
        for rank, at in enumerate(order.tolist(), start=1)
    )
    blocks = _contributions(regression, parts, settings)
    texts = _worth_showing(features.blocks, blocks)
    return replace(
        about,
        blocks=blocks,
        coefficients=records,
        lasso_columns=stability.limit,
        directions=tuple(_direction(regression, block, parts[:, number]) for number, block in texts),
        rotation=tuple(
            _rotation(regression, block, coefficients.values, settings, watch) for _number, block in texts
        ),
    )


def _worth_showing(blocks: Sequence[Block], records: Sequence[BlockRecord]) -> list[tuple[int, Block]]:
    """The blocks of texts that add something; all of them where they share it, so that none does alone."""
    texts = [(number, block) for number, block in enumerate(blocks) if block.text is not None]
    adding = [(number, block) for number, block in texts if (q := records[number].q) is not None and q <= RISK]
    return adding or texts


def _contributions(regression: Regression, parts: Numbers, settings: ExplainSettings) -> tuple[BlockRecord, ...]:
    found = measure_contributions(
        parts,
        regression.target,
        regression.study.groups,
        folds=regression.folds,
        found=regression.found,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return tuple(
        BlockRecord(block.name, len(block), each.drop, (each.interval.low, each.interval.high), each.q)
        for block, each in zip(regression.features.blocks, found, strict=True)
    )


def _direction(regression: Regression, block: Block, part: Numbers) -> Direction:
    """The block's ends by what its texts add out of fold, so that no text is shown for having been learnt."""
    assert block.text is not None
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(regression.study.texts[block.text]):
        rows.setdefault(text, []).append(row)
    means = {text: float(part[at].mean()) for text, at in rows.items()}
    order = sorted(means, key=lambda text: (-means[text], text))

    def extreme(text: str) -> ExtremeText:
        target = float(regression.study.target[rows[text]].mean())
        return ExtremeText(text, means[text] * regression.spread, target, len(rows[text]))

    count = min(EXTREMES, len(order) // 2)
    flat = part.std() == 0
    return Direction(
        block.name,
        0.0 if flat else float(np.corrcoef(part, regression.target)[0, 1]),
        tuple(extreme(text) for text in order[:count]),
        tuple(extreme(text) for text in order[::-1][:count]),
    )


def _rotation(
    regression: Regression, block: Block, coefficients: Numbers, settings: ExplainSettings, watch: Watch
) -> RotationRecord:
    with watch.stage(f"rotation check: {block.name}", total=ROTATIONS) as advance:
        check = check_rotation(
            regression.features.columns,
            regression.features.scale,
            block.columns,
            target=regression.target,
            folds=regression.folds,
            found=regression.found,
            coefficients=coefficients,
            standardise=standardise,
            seed=settings.seed,
            advance=advance,
        )
    turned = f"{min(check.r2):.3f} to {max(check.r2):.3f} turned at random"
    ranks = ", ".join(map(str, check.ranks))
    meaning = (
        f"dimension {check.dimension} carries {check.share:.0%} of the direction, more than a random turn gives "
        "any: it stands out in this model, which says nothing of another"
        if check.stands_out
        else f"dimension {check.dimension} ranks first as it is and {ranks} after the turns: a single dimension "
        "means nothing here, only the direction does"
    )
    return RotationRecord(
        block=block.name,
        r2=check.r2,
        dimension=check.dimension,
        ranks=check.ranks,
        share=check.share,
        p=check.p,
        single_dimensions=check.stands_out,
        sentence=f"{block.name}: R² is {check.r2_as_it_is:.3f} as it is and {turned}; {meaning}.",
    )


def _sentence(regression: Regression) -> str:
    low, high = regression.r2.ci95
    figures = f"{regression.r2.value:.3f} [{low:.3f}, {high:.3f}], p {regression.p:.3f}"
    r2 = f"grouped R² is {figures} against shuffled targets"
    if regression.verdict == "signal":
        return f"Signal: {r2}."
    return f"No detectable signal: {r2}; nothing is ranked, because a ranking would be of noise."


def _pictured(regression: Regression, seed: int) -> tuple[tuple[float, float], ...]:
    """Predicted and real targets of some rows, in the target's units."""
    count = len(regression.target)
    rows = np.sort(np.random.default_rng([seed, 5]).permutation(count)[:PICTURED_ROWS])
    predicted = regression.found.predictions[rows, 0] * regression.spread + regression.middle
    return tuple(zip(predicted.tolist(), regression.study.target[rows].tolist(), strict=True))

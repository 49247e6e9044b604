"""What a signal comes from: blocks, coefficients, directions with their texts, and what dimensions mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from umekomi.evaluate.settings import Watch
from umekomi.explain.features import Block, standardise
from umekomi.explain.regressing import Regression
from umekomi.explain.regression.blocks import measure_contributions, split_predictions
from umekomi.explain.regression.coefficients import Coefficients, fit_coefficients
from umekomi.explain.regression.folds import Numbers
from umekomi.explain.regression.rotation import ROTATIONS, RotationCheck, check_rotation
from umekomi.explain.regression.stability import PAIRS, Stability, select_stable
from umekomi.explain.results import (
    BlockRecord,
    CoefficientRecord,
    Direction,
    Explanation,
    ExtremeText,
    RotationRecord,
)
from umekomi.explain.settings import RISK, ExplainSettings

EXTREMES = 8
"""Texts shown at each end of a direction."""


def find_parts(about: Explanation, regression: Regression, settings: ExplainSettings, watch: Watch) -> Explanation:
    """``about`` with all that is ranked. Only for a signal."""
    features = regression.features
    slices = [block.columns for block in features.blocks]
    parts = split_predictions(
        regression.space, features.columns, slices, folds=regression.folds, found=regression.found
    )
    blocks = _contributions(regression, parts, settings)
    texts = _worth_showing(features.blocks, blocks)
    with watch.stage("coefficients", total=1 + PAIRS) as advance:
        coefficients = fit_coefficients(
            regression.space,
            regression.target,
            regression.study.groups,
            found=regression.found,
            resamples=settings.resamples,
            seed=settings.seed,
        )
        advance(1)
        stability = select_stable(
            features.columns, regression.target, regression.study.groups, seed=settings.seed, advance=advance
        )
    return replace(
        about,
        blocks=blocks,
        coefficients=_coefficient_records(regression, coefficients, stability),
        lasso_columns=stability.limit,
        directions=tuple(_direction(regression, block, parts[:, number]) for number, block in texts),
        rotation=tuple(
            _rotation(regression, block, coefficients.values, seed=settings.seed, watch=watch)
            for _number, block in texts
        ),
    )


def _coefficient_records(
    regression: Regression, coefficients: Coefficients, stability: Stability
) -> tuple[CoefficientRecord, ...]:
    """All columns, the largest coefficient first, in units of the target."""
    features, spread = regression.features, regression.spread
    blocks = [block.name for block in features.blocks for _ in range(len(block))]
    order = np.argsort(-np.abs(coefficients.values), kind="stable")
    return tuple(
        CoefficientRecord(
            rank=rank,
            block=blocks[at],
            column=features.names[at],
            coefficient=float(coefficients.values[at] * spread),
            ci95=(float(coefficients.low[at] * spread), float(coefficients.high[at] * spread)),
            p=float(coefficients.p[at]),
            q=float(coefficients.q[at]),
            stability=float(stability.shares[at]),
            stable=bool(stability.stable[at]),
        )
        for rank, at in enumerate(order.tolist(), start=1)
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
    regression: Regression, block: Block, coefficients: Numbers, *, seed: int, watch: Watch
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
            seed=seed,
            advance=advance,
        )
    return RotationRecord(
        block=block.name,
        r2=check.r2,
        dimension=check.dimension,
        ranks=check.ranks,
        share=check.share,
        p=check.p,
        single_dimensions=check.stands_out,
        sentence=_rotation_sentence(block, check),
    )


def _rotation_sentence(block: Block, check: RotationCheck) -> str:
    turned = f"{min(check.r2):.3f} to {max(check.r2):.3f} turned at random"
    ranks = ", ".join(map(str, check.ranks))
    meaning = (
        f"dimension {check.dimension} carries {check.share:.0%} of the direction, more than a random turn gives "
        "any: it stands out in this model, which says nothing of another"
        if check.stands_out
        else f"dimension {check.dimension} ranks first as it is and {ranks} after the turns: a single dimension "
        "means nothing here, only the direction does"
    )
    return f"{block.name}: R² is {check.r2_as_it_is:.3f} as it is and {turned}; {meaning}."

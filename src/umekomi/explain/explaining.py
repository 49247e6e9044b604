"""What can be said of a regression: first whether anything is there, and only then what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from umekomi.evaluate.settings import Watch
from umekomi.explain.findings import find_parts
from umekomi.explain.regressing import Regression
from umekomi.explain.results import BlockRecord, Explanation, NullRecord
from umekomi.explain.settings import ExplainSettings

PICTURED_ROWS = 3000


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
    return find_parts(about, regression, settings, watch) if about.verdict == "signal" else about


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

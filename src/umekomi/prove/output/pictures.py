"""Pictures of the report: what changed, how training went, and what each share of the way is worth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from umekomi.pages.drawing import Line, Row, intervals, lines
from umekomi.prove.results import AlphaRecord, ComparisonRecord, TrainedRecord
from umekomi.prove.wording import metric_name

_COLOURS = {"better": 1, "tied": 3, "worse": 2}


def changes(comparisons: Sequence[ComparisonRecord]) -> str:
    """Every change with its interval; nothing where none has one."""
    rows = [
        Row(f"{metric_name(each.metric)} · {each.dataset}", each.delta, each.ci95, _COLOURS[each.verdict])
        for each in comparisons
        if each.ci95 is not None
    ]
    return intervals(rows, across="change from base to tuned, with its 95 % interval") if rows else ""


def learning(training: TrainedRecord) -> tuple[str, ...]:
    """The loss, and the score on dev, by step."""
    loss = _finite((each.step, each.loss) for each in training.curve)
    dev = _finite((each.step, each.dev) for each in training.curve)
    best = (float(training.best_step), "kept") if training.best_step is not None else None
    name = metric_name(training.dev_metric or "score on dev")
    drawn = []
    if len(loss) > 1:
        drawn.append(lines([Line("loss", loss)], across="step", up="loss"))
    if len(dev) > 1:
        drawn.append(lines([Line(name, dev)], across="step", up=name, marked=best))
    return tuple(drawn)


def _finite(points: Iterable[tuple[int, float | None]]) -> list[tuple[float, float]]:
    return [(float(step), value) for step, value in points if value is not None and math.isfinite(value)]


def shares(alphas: Sequence[AlphaRecord], *, tolerated_loss: float) -> str:
    """What dev and the general sets gain or lose on the way from base to tuned; nothing for fewer than two points.

    Changes are against α = 0, or against the smallest share where that was not measured.
    """
    ordered = sorted(alphas, key=lambda each: each.alpha)
    if len(ordered) < 2:
        return ""
    drawn = []
    dev = [(each.alpha, each.dev) for each in ordered if each.dev is not None]
    if len(dev) > 1:
        drawn.append(Line("dev", _against_first(dev)))
    for name in dict.fromkeys(name for each in ordered for name in each.general):
        kept = [(each.alpha, each.general[name]) for each in ordered if name in each.general]
        if len(kept) > 1:
            drawn.append(Line(name, _against_first(kept)))
    if not drawn:
        return ""
    chosen = next(((each.alpha, f"chosen: {each.alpha:g}") for each in ordered if each.chosen), None)
    start = "base" if ordered[0].alpha == 0 else f"α = {ordered[0].alpha:g}"
    return lines(
        drawn,
        across="α, the share of the way from base to tuned",
        up=f"change against {start}",
        marked=chosen,
        level=-tolerated_loss,
    )


def _against_first(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(place, value - points[0][1]) for place, value in points]

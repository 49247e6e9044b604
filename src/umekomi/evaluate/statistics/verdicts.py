"""The verdict on one metric of one data set: who beats whom, in records and in a sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import ComparisonRecord, RankRecord, Verdict
from umekomi.evaluate.statistics.comparison import Paired, check_all_alike, compare_drawn
from umekomi.evaluate.statistics.draws import RESAMPLES, draw
from umekomi.evaluate.statistics.intervals import Interval, interval_of
from umekomi.evaluate.statistics.power import RISK, items_to_separate
from umekomi.evaluate.statistics.ranking import holm, rank
from umekomi.evaluate.statistics.reductions import value
from umekomi.evaluate.statistics.resampling import plan_units


@dataclass(frozen=True, slots=True)
class Judgement:
    """The models' values, their intervals, all pairs of models, their ranks, and what these say in a sentence."""

    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    comparisons: tuple[ComparisonRecord, ...]
    ranking: tuple[RankRecord, ...]
    sentence: str


def judge(
    outcomes: Mapping[str, Outcome],
    *,
    dataset: str,
    groups: Sequence[str] | Sequence[int] | None = None,
    unit: str = "texts",
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Judgement:
    """Compares all models by one metric. ``unit`` is what items are called in sentences: texts, pairs, queries."""
    values = {name: value(each) for name, each in outcomes.items()}
    order = sorted(values, key=lambda name: (-values[name], name))
    found = {name: outcomes[name] for name in order}
    metric = found[order[0]].metric
    check_all_alike(found.values())
    units = plan_units(len(found[order[0]].items), groups)
    draws = draw(list(found.values()), units, resamples=resamples, seed=seed)
    intervals = {name: interval_of(found[name], draws, column=column) for column, name in enumerate(order)}
    pairs = compare_drawn(found, draws, seed=seed)
    adjusted = holm([each.p for each in pairs.values()])
    tied = sum(direction(each, p) == "tied" for each, p in zip(pairs.values(), adjusted, strict=True))
    about = _About(dataset, metric, unit, len(outcomes[order[0]].items), risk=RISK / max(1, tied))
    comparisons = tuple(
        _record(names, paired, p, about) for (names, paired), p in zip(pairs.items(), adjusted, strict=True)
    )
    ranks = rank(values, [(each.a, each.b) for each in comparisons if each.verdict == "tied"])
    ranking = tuple(
        RankRecord(dataset=dataset, metric=metric, model=name, rank=place, value=values[name])
        for name, place in sorted(ranks.items(), key=lambda entry: entry[1])
    )
    return Judgement(values, intervals, comparisons, ranking, _summary(order, comparisons))


def _summary(order: Sequence[str], comparisons: Sequence[ComparisonRecord]) -> str:
    """Each model against the next, and further apart only where nothing in between says it: A and B tied, B and C
    tied, and yet A beats C."""
    by_pair = {(each.a, each.b): each for each in comparisons}
    told: set[tuple[int, int]] = set()
    sentences = []
    for span in range(1, len(order)):
        for first in range(len(order) - span):
            found = by_pair[order[first], order[first + span]]
            known = any(first <= left and right <= first + span for left, right in told)
            if found.verdict != "tied" and not known:
                told.add((first, first + span))
                sentences.append(found.sentence)
            elif span == 1:
                sentences.append(found.sentence)
    return "; ".join(sentences) + "." if sentences else ""


@dataclass(frozen=True, slots=True)
class _About:
    """What all pairs have in common. ``risk`` is what a tied pair must reach: 5 % over the number of tied pairs."""

    dataset: str
    metric: str
    unit: str
    items: int
    risk: float


def _record(names: tuple[str, str], paired: Paired, p: float, about: _About) -> ComparisonRecord:
    verdict = direction(paired, p)
    further = None
    if verdict == "tied":
        further = items_to_separate(about.items, delta=paired.delta, error=paired.error, risk=about.risk)
    return ComparisonRecord(
        dataset=about.dataset,
        metric=about.metric,
        a=names[0],
        b=names[1],
        delta=paired.delta,
        ci95=(paired.low, paired.high),
        p=paired.p,
        p_adjusted=p,
        verdict=verdict,
        sentence=_sentence(names, paired, verdict, further=further, unit=about.unit),
        items_to_separate=further,
    )


def direction(paired: Paired, p: float) -> Verdict:
    """What one model is against the other. ``p`` is adjusted; the interval must agree with it."""
    if p >= RISK or paired.low <= 0 <= paired.high:
        return "tied"
    return "better" if paired.delta > 0 else "worse"


def _sentence(names: tuple[str, str], paired: Paired, verdict: Verdict, *, further: int | None, unit: str) -> str:
    first, second = names if verdict != "worse" else names[::-1]
    if verdict != "tied":
        low, high = sorted((abs(paired.low), abs(paired.high)))
        return f"{first} beats {second} by {abs(paired.delta):.3f} [{low:.3f}, {high:.3f}]"
    number = "no number of" if further is None else f"about {round_up(further):,} more"
    return f"{first} and {second} are tied; {number} {unit} would separate them"


def round_up(number: int) -> int:
    """Up to two digits, since it is an estimate."""
    step: int = 10 ** max(0, int(math.log10(number)) - 1)
    return math.ceil(number / step) * step

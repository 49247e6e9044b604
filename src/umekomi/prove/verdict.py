"""The verdict on a training, and the words for it. The rule and its reasons: docs/design/015.

Pure: outcomes of both models in, a verdict out. At most 5 % of trainings that changed nothing are not TIED.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from umekomi.evaluate.results import Verdict as Direction
from umekomi.evaluate.statistics import direction, holm
from umekomi.evaluate.statistics.power import RISK
from umekomi.prove import wording
from umekomi.prove.comparing import FEWEST_UNITS, Difference, Judged, Trial, compare_trial, fewest_units
from umekomi.prove.results import ComparisonRecord, Verdict

TRAINED_RISK = 0.04
"""Of the 5 %, for what was trained; the rest is for general sets. Holm shares out each part."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict, in one sentence, with its reasons and every comparison."""

    verdict: Verdict
    sentence: str
    reasons: tuple[str, ...]
    comparisons: tuple[ComparisonRecord, ...]


def decide(trials: Sequence[Trial], *, tolerated_loss: float, resamples: int, seed: int) -> Decision:
    """REGRESSED where a trained metric is lower by more than chance, or a general one by more than chance and by
    more than ``tolerated_loss``; else IMPROVED where a trained one is higher by more than chance; else TIED.

    Chance: the randomisation test over groups, with a risk of 5 % of any false difference.
    """
    found = [compare_trial(trial, resamples=resamples, seed=seed) for trial in trials]
    judged = _judge_primaries(trials, [each[0] for each in found])
    comparisons = [
        record
        for each, differences in zip(judged, found, strict=True)
        for record in (_primary_record(each), *_other_records(each.trial, differences[1:]))
    ]
    return Decision(
        verdict_of(comparisons, tolerated_loss=tolerated_loss),
        wording.sentence(judged, tolerated_loss),
        tuple(wording.reasons(judged, tolerated_loss)),
        tuple(comparisons),
    )


def verdict_of(comparisons: Iterable[ComparisonRecord], *, tolerated_loss: float) -> Verdict:
    """What the rows that decide come to, by the rule of `decide`."""
    found: Verdict = "TIED"
    for each in comparisons:
        allowed = tolerated_loss if each.part == "general" else 0.0
        if each.decides and each.verdict == "worse" and -each.delta > allowed:
            return "REGRESSED"
        if each.decides and each.verdict == "better" and each.part != "general":
            found = "IMPROVED"
    return found


def _judge_primaries(trials: Sequence[Trial], differences: Sequence[Difference]) -> list[Judged]:
    """What was trained first. What that finds is passed on to what should be kept, so that a verdict of IMPROVED
    has looked for losses with the whole risk."""
    able = {
        trial.dataset: (trial, each)
        for trial, each in zip(trials, differences, strict=True)
        if trial.decides and each.paired is not None
    }
    trained = [name for name, (trial, _) in able.items() if trial.part != "general"]
    p = _adjust([(name, able[name][1]) for name in trained], risk=TRAINED_RISK)
    better = sum(_direction(able[name][1], p[name]) == "better" for name in trained)
    rest = RISK - TRAINED_RISK + TRAINED_RISK * better / max(1, len(trained))
    kept = [name for name in able if name not in p]
    p |= _adjust([(name, able[name][1]) for name in kept], risk=rest)
    return [
        _judged(trial, each, p.get(trial.dataset), risk=rest, family=len(kept))
        if trial.part == "general"
        else _judged(trial, each, p.get(trial.dataset), risk=TRAINED_RISK, family=len(trained))
        for trial, each in zip(trials, differences, strict=True)
    ]


def _adjust(named: Sequence[tuple[str, Difference]], *, risk: float) -> dict[str, float]:
    """Adjusted p by data set: below 5 % where the difference is found with ``risk`` shared by all of ``named``."""
    adjusted = holm([each.paired.p for _, each in named if each.paired is not None])
    return {name: min(1.0, p * RISK / risk) for (name, _), p in zip(named, adjusted, strict=True)}


def _judged(trial: Trial, found: Difference, p: float | None, *, risk: float, family: int) -> Judged:
    share = risk / max(1, family)
    return Judged(
        trial,
        found,
        p,
        "tied" if p is None else _direction(found, p),
        detectable=None if p is None else found.detectable(trial.items, risk=share),
        needed=max(FEWEST_UNITS, fewest_units(risk=share)),
    )


def _direction(found: Difference, p: float) -> Direction:
    return "tied" if found.paired is None else direction(found.paired, p)


def _primary_record(judged: Judged) -> ComparisonRecord:
    return _record(judged.trial, judged.difference, judged.p, decides=True, detectable=judged.detectable)


def _other_records(trial: Trial, differences: Sequence[Difference]) -> list[ComparisonRecord]:
    """Metrics that do not decide, corrected among themselves."""
    paired = [each.paired for each in differences]
    known = [each.p for each in paired if each is not None]
    if not trial.decides or len(known) < len(paired):
        return [_record(trial, each, None, decides=False) for each in differences]
    return [
        _record(trial, each, p, decides=False, detectable=each.detectable(trial.items, risk=RISK))
        for each, p in zip(differences, holm(known), strict=True)
    ]


def _record(
    trial: Trial, found: Difference, p: float | None, *, decides: bool, detectable: float | None = None
) -> ComparisonRecord:
    paired = found.paired
    wins, ties, losses = found.balance or (None, None, None)
    return ComparisonRecord(
        part=trial.part,
        dataset=trial.dataset,
        metric=found.metric,
        base=found.base,
        tuned=found.tuned,
        delta=found.delta,
        ci95=None if paired is None else (paired.low, paired.high),
        p=None if paired is None else paired.p,
        p_adjusted=p,
        decides=decides,
        verdict="tied" if p is None else _direction(found, p),
        wins=wins,
        ties=ties,
        losses=losses,
        detectable=detectable,
        items=trial.items,
        groups=None if trial.groups is None else trial.units,
        sentence=wording.clause(trial, found, p),
    )

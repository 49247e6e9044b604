"""Every metric of one task over all models: scores with intervals, pairs of models, ranks, and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import ComparisonRecord, RankRecord, ScoreRecord, VerdictRecord
from umekomi.evaluate.statistics import Judgement, judge
from umekomi.evaluate.tasks import TaskKind

UNITS: dict[TaskKind, str] = {"labels": "texts", "pairs": "pairs", "retrieval": "queries"}
"""What the items of a task are called in a sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One metric of one model on one data set, item by item. ``role`` is as `ScoreRecord` has it."""

    dataset: str
    kind: TaskKind
    model: str
    outcome: Outcome
    role: str
    groups: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TaskJudgement:
    """What is said of one task."""

    scores: tuple[ScoreRecord, ...]
    comparisons: tuple[ComparisonRecord, ...]
    ranking: tuple[RankRecord, ...]
    verdicts: tuple[VerdictRecord, ...]


def judge_task(findings: Sequence[Finding], *, resamples: int, seed: int) -> TaskJudgement:
    """Judge all ``findings`` of one data set, metric by metric, in the order in which metrics first come."""
    scores: list[ScoreRecord] = []
    comparisons: list[ComparisonRecord] = []
    ranking: list[RankRecord] = []
    verdicts: list[VerdictRecord] = []
    for metric in dict.fromkeys(finding.outcome.metric for finding in findings):
        mine = [finding for finding in findings if finding.outcome.metric == metric]
        first = mine[0]
        judged = judge(
            {finding.model: finding.outcome for finding in mine},
            dataset=first.dataset,
            groups=first.groups,
            unit=UNITS[first.kind],
            resamples=resamples,
            seed=seed,
        )
        scores += [_score(finding, judged) for finding in mine]
        comparisons += judged.comparisons
        ranking += judged.ranking
        if judged.sentence:
            verdicts.append(VerdictRecord(dataset=first.dataset, metric=metric, sentence=judged.sentence))
    return TaskJudgement(tuple(scores), tuple(comparisons), tuple(ranking), tuple(verdicts))


def _score(finding: Finding, judged: Judgement) -> ScoreRecord:
    found = judged.intervals[finding.model]
    return ScoreRecord(
        dataset=finding.dataset,
        model=finding.model,
        metric=finding.outcome.metric,
        value=judged.values[finding.model],
        ci95=(found.low, found.high),
        items=len(finding.outcome.items),
        role=finding.role,
    )

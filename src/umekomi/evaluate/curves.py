"""What a model's score becomes when its vectors are kept shorter or coarser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from umekomi.embedding.vectors import cut_dimensions
from umekomi.evaluate.candidates.vectors import TaskVectors
from umekomi.evaluate.metrics.labels import precision_at_k
from umekomi.evaluate.metrics.pairs import correlations
from umekomi.evaluate.metrics.retrieval import retrieval_outcomes
from umekomi.evaluate.metrics.variants import Variant, plan_variants, search_variant
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.results import CurvePoint, ModelRecord
from umekomi.evaluate.scoring import DEPTH, FULL_RANKING_ITEMS
from umekomi.evaluate.settings import EvaluationSettings
from umekomi.evaluate.statistics import interval, value
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask, Task

RESAMPLES = 500
"""For the intervals of points, which are looked at and not tested."""


def measure_curves(
    task: Task, vectors: TaskVectors, *, model: ModelRecord, settings: EvaluationSettings
) -> tuple[CurvePoint, ...]:
    """The task's primary metric for every variant of the vectors; none for tasks over `FULL_RANKING_ITEMS` texts.

    Pairs have the curve over dimensions alone: nothing is searched there.
    """
    if len(task) > FULL_RANKING_ITEMS:
        return ()
    measure = _measure_of(task, vectors, k=settings.k)
    points = []
    for variant in plan_variants(model.dim):
        if isinstance(task, PairTask) and variant.curve == "precision":
            continue
        outcome = measure(variant)
        found = interval(outcome, groups=task.groups, resamples=RESAMPLES, seed=settings.seed)
        points.append(
            CurvePoint(
                dataset=task.name,
                model=model.name,
                metric=outcome.metric,
                curve=variant.curve,
                variant=variant.name,
                bytes_per_vector=variant.bytes_per_vector,
                value=value(outcome),
                ci95=(found.low, found.high),
            )
        )
    return tuple(points)


def _measure_of(task: Task, vectors: TaskVectors, *, k: int) -> Callable[[Variant], Outcome]:
    """The primary metric as a function of the variant in which vectors are kept."""
    main = vectors.main.vectors
    if isinstance(task, LabelTask):
        labels = np.unique(np.array(task.labels), return_inverse=True)[1].astype(np.int64)
        return lambda variant: precision_at_k(search_variant(main, variant, k=k), labels, k=k)
    assert vectors.other is not None
    other = vectors.other.vectors
    if isinstance(task, PairTask):
        scores = task.scores
        return lambda variant: correlations(
            cut_dimensions(main, variant.dim), cut_dimensions(other, variant.dim), scores
        )[0]
    assert isinstance(task, RetrievalTask)
    relevant, size = task.relevant, len(task.corpus)

    def ndcg(variant: Variant) -> Outcome:
        ranked = search_variant(other, variant, k=min(DEPTH, size), queries=main)
        return next(
            each for each in retrieval_outcomes(ranked, relevant, corpus_size=size) if each.metric == "ndcg@10"
        )

    return ndcg

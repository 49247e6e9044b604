"""One model's vectors on one task to what is said of them: outcomes, neighbours, the shape of the space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from umekomi.errors import InvalidInput
from umekomi.evaluate.candidates.vectors import RoleVectors, TaskVectors
from umekomi.evaluate.metrics import labels as label_metrics
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.pairs import correlations
from umekomi.evaluate.metrics.retrieval import rank_corpus, retrieval_outcomes
from umekomi.evaluate.metrics.space import space_figures
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask, Task, TaskKind

PRIMARY: Mapping[TaskKind, str] = {"labels": "precision@{k}", "pairs": "spearman", "retrieval": "ndcg@10"}
"""The metric that ranks models on a task of each kind."""

DEFAULT_K = 3
"""Neighbours that precision@k and knn_accuracy@k look at; the published livedoor scores took 3."""

HUBNESS_K = 10
"""Neighbours by which hubs are told, as in Radovanović et al. 2010."""

DEPTH = 100
"""Documents of the corpus that are ranked for a query."""

FULL_RANKING_ITEMS = 20_000
"""Texts up to which metrics that rank or cluster everything against everything are computed."""


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What was found of one model on one task.

    neighbours  int64 ``(n, k)``: other texts (labels), or rows of the corpus for each query; None for pairs
    space       figures of the shape of the vectors, by name
    notes       what was left out, and why
    """

    outcomes: tuple[Outcome, ...]
    neighbours: NDArray[np.int64] | None
    space: Mapping[str, float]
    notes: tuple[str, ...] = ()


def primary_metric(kind: TaskKind, *, k: int) -> str:
    """Name of the metric that ranks models on a task of ``kind``."""
    return PRIMARY[kind].format(k=k)


def check_task(task: Task, *, k: int, legacy: bool = False) -> None:
    """Raise `InvalidInput` for a task that no model could be scored on, before any text is embedded."""
    if isinstance(task, LabelTask) and len(task) <= k:
        raise InvalidInput(
            f"{task.name}: {len(task)} texts, but the {k} nearest others of each are looked at; "
            f"give at least {k + 1} texts or a smaller -k"
        )
    if legacy and len(task) > label_metrics.LEGACY_TEXTS:
        raise InvalidInput(
            f"{task.name}: {len(task)} texts, but the published loop compares all with all and takes "
            f"{label_metrics.LEGACY_TEXTS} at most; leave --legacy out"
        )


def score_task(task: Task, vectors: TaskVectors, *, k: int, seed: int, legacy: bool = False) -> Scored:
    """Every metric of the task's kind. ``legacy`` adds the published notebook's own loop for labels."""
    if isinstance(task, LabelTask):
        return _score_labels(task, vectors.main, k=k, seed=seed, legacy=legacy)
    assert vectors.other is not None
    if isinstance(task, PairTask):
        outcomes = correlations(vectors.main.vectors, vectors.other.vectors, task.scores)
        return Scored(outcomes, None, {})
    return _score_retrieval(task, vectors.main, vectors.other)


def _score_labels(task: LabelTask, texts: RoleVectors, *, k: int, seed: int, legacy: bool) -> Scored:
    numbers = np.unique(np.array(task.labels), return_inverse=True)[1].astype(np.int64)
    found = nearest(texts.vectors, k=min(max(k, HUBNESS_K), len(task) - 1))
    vectors, index = texts.vectors, found.index
    outcomes = [
        label_metrics.precision_at_k(index, numbers, k=k),
        label_metrics.knn_accuracy(index, numbers, k=k),
    ]
    if legacy:
        outcomes.append(label_metrics.legacy_precision(vectors, numbers, k=k))
    notes = []
    if len(task) <= FULL_RANKING_ITEMS:
        outcomes.append(label_metrics.r_precision(vectors, numbers))
    else:
        notes.append(f"{task.name}: r_precision was left out, it takes too long over {FULL_RANKING_ITEMS} texts")
    outcomes += [
        label_metrics.silhouette(vectors, numbers),
        label_metrics.kmeans_v_measure(vectors, numbers, seed=seed),
    ]
    try:
        outcomes.append(label_metrics.linear_probe(vectors, numbers, groups=task.groups, seed=seed))
    except InvalidInput as error:  # fewer groups or texts of a label than folds
        notes.append(f"{task.name}: linear_probe was left out: {error}")
    return Scored(
        tuple(outcomes),
        index,
        space_figures(vectors, index) | _lost(texts),
        notes=tuple(notes),
    )


def _score_retrieval(task: RetrievalTask, queries: RoleVectors, corpus: RoleVectors) -> Scored:
    ranked = rank_corpus(queries.vectors, corpus.vectors, depth=min(DEPTH, len(task.corpus)))
    outcomes = retrieval_outcomes(ranked, task.relevant, corpus_size=len(task.corpus))
    space: dict[str, float] = {}
    if len(task.corpus) > 2:
        k = min(HUBNESS_K, len(task.corpus) - 1)
        space = dict(space_figures(corpus.vectors, nearest(corpus.vectors, k=k).index))
    return Scored(outcomes, ranked, space | _lost(corpus))


def _lost(texts: RoleVectors) -> dict[str, float]:
    """Shares of texts that were cut and of tokens that no vector knows of."""
    if texts.tokens is None or texts.truncated is None or texts.lost is None:
        return {}
    ran = int(texts.tokens.sum())
    return {
        "truncated_share": float(texts.truncated.mean()),
        "tokens_lost_share": texts.lost / max(1, ran + texts.lost),
    }

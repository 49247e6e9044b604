"""One model's outcomes on one data set: the metrics that a proof states, and the order of what was found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from umekomi.evaluate.candidates.opening import Candidate
from umekomi.evaluate.candidates.vectors import TaskVectors, embed_task
from umekomi.evaluate.metrics.labels import precision_at_k
from umekomi.evaluate.metrics.neighbours import nearest
from umekomi.evaluate.metrics.pairs import correlations
from umekomi.evaluate.metrics.retrieval import rank_corpus, retrieval_outcomes
from umekomi.evaluate.outcomes import Outcome
from umekomi.evaluate.scoring import DEFAULT_K, DEPTH
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask, Task
from umekomi.types import Role, Vectors

SHOWN = ("ndcg@10", "mrr@10", "recall@1", "recall@5", "recall@10")
"""Of retrieval, in this order; the first one decides."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What a model does on one data set.

    outcomes  the primary metric first
    ranked    int64 ``(queries, depth)``: rows of the corpus, nearest first; None where nothing is searched
    """

    outcomes: tuple[Outcome, ...]
    ranked: NDArray[np.int64] | None = None

    @property
    def primary(self) -> Outcome:
        """What decides."""
        return self.outcomes[0]


def measure(
    candidate: Candidate,
    task: Task,
    *,
    cache: Path,
    role: Role = "document",
    k: int = DEFAULT_K,
    advance: Callable[[int], None] = lambda done: None,
) -> Measured:
    """``task`` by ``candidate``; vectors in ``cache`` are not computed again. See `embed_task` for ``role``."""
    return score(task, embed_task(candidate, task, role=role, cache=cache, advance=advance), k=k)


def score(task: Task, vectors: TaskVectors, *, k: int = DEFAULT_K) -> Measured:
    """``task`` by vectors. Raises `InvalidInput` for a task that no model can be scored on."""
    if isinstance(task, LabelTask):
        numbers = np.unique(np.array(task.labels), return_inverse=True)[1].astype(np.int64)
        return Measured((precision_at_k(nearest(vectors.main.vectors, k=k).index, numbers, k=k),))
    assert vectors.other is not None
    if isinstance(task, PairTask):
        return Measured((_score_pairs(task, vectors.main.vectors, vectors.other.vectors),))
    return _score_retrieval(task, vectors)


def _score_pairs(task: PairTask, first: Vectors, second: Vectors) -> Outcome:
    """Spearman's correlation; 0 for a model that finds all pairs equally alike, as one that collapsed does."""
    cosines = np.einsum("ij,ij->i", first, second, dtype=np.float64)
    if np.ptp(cosines) > 0:
        return correlations(first, second, task.scores)[0]
    return Outcome("spearman", np.zeros(len(task)), reduction="spearman", reference=task.scores)


def _score_retrieval(task: RetrievalTask, vectors: TaskVectors) -> Measured:
    assert vectors.other is not None
    ranked = rank_corpus(vectors.main.vectors, vectors.other.vectors, depth=min(DEPTH, len(task.corpus)))
    found = {each.metric: each for each in retrieval_outcomes(ranked, task.relevant, corpus_size=len(task.corpus))}
    return Measured(tuple(found[name] for name in SHOWN), ranked)

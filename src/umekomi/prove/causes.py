"""Which training pairs likely moved an example: those that pulled the same texts together.

A step on a pair brings every query towards every text by about the product of two likenesses: of the query to the
pair's query, and of the text to its positive (the gradient of a last linear layer; TracIn, Pruthi et al. 2020,
arXiv:2002.08484). By the tuned model's cosines that is a good guess, and no more: it knows neither the order of
steps nor what other pairs undid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from umekomi.evaluate.candidates.opening import Candidate
from umekomi.evaluate.candidates.vectors import embed_texts
from umekomi.evaluate.tasks import Task
from umekomi.prove.examples import Moved
from umekomi.prove.inputs import TrainingPair
from umekomi.prove.results import CauseRecord, ExampleRecord
from umekomi.types import Role, Vectors

CAUSES = 3
"""Named for each example."""

COMPARED_PAIRS = 20_000
"""Training pairs among which causes are looked for, at even distances over all; each is embedded once."""


def explain_moved(
    task: Task,
    moved: Sequence[Moved],
    pairs: Sequence[TrainingPair],
    tuned: Candidate,
    *,
    role: Role,
    cache: Path,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[ExampleRecord, ...]:
    """``moved`` with the pairs that likely did it. ``role``: of both texts of a pair, where ``task`` has pairs.

    advance  called with the number of texts that became ready, `count_compared` in all
    """
    pairs = sample_pairs(pairs)
    if not moved or not pairs:
        return tuple(_record(task, each, ()) for each in moved)
    asked: Role = "query" if task.kind == "retrieval" else role
    told: Role = "document" if task.kind == "retrieval" else role

    def likeness(ours: Iterable[str], theirs: Iterable[str], as_role: Role) -> Vectors:
        """Cosines, float32 ``(len(ours), len(theirs))``."""
        left, right = (
            embed_texts(tuned, list(texts), role=as_role, cache=cache, advance=advance).vectors
            for texts in (ours, theirs)
        )
        return np.asarray(left @ right.T, np.float32)

    queries = likeness((each.query for each in moved), (pair.query for pair in pairs), asked)
    texts = likeness((_moved_text(each) for each in moved), (pair.positive for pair in pairs), told)
    return tuple(_record(task, each, _nearest(pairs, queries[row], texts[row])) for row, each in enumerate(moved))


def count_compared(moved: Sequence[Moved], pairs: Sequence[TrainingPair]) -> int:
    """Texts that `explain_moved` embeds."""
    return 2 * (len(moved) + len(sample_pairs(pairs))) if moved and pairs else 0


def sample_pairs(pairs: Sequence[TrainingPair]) -> Sequence[TrainingPair]:
    """At most `COMPARED_PAIRS` of ``pairs``."""
    if len(pairs) <= COMPARED_PAIRS:
        return pairs
    return [pairs[place * len(pairs) // COMPARED_PAIRS] for place in range(COMPARED_PAIRS)]


def _moved_text(moved: Moved) -> str:
    """What came nearer to the query: the right text, or the one that now stands before it."""
    return moved.overtaken_by or moved.text


def _nearest(pairs: Sequence[TrainingPair], query: Vectors, text: Vectors) -> tuple[CauseRecord, ...]:
    """The pairs whose product of cosines is largest; a pair that stands there twice is named once."""
    product = np.maximum(query, 0) * np.maximum(text, 0)
    named: dict[tuple[str, str], CauseRecord] = {}
    for row in np.argsort(-product, kind="stable").tolist():
        pair = pairs[row]
        named.setdefault(
            (pair.query, pair.positive),
            CauseRecord(
                query=pair.query,
                positive=pair.positive,
                query_similarity=float(query[row]),
                text_similarity=float(text[row]),
                chunk_id=pair.chunk_id,
                source=pair.source,
                page=pair.page,
            ),
        )
        if len(named) == CAUSES:
            break
    return tuple(named.values())


def _record(task: Task, moved: Moved, causes: tuple[CauseRecord, ...]) -> ExampleRecord:
    return ExampleRecord(
        dataset=task.name,
        query=moved.query,
        expected=moved.text,
        base_rank=moved.base_rank,
        tuned_rank=moved.tuned_rank,
        rated_rank=moved.rated_rank,
        depth=moved.depth,
        better=moved.better,
        overtaken_by=moved.overtaken_by,
        causes=causes,
    )

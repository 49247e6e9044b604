"""A part of a large data set, enough to tell mixtures of weights apart: every mixture embeds all of its texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from umekomi.evaluate.candidates.vectors import count_texts
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask, Task

MOST_TEXTS = 2000
"""multilingual-e5-small embeds so many passages of 128 tokens in under a minute on 2 cores."""

_QUERY_SHARE = 4
"""At most one text in so many is a query."""

_SEED = 0


def sample_task(task: Task, *, most: int = MOST_TEXTS) -> Task:
    """``task`` with ``most`` texts, the same ones every time; itself where it has no more.

    Of a corpus, what answers the queries stays, and the rest is drawn; the order stays.
    """
    if count_texts(task) <= most:
        return task
    if isinstance(task, LabelTask):
        rows = _draw(range(len(task)), most)
        return replace(
            task,
            texts=_pick(task.texts, rows),
            labels=_pick(task.labels, rows),
            ids=_pick(task.ids, rows),
            groups=_pick(task.groups, rows) if task.groups else None,
        )
    if isinstance(task, PairTask):
        rows = _draw(range(len(task)), most // 2)
        return replace(
            task,
            first=_pick(task.first, rows),
            second=_pick(task.second, rows),
            scores=task.scores[rows],
            ids=_pick(task.ids, rows),
            groups=_pick(task.groups, rows) if task.groups else None,
        )
    return _sample_retrieval(task, most)


def _sample_retrieval(task: RetrievalTask, most: int) -> RetrievalTask:
    queries = _draw(range(len(task)), most // _QUERY_SHARE)
    answers = {row for query in queries for row in task.relevant[query]}
    others = [row for row in range(len(task.corpus)) if row not in answers]
    rows = sorted(answers | set(_draw(others, max(0, most - len(queries) - len(answers)))))
    place = {row: number for number, row in enumerate(rows)}
    return replace(
        task,
        queries=_pick(task.queries, queries),
        query_ids=_pick(task.query_ids, queries),
        corpus=_pick(task.corpus, rows),
        corpus_ids=_pick(task.corpus_ids, rows),
        relevant=tuple({place[row]: gain for row, gain in task.relevant[query].items()} for query in queries),
        groups=_pick(task.groups, queries) if task.groups else None,
    )


def _draw(rows: Sequence[int], count: int) -> list[int]:
    if len(rows) <= count:
        return list(rows)
    chosen = np.random.default_rng(_SEED).permutation(len(rows))[:count]
    return [rows[number] for number in sorted(chosen.tolist())]


def _pick(values: Sequence[str], rows: Sequence[int]) -> tuple[str, ...]:
    return tuple(values[row] for row in rows)

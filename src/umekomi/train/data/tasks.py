"""The dev and test splits as tasks of an evaluation: every passage is searched, as a user would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from umekomi.evaluate.datasets.building import digest, guess_language
from umekomi.evaluate.metrics.repeats import fold
from umekomi.evaluate.tasks import Origin, PairTask, RetrievalTask
from umekomi.train.examples import Example, TrainingData


def build_domain_task(data: TrainingData) -> RetrievalTask | PairTask:
    """The test split, resampled by document. Pure."""
    return _build_task(data, data.test, "test")


def build_dev_task(data: TrainingData) -> RetrievalTask | PairTask:
    """The dev split, as `build_domain_task` builds test."""
    return _build_task(data, data.dev, "dev")


def _build_task(
    data: TrainingData, examples: Sequence[Example], name: Literal["dev", "test"]
) -> RetrievalTask | PairTask:
    return (_build_pairs if data.objective == "similarity" else _build_retrieval)(data, examples, name)


def _build_retrieval(data: TrainingData, examples: Sequence[Example], name: str) -> RetrievalTask:
    """Examples of one query are one query; every passage with the text of a positive answers it."""
    rows: dict[str, list[int]] = {}
    for row, passage in enumerate(data.corpus):
        rows.setdefault(fold(passage.text), []).append(row)
    asked: dict[str, Example] = {}
    relevant: dict[str, dict[int, float]] = {}
    for example in examples:
        asked.setdefault(example.query, example)
        relevant.setdefault(example.query, {}).update(dict.fromkeys(rows[fold(example.positive)], 1.0))
    found = tuple(dict(sorted(relevant[query].items())) for query in asked)
    corpus = [passage.text for passage in data.corpus]
    judgements = (f"{row} {gain!r}" for gains in found for row, gain in (*gains.items(), (-1, 0.0)))
    return RetrievalTask(
        name=name,
        queries=tuple(asked),
        query_ids=tuple(example.id for example in asked.values()),
        corpus=tuple(corpus),
        corpus_ids=tuple(passage.id for passage in data.corpus),
        relevant=found,
        origin=_origin(digest("retrieval", tuple(asked), corpus, judgements), name, list(asked)),
        groups=tuple(map(_group, asked.values())),
    )


def _build_pairs(data: TrainingData, examples: Sequence[Example], name: str) -> PairTask:
    first = tuple(example.query for example in examples)
    second = tuple(example.positive for example in examples)
    scores = [float(example.score or 0.0) for example in examples]
    return PairTask(
        name=name,
        first=first,
        second=second,
        scores=np.array(scores, np.float64),
        ids=tuple(example.id for example in examples),
        origin=_origin(digest("pairs", first, second, map(repr, scores)), name, [*first, *second]),
        groups=tuple(map(_group, examples)) if any(example.document_id for example in examples) else None,
    )


def _group(example: Example) -> str:
    """What is resampled together: the document, else the positive."""
    return example.document_id or example.chunk_id or fold(example.positive)


def _origin(content: str, name: str, texts: Sequence[str]) -> Origin:
    return Origin(digest=content, source=f"{name} split", language=guess_language(texts) if texts else "")

"""The samples that ship: of the size that is promised, balanced, of two languages, no text twice."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import umekomi
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.datasets.samples import SAMPLES
from umekomi.evaluate.tasks import LabelTask, PairTask, RetrievalTask


@pytest.mark.parametrize(("name", "each"), [("sample", 24), ("sample-ja", 12), ("sample-en", 12)])
def test_subjects(name: str, each: int) -> None:
    task = open_task(name)
    assert isinstance(task, LabelTask)
    assert Counter(task.labels) == dict.fromkeys(task.labels, each)
    assert len(set(task.labels)) == 9
    assert len(set(task.texts)) == len(task.texts)


def test_questions_and_pairs() -> None:
    questions, pairs = open_task("sample-retrieval"), open_task("sample-sts")
    assert isinstance(questions, RetrievalTask)
    assert isinstance(pairs, PairTask)
    assert len(questions) == len(questions.corpus) == len(pairs) == 40
    assert all(len(relevant) == 1 for relevant in questions.relevant)
    assert min(pairs.scores) == 0
    assert max(pairs.scores) == 5


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_free_and_read_without_a_guess(name: str) -> None:
    origin = open_task(name).origin
    assert origin.licence == "CC0-1.0"
    assert (origin.guessed, dict(origin.skipped), origin.preparation) == ((), {}, ())
    languages = {row["language"] for row in SAMPLES[name].read().rows}
    assert languages == ({origin.language} if origin.language else {"ja", "en"})


@pytest.mark.starter
def test_they_tell_a_model_that_knows_japanese_from_one_that_does_not() -> None:
    e5, minilm = (_precisions_at_3(model) for model in ("multilingual-e5-small", "all-MiniLM-L6-v2"))
    assert e5["sample-ja"] > minilm["sample-ja"] + 0.3
    assert min(e5["sample-en"], minilm["sample-en"]) > 0.6
    assert max(*e5.values(), *minilm.values()) < 0.95


def _precisions_at_3(model: str) -> dict[str, float]:
    with umekomi.open_embedder(model, notify=lambda _message: None) as embedder:
        return {name: _precision_at_3(embedder, name) for name in ("sample-ja", "sample-en")}


def _precision_at_3(embedder: umekomi.Embedder, name: str) -> float:
    task = open_task(name)
    assert isinstance(task, LabelTask)
    vectors = embedder.embed(task.texts, role="document").vectors
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, -2)
    nearest, labels = np.argsort(-similarity, axis=1)[:, :3], np.array(task.labels)
    return float((labels[nearest] == labels[:, None]).mean())

"""mteb, both ways: what its evaluation gets from our models, and what its files become. The first needs mteb."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import umekomi
from umekomi.errors import InvalidInput, MissingExtra
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.mteb import MtebModel, load_mteb_results
from umekomi.evaluate.tasks import PairTask, RetrievalTask
from umekomi.extras import is_installed

needs_mteb = pytest.mark.skipif(not is_installed("mteb"), reason="mteb is not installed (extra: mteb)")
PROMPTS = {"query": "query: ", "document": "passage: "}


@pytest.fixture
def embedder() -> Iterator[umekomi.Embedder]:
    with umekomi.open_embedder("hashing:64", prompts=PROMPTS) as opened:
        yield opened


def write_result(folder: Path, scores: dict[str, Any], *, task: str = "JSTS", model: str = "org__model") -> Path:
    path = folder / model / "rev1" / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"task_name": task, "dataset_revision": "abc", "mteb_version": "2.1.0", "scores": scores}
    path.write_text(json.dumps(content))
    return path


def test_without_mteb_the_adapter_says_what_to_install(
    embedder: umekomi.Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mteb", None)
    with pytest.raises(MissingExtra, match=r"umekomi\[mteb\]"):
        MtebModel(embedder)


def test_result_files_become_records_without_intervals(tmp_path: Path) -> None:
    pairs = {"hf_subset": "default", "main_score": 0.8, "cosine_spearman": 0.8, "cosine_pearson": 0.82}
    write_result(tmp_path, {"validation": [pairs]})
    search = {"hf_subset": "ja", "main_score": 0.5, "ndcg_at_10": 0.5, "recall_at_1": 0.3, "map_at_10": 0.4}
    write_result(tmp_path, {"test": [search]}, task="MIRACL")
    classes = {"hf_subset": "default", "main_score": 0.9, "accuracy": 0.9, "f1": 0.88}
    path = write_result(tmp_path, {"test": [classes]}, task="Banking", model="other")
    meta = {"name": "org/other", "revision": "7", "embed_dim": 384}
    (path.parent / "model_meta.json").write_text(json.dumps(meta))
    results = load_mteb_results(tmp_path)
    found = {(s.dataset, s.model, s.metric): s.value for s in results.scores}
    assert found == {
        ("mteb/JSTS/validation", "org/model", "spearman"): 0.8,
        ("mteb/JSTS/validation", "org/model", "pearson"): 0.82,
        ("mteb/MIRACL/ja", "org/model", "ndcg@10"): 0.5,
        ("mteb/MIRACL/ja", "org/model", "recall@1"): 0.3,
        ("mteb/Banking", "org/other", "accuracy"): 0.9,
    }
    assert all(score.ci95 is None for score in results.scores)
    assert {(d.name, d.kind) for d in results.datasets} == {
        ("mteb/JSTS/validation", "pairs"), ("mteb/MIRACL/ja", "retrieval"), ("mteb/Banking", "labels"),
    }  # fmt: skip
    assert {(m.name, m.fingerprint, m.dim) for m in results.models} == {
        ("org/model", "mteb:rev1", 0), ("org/other", "mteb:7", 384),
    }  # fmt: skip
    assert "no interval" in results.notes[0]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ({"test": {"main_score": 1}}, "no list; mteb 2 writes a list"),
        ({"test": [3]}, "a score of 'test' is no object"),
        ({"test": [{"accuracy": 1}]}, "no number under 'main_score'"),
        ({"test": [{"main_score": float("nan")}]}, "no number under 'main_score'"),
    ],
)
def test_a_file_of_another_shape_is_named(tmp_path: Path, scores: dict[str, Any], message: str) -> None:
    write_result(tmp_path, scores)
    with pytest.raises(InvalidInput, match=rf"JSTS\.json: .*{message}"):
        load_mteb_results(tmp_path)


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(InvalidInput, match="no result files of mteb in it"):
        load_mteb_results(tmp_path)
    (tmp_path / "other.json").write_text("{")
    with pytest.raises(InvalidInput, match=r"other\.json: cannot be read as JSON"):
        load_mteb_results(tmp_path)


@needs_mteb
def test_the_prompt_type_is_the_role_and_prompts_are_put_once(embedder: umekomi.Embedder) -> None:
    model, batches = MtebModel(embedder), [{"text": ["a", "b"]}, {"text": ["c"]}]
    raw = embedder.embed(["query: a", "query: b", "query: c"], role="raw").vectors
    context = {"task_metadata": None, "hf_split": "test", "hf_subset": "default", "batch_size": 2}
    query = model.encode(batches, prompt_type=_prompt_type("query"), **context)
    assert np.array_equal(query, raw)
    document = model.encode(batches, prompt_type=_prompt_type("document"), **context)
    assert np.array_equal(document, model.encode(batches, **context))
    assert not np.array_equal(document, query)
    assert np.array_equal(MtebModel(embedder, symmetric_role="query").encode(batches, **context), query)
    assert np.allclose(np.diag(model.similarity(query, document)), model.similarity_pairwise(query, document))
    with pytest.raises(InvalidInput, match="no texts"):
        model.encode([{"image": []}], **context)


def _prompt_type(name: str) -> Any:
    from mteb.types import PromptType

    return PromptType(name)


@needs_mteb
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of mteb and what it imports
def test_mteb_finds_what_our_vectors_say(embedder: umekomi.Embedder, tmp_path: Path) -> None:
    import mteb
    from mteb.cache import ResultCache

    model = MtebModel(embedder)
    cache = ResultCache(cache_path=tmp_path)
    mteb.evaluate(model, [_sts_task(), _retrieval_task()], cache=cache, co2_tracker=False)
    found = {(s.dataset, s.metric): s.value for s in load_mteb_results(tmp_path).scores}
    assert found["mteb/OwnPairs", "spearman"] == pytest.approx(_own_spearman(embedder), abs=1e-5)
    assert found["mteb/OwnSearch", "recall@1"] == pytest.approx(_own_recall(embedder), abs=1e-5)
    assert model.mteb_model_meta.revision == embedder.card.fingerprint


def _own_spearman(embedder: umekomi.Embedder) -> float:
    from scipy.stats import spearmanr

    task = open_task("sample-sts")
    assert isinstance(task, PairTask)
    first, second = (embedder.embed(texts, role="document").vectors for texts in (task.first, task.second))
    return float(spearmanr((first * second).sum(1), task.scores)[0])


def _own_recall(embedder: umekomi.Embedder) -> float:
    task = open_task("sample-retrieval")
    assert isinstance(task, RetrievalTask)
    queries = embedder.embed(task.queries, role="query").vectors
    corpus = embedder.embed(task.corpus, role="document").vectors
    best = (queries @ corpus.T).argmax(1)
    return float(np.mean([row in relevant for row, relevant in zip(best, task.relevant, strict=True)]))


def _metadata(name: str, task_type: str, main_score: str) -> Any:
    from mteb import TaskMetadata

    return TaskMetadata(
        name=name,
        description="Of the samples.",
        dataset={"path": "own/none", "revision": "1"},
        type=task_type,
        category="t2t",
        modalities=["text"],
        eval_splits=["test"],
        eval_langs=["jpn-Jpan"],
        main_score=main_score,
        **dict.fromkeys(
            ("reference", "date", "domains", "task_subtypes", "license", "annotations_creators", "dialect",
             "sample_creation", "bibtex_citation"),
        ),
    )  # fmt: skip


def _sts_task() -> Any:
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTaskSTS

    class OwnPairs(AbsTaskSTS):  # type: ignore[misc]
        metadata = _metadata("OwnPairs", "STS", "cosine_spearman")

        def load_data(self, **_options: Any) -> None:
            task = open_task("sample-sts")
            columns = {"sentence1": list(task.first), "sentence2": list(task.second), "score": task.scores.tolist()}
            self.dataset, self.data_loaded = DatasetDict({"test": Dataset.from_dict(columns)}), True

    return OwnPairs()


def _retrieval_task() -> Any:
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData

    class OwnSearch(AbsTaskRetrieval):  # type: ignore[misc]
        metadata = _metadata("OwnSearch", "Retrieval", "ndcg_at_10")

        def load_data(self, **_options: Any) -> None:
            task = open_task("sample-retrieval")
            split = RetrievalSplitData(
                corpus=Dataset.from_dict(
                    {"id": list(task.corpus_ids), "title": [""] * len(task.corpus), "text": list(task.corpus)}
                ),
                queries=Dataset.from_dict({"id": list(task.query_ids), "text": list(task.queries)}),
                relevant_docs={
                    query: {task.corpus_ids[row]: 1 for row in relevant}
                    for query, relevant in zip(task.query_ids, task.relevant, strict=True)
                },
                top_ranked=None,
            )
            self.dataset, self.data_loaded = {"default": {"test": split}}, True

    return OwnSearch()

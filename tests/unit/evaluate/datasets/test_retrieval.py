"""Queries and documents: rows of both, and corpora with judgements in the layouts of BEIR and NanoBEIR."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import RetrievalTask

QUERIES = {f"q{n}": f"question {n}" for n in range(5)}
DOCUMENTS = {f"d{n}": f"passage {n}" for n in range(6)}
QRELS = [(f"q{n}", f"d{n}", 1) for n in range(5)]


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows), "utf-8")


def retrieval(source: Path | str) -> RetrievalTask:
    task = open_task(str(source))
    assert isinstance(task, RetrievalTask)
    return task


def beir(folder: Path, *, qrels: list[tuple[str, str, Any]] = QRELS, split: str = "test") -> Path:
    lines(folder / "corpus.jsonl", [{"_id": key, "title": "T", "text": text} for key, text in DOCUMENTS.items()])
    lines(folder / "queries.jsonl", [{"_id": key, "text": text} for key, text in QUERIES.items()])
    (folder / "qrels").mkdir(exist_ok=True)
    body = "".join(f"{query}\t{document}\t{score}\n" for query, document, score in qrels)
    (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + body)
    return folder


def test_rows_of_training_data_with_their_chunks_and_sources(tmp_path: Path) -> None:
    rows = [
        {"query": f"q{n}", "positive": f"p{n // 2}", "chunk_id": f"c{n // 2}", "source": f"s{n // 4}", "page": n}
        for n in range(8)
    ]
    lines(tmp_path / "test.jsonl", rows)
    task = retrieval(tmp_path / "test.jsonl")
    assert task.corpus == ("p0", "p1", "p2", "p3")
    assert task.corpus_ids == ("c0", "c1", "c2", "c3")
    assert task.relevant == tuple({n // 2: 1.0} for n in range(8))
    assert task.groups == ("s0",) * 4 + ("s1",) * 4
    assert dict(task.origin.columns) == {
        "query": "query", "positive": "positive", "document_id": "chunk_id", "group": "source",
    }  # fmt: skip


def test_several_positives_negatives_and_rows_of_one_query(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"anchor": "a", "pos": ["p1", "p2"], "neg": ["n1", "p3"]},
        {"anchor": "b", "pos": "p3", "neg": []},
        {"anchor": "a", "pos": [{"title": "T", "text": "p4"}, {"text": "p1"}], "neg": None},
        {"anchor": "c", "pos": ["p2"]},
        {"anchor": "d", "pos": ["p2", " "]},
        {"anchor": "e", "pos": []},
        {"anchor": "", "pos": "p9"},
    ]
    lines(tmp_path / "a.jsonl", rows)
    task = retrieval(tmp_path / "a.jsonl")
    corpus = dict(zip(task.corpus, range(len(task.corpus)), strict=True))
    assert list(corpus) == ["n1", "p3", "p1", "p2", "T p4"]
    expected = {"a": ["p1", "p2", "T p4"], "b": ["p3"], "c": ["p2"], "d": ["p2"]}
    for query, relevant in zip(task.queries, task.relevant, strict=True):
        assert set(relevant) == {corpus[text] for text in expected[query]}
    assert task.origin.skipped == {"no document": 1, "empty query": 1}


def test_rows_with_judgements_keep_what_is_not_relevant_in_the_corpus(tmp_path: Path) -> None:
    rows = [{"query": f"q{n}", "document": f"d{m}", "label": 2 * (n == m)} for n in range(4) for m in range(5)]
    lines(tmp_path / "a.jsonl", rows)
    task = retrieval(tmp_path / "a.jsonl")
    assert task.relevant == tuple({n: 2.0} for n in range(4))
    assert len(task.corpus) == 5
    assert "score" in task.origin.guessed


def test_a_teachers_scores_are_no_judgements(tmp_path: Path) -> None:
    lines(tmp_path / "a.jsonl", [{"query": f"q{n}", "positive": f"d{n}", "score": -n / 3} for n in range(5)])
    assert "score" not in retrieval(tmp_path / "a.jsonl").origin.columns


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"query": "a", "positive": "b"}] * 9, "1 usable queries; a score needs at least 4"),
        ([{"query": f"q{n}", "positive": "b"} for n in range(9)], "1 usable documents; a score needs at least 2"),
        ([{"query": "a", "positive": 3}], "line 1: 3 is a int, not a text"),
        ([{"query": "a", "positive": [{"body": "x"}]}], r"line 1: \{'body': 'x'\} has no 'text'"),
        (
            [{"query": "a", "positive": "x", "chunk_id": 1}, {"query": "b", "positive": "y", "chunk_id": 1}],
            "line 2: '1' is the id of another document already",
        ),
    ],
)
def test_rows_that_make_no_task(tmp_path: Path, rows: list[dict[str, Any]], message: str) -> None:
    lines(tmp_path / "a.jsonl", rows)
    with pytest.raises(InvalidInput, match=message):
        retrieval(tmp_path / "a.jsonl")


def nano(folder: Path) -> Path:
    tables = {
        "corpus": {"_id": list(DOCUMENTS), "text": [f"T {text}" for text in DOCUMENTS.values()]},
        "queries": {"_id": list(QUERIES), "text": list(QUERIES.values())},
        "qrels": {"query-id": [q for q, _, _ in QRELS], "corpus-id": [d for _, d, _ in QRELS]},
    }
    for part, columns in tables.items():
        (folder / part).mkdir(parents=True)
        table = pyarrow.table(columns)
        shards = [table.slice(0, 3), table.slice(3)] if part == "corpus" else [table]
        for n, shard in enumerate(shards):
            path = folder / part / f"train-{n:05}-of-{len(shards):05}.parquet"
            pyarrow.parquet.write_table(shard, path)
    return folder


def test_every_layout_of_a_corpus_holds_the_same_task(tmp_path: Path) -> None:
    folder = beir(tmp_path / "sci")
    with zipfile.ZipFile(tmp_path / "sci.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    sources = [folder, f"{folder}#test", tmp_path / "sci.zip", tmp_path / "sci.zip#sci", nano(tmp_path / "nano")]
    tasks = [retrieval(source) for source in sources]
    assert len({task.origin.digest for task in tasks}) == 1
    for task in tasks:
        assert task.queries == tuple(QUERIES.values())
        assert task.corpus == tuple(f"T {text}" for text in DOCUMENTS.values())
        assert task.relevant == tuple({n: 1.0} for n in range(5))
    assert [task.name for task in tasks] == ["sci", "sci", "sci", "sci", "nano"]
    assert tasks[0].origin.preparation == ("title and text joined by a space", "judgements of the split 'test'")


def test_a_split_is_named_or_is_test(tmp_path: Path) -> None:
    folder = beir(beir(tmp_path / "sci"), split="dev", qrels=[(f"q{n}", "d5", n) for n in range(5)])
    assert retrieval(folder).relevant[0] == {0: 1.0}
    dev = retrieval(f"{folder}#dev")
    assert (dev.name, dev.query_ids) == ("sci-dev", ("q1", "q2", "q3", "q4"))
    assert dev.relevant == tuple({5: float(n)} for n in range(1, 5))
    assert dev.origin.skipped == {"query without a relevant document": 1}
    with pytest.raises(InvalidInput, match="no judgements of a split 'train'; there are 'dev', 'test'"):
        retrieval(f"{folder}#train")


def test_a_folder_of_several_data_sets_asks_for_one(tmp_path: Path) -> None:
    beir(tmp_path / "all" / "one")
    beir(tmp_path / "all" / "two")
    with pytest.raises(InvalidInput, match=r"holds 2 data sets: one, two; name one: .*#one"):
        retrieval(tmp_path / "all")
    assert retrieval(f"{tmp_path / 'all'}#two").name == "two"


@pytest.mark.parametrize(
    ("qrel", "message"),
    [
        (("q9", "d1", 1), "line 7: a judgement names the query 'q9', which is not there"),
        (("q1", "d9", 1), "line 7: a judgement names the document 'd9', which is not there"),
        (("q1", "d1", "nan"), "line 7: the score is nan"),
        (("q1", "d1", "high"), "line 7: the score 'high' is no number"),
    ],
)
def test_a_wrong_judgement_is_named(tmp_path: Path, qrel: tuple[str, str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        retrieval(beir(tmp_path / "sci", qrels=[*QRELS, qrel]))


def test_ids_come_once(tmp_path: Path) -> None:
    folder = beir(tmp_path / "sci")
    lines(folder / "corpus.jsonl", [{"_id": "d1", "text": "a"}, {"_id": "d1", "text": "b"}])
    with pytest.raises(InvalidInput, match=r"corpus\.jsonl, line 2: the id 'd1' comes twice"):
        retrieval(folder)


def test_judgements_of_empty_documents_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = beir(tmp_path / "sci")
    lines(folder / "corpus.jsonl", [{"_id": key, "text": text * (key != "d0")} for key, text in DOCUMENTS.items()])
    task = retrieval(folder)
    assert task.query_ids == ("q1", "q2", "q3", "q4")
    assert task.origin.skipped == {
        "empty document": 1, "judgement of what is empty": 1, "query without a relevant document": 1,
    }  # fmt: skip


def test_a_corpus_without_columns_that_are_known_says_which_are_there(tmp_path: Path) -> None:
    folder = beir(tmp_path / "sci")
    lines(folder / "queries.jsonl", [{"_id": "q1", "words": "a"}])
    with pytest.raises(
        InvalidInput, match=r"queries\.jsonl: no column 'text' or 'query'; there are '_id', 'words'"
    ):
        retrieval(folder)


def test_ids_are_those_of_the_file_where_they_tell_queries_apart(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": n // 2, "query": f"q{n}", "positive": f"p{n}", "neg": ["p1", "n0"], "chunk_id": f"c{n}"}
        for n in range(4)
    ]
    lines(tmp_path / "a.jsonl", rows)
    task = retrieval(tmp_path / "a.jsonl")
    assert task.query_ids == ("1", "2", "3", "4")
    assert task.origin.preparation == ("queries counted: their ids repeat",)
    assert dict(zip(task.corpus, task.corpus_ids, strict=True)) == {
        "p0": "c0", "p1": "c1", "p2": "c2", "p3": "c3", "n0": "document 2",
    }  # fmt: skip

"""Pairs of texts with scores: the layouts that are published, and scores that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import PairTask

TEXTS = [("緑の果物", "緑の果実"), ("a cat", "a dog"), ("noon", "midnight"), ("one", "1")]
SCORES = [4.8, 2.0, 0.5, 5.0]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return str(path)


def rows(first: str, second: str, score: str, **more: Any) -> list[dict[str, Any]]:
    pairs = zip(TEXTS, SCORES, strict=True)
    return [{**more, first: a, second: b, score: value} for (a, b), value in pairs]


@pytest.mark.parametrize(
    ("layout", "columns"),
    [
        ("STS-B", ("sentence1", "sentence2", "score")),
        ("JSTS", ("sentence1", "sentence2", "label")),
        ("SICK", ("sentence_A", "sentence_B", "relatedness_score")),
        ("JSICK", ("sentence_A_Ja", "sentence_B_Ja", "relatedness_score_Ja")),
        ("of a spreadsheet", ("文1", "文２", "類似度")),
        ("of others", ("Text 1", "Text 2", "Similarity")),
    ],
)
def test_published_layouts_are_known(tmp_path: Path, layout: str, columns: tuple[str, str, str]) -> None:
    task = open_task(write(tmp_path / "a.jsonl", rows(*columns, split="test")))
    assert isinstance(task, PairTask)
    assert list(zip(task.first, task.second, strict=True)) == TEXTS
    assert task.scores.tolist() == SCORES
    assert tuple(task.origin.columns.values()) == columns


def test_jsts_has_ids_under_its_own_name_and_json_lines_under_json(tmp_path: Path) -> None:
    lines = rows("sentence1", "sentence2", "label")
    task = open_task(
        write(tmp_path / "valid-v1.1.json", [{"sentence_pair_id": str(n), **r} for n, r in enumerate(lines)])
    )
    assert isinstance(task, PairTask)
    assert (task.name, task.ids) == ("valid-v1.1", ("0", "1", "2", "3"))


def test_named_columns(tmp_path: Path) -> None:
    source = write(tmp_path / "a.jsonl", rows("left", "right", "number"))
    task = open_task(source, columns={"first": "left", "second": "right", "score": "number"})
    assert isinstance(task, PairTask)
    assert task.origin.guessed == ()
    with pytest.raises(
        InvalidInput, match="no column tells the first of a data set of pairs with scores; there are"
    ):
        open_task(source, columns={"score": "number"})


def test_pairs_without_score_or_text_are_left_out_and_counted(tmp_path: Path) -> None:
    more = [{"sentence1": "a", "sentence2": "b", "score": None}, {"sentence1": "", "sentence2": "b", "score": 1}]
    task = open_task(write(tmp_path / "a.jsonl", [*rows("sentence1", "sentence2", "score"), *more]))
    assert len(task) == 4
    assert task.origin.skipped == {"no score": 1, "empty text": 1}


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (float("nan"), "line 2: the score is nan; write a number"),
        (float("inf"), "line 2: the score is inf"),
        ("entailment", "line 2: the score 'entailment' is no number"),
        (True, "line 2: the score True is no number"),
        ([1], r"line 2: the score \[1\] is no number"),
    ],
)
def test_a_score_that_is_none_is_named(tmp_path: Path, score: Any, message: str) -> None:
    lines = rows("sentence1", "sentence2", "score")
    lines[1]["score"] = score
    with pytest.raises(InvalidInput, match=message):
        open_task(write(tmp_path / "a.jsonl", lines))


def test_equal_scores_are_refused(tmp_path: Path) -> None:
    lines = [{**row, "score": 3} for row in rows("sentence1", "sentence2", "score")]
    with pytest.raises(InvalidInput, match=r"every score in 'score' is 3\.0"):
        open_task(write(tmp_path / "a.jsonl", lines))

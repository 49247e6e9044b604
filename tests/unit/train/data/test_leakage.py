"""What training would know of the test stops it, with every row named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kit.training_data import made_up_chunks, made_up_text, read_rows, write_rows, write_synthesis
from umekomi.errors import InvalidInput
from umekomi.train.data import check_leakage, read_training_data
from umekomi.train.examples import Example, TrainingData

TEXT = made_up_text(1, 60)


def _data(train: list[Example], test: list[Example], dev: tuple[Example, ...] = ()) -> TrainingData:
    return TrainingData("ranking", tuple(train), dev, tuple(test), (), {}, {})


def _clean(count: int, start: int) -> list[Example]:
    return [
        Example(
            f"{start + row}",
            made_up_text(start + row, 6),
            made_up_text(start + 500 + row),
            document_id=f"d{start + row}",
        )
        for row in range(count)
    ]


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (
            Example("a", "q", "p", document_id="d"),
            Example("z", "r", "s", document_id="d"),
            "the same document: 'd'",
        ),
        (Example("a", "What is it?", "p"), Example("z", "what  IS it？", "s"), "the same query: 'What is it?'"),
        (Example("a", TEXT + " x", "p"), Example("z", TEXT, "s"), "nearly the same query"),
        (Example("a", "q", TEXT), Example("z", "r", TEXT.upper()), "the same text"),
        (Example("a", "q", TEXT), Example("z", "r", f"New: {TEXT}"), "nearly the same text"),
        (Example("a", "q", TEXT[:50], score=1.0), Example("z", TEXT[:50], "s", score=0.5), "the same text"),
    ],
)
@pytest.mark.parametrize("side", ["train", "dev"])
def test_each_kind_of_leak_is_named_with_both_rows(train: Example, test: Example, said: str, side: str) -> None:
    objective = "ranking" if train.score is None else "similarity"
    others = _clean(5, 100)
    splits = {"train": tuple(others), "dev": tuple(_clean(2, 200)), "test": (*_clean(5, 300), test)}
    splits[side] = (*splits[side], train)
    data = TrainingData(objective, corpus=(), digests={}, skipped={}, **splits)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="overlap with test in 1 row,") as caught:
        check_leakage(data)
    assert f"Shared: {side} a with test z, {said}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_message_is_bounded_and_the_file_holds_all(tmp_path: Path) -> None:
    shared = [Example(f"row {row}", made_up_text(row, 6), made_up_text(500 + row)) for row in range(300)]
    listing = tmp_path / "leakage.jsonl"
    with pytest.raises(InvalidInput) as caught:
        check_leakage(_data(shared, shared), listing=listing)
    message = str(caught.value)
    assert message.startswith("train and dev overlap with test in 300 rows")
    assert message.count(" with test row ") == 20
    assert "train row 0 with test row 0, the same query and the same text: '" in message
    assert message.endswith(f"; and 280 more in {listing}")
    assert len(message) < 3000
    lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == 600
    assert {line["kind"] for line in lines} == {"query", "text"}
    assert lines[0] == {
        "kind": "query",
        "split": "train",
        "id": "row 0",
        "other": "test",
        "other_id": "row 0",
        "shared": made_up_text(0, 6),
    }


def test_clean_splits_pass_and_write_nothing(tmp_path: Path) -> None:
    clean = _data(_clean(50, 0), _clean(50, 100), tuple(_clean(9, 200)))
    assert not check_leakage(clean, listing=tmp_path / "leakage.jsonl")
    assert not list(tmp_path.iterdir())


def test_what_dev_shares_with_train_is_said_and_listed_and_stops_nothing(tmp_path: Path) -> None:
    train, dev, listing = _clean(50, 0), _clean(9, 200), tmp_path / "leakage.jsonl"
    dev[3] = replace(train[5], id="copy")
    dev[4] = replace(dev[4], query=f"{train[6].query}！")
    said = check_leakage(_data(train, _clean(50, 100), tuple(dev)), listing=listing)
    assert said.startswith("train overlaps with dev in 2 rows, so dev's scores come out too high")
    assert said.endswith("leakage.jsonl lists them")
    lines = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    assert {(line["split"], line["id"], line["other"], line["other_id"]) for line in lines} == {
        ("train", "5", "dev", "copy"),
        ("train", "6", "dev", "204"),
    }
    assert {line["kind"] for line in lines if line["id"] == "5"} == {"document", "query", "text"}


@pytest.mark.parametrize("moved", ["row", "near"])
def test_a_row_of_test_that_somebody_put_into_train_stops_the_run(tmp_path: Path, moved: str) -> None:
    write_synthesis(tmp_path, made_up_chunks(12))
    train, test = read_rows(tmp_path / "train.jsonl"), read_rows(tmp_path / "test.jsonl")
    row = dict(test[0])
    if moved == "near":
        row = {"id": "mine", "query": f"{row['query']} please", "positive": f"{row['positive']} …"}
    write_rows(tmp_path / "train.jsonl", [*train, row])
    data = read_training_data(tmp_path, notify=lambda message: None)
    with pytest.raises(InvalidInput, match="train and dev overlap with test") as caught:
        check_leakage(data)
    assert "Shared: train " in str(caught.value)

"""Which chunks are asked about, and which documents go into which split."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.documents import Chunk, Place
from umekomi.errors import InvalidInput
from umekomi.synthesize.corpus import read_corpus
from umekomi.synthesize.pairs import STYLES
from umekomi.synthesize.selection import Eligibility, select
from umekomi.synthesize.splits import SplitDocument, apply_splits, assign_splits, cluster_documents


def chunk(number: int, *, document: str = "d", text: str = "", language: str = "ja") -> Chunk:
    return Chunk(
        id=f"{document}-{number}",
        document_id=document,
        source=f"{document}.txt",
        text=text or f"第{number}節の本文である。",
        kind="text",
        start=number * 100,
        end=number * 100 + 50,
        place=Place(number + 1, 0),
        stop=Place(number + 1, 50),
        tokens=10,
        language=language,
    )


@given(st.integers(1, 40), st.integers(1, 40), st.randoms())
def test_each_document_gets_its_quota_spread_from_end_to_end(chunks: int, quota: int, random: object) -> None:
    there = [chunk(number) for number in range(chunks)]
    chosen = select(there, eligibility=Eligibility(), per_document=quota, styles=STYLES).wanted
    assert len(chosen) == min(quota, chunks * len(STYLES))
    assert len({(each.chunk.id, each.style) for each in chosen}) == len(chosen)
    random.shuffle(there)  # type: ignore[attr-defined]
    assert select(there, eligibility=Eligibility(), per_document=quota, styles=STYLES).wanted == chosen
    if quota <= chunks:
        numbers = sorted(each.chunk.start // 100 for each in chosen)
        gaps = [b - a for a, b in zip([-1, *numbers], [*numbers, chunks], strict=True)]
        assert max(gaps) <= chunks / quota + 1


def test_styles_share_the_queries_of_a_document() -> None:
    chosen = select([chunk(n) for n in range(30)], eligibility=Eligibility(), per_document=30, styles=STYLES).wanted
    assert set(Counter(each.style for each in chosen).values()) == {10}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("GPU を使う", True),
        ("ＧＰＵを使う", True),
        ("gpus are fast", False),
        ("the GPU.", True),
        ("egpu", False),
        ("この学習率は", True),
        ("別の話", False),
        ("C++ is old", True),
    ],
)
def test_keywords_are_whole_words_in_any_case(text: str, found: bool) -> None:
    reason_against = Eligibility(keywords=("gpu", "学習率", "c++")).reason_against()
    assert (reason_against(chunk(0, text=text)) is None) is found


def test_what_is_passed_over_is_counted_by_reason() -> None:
    there = [
        chunk(0, text="短い"),
        chunk(1, text="長" * 3000),
        chunk(2, text="x" * 100, language="fr"),
        chunk(3, text="ちょうどよい長さの本文。" * 5),
    ]
    rules = Eligibility(min_chars=10, max_chars=2000, languages=("ja", "en"))
    selection = select(there, eligibility=rules, per_document=5, styles=("question",))
    assert [each.chunk.id for each in selection.wanted] == ["d-3"]
    assert selection.passed_over == {
        "shorter than 10 characters": 1,
        "longer than 2000 characters": 1,
        "in another language than ja, en": 1,
    }
    with pytest.raises(InvalidInput, match="no chunk is left to ask about: 1 shorter than 10"):
        select(there[:1], eligibility=rules, per_document=5, styles=("question",))


def _documents(count: int) -> list[SplitDocument]:
    return [
        SplitDocument(
            f"id{n}", f"{n}.txt", f"文書{n}の話。" + "".join(chr(0x4E00 + 7 * n + i) for i in range(60)), 3
        )
        for n in range(count)
    ]


@settings(deadline=None)
@given(st.integers(3, 40), st.randoms())
def test_splits_are_the_same_in_any_order_and_none_is_empty(count: int, random: object) -> None:
    documents = _documents(count)
    splits = assign_splits(documents)
    random.shuffle(documents)  # type: ignore[attr-defined]
    assert assign_splits(documents) == splits
    shares = Counter(splits.values())
    assert set(shares) == {"train", "dev", "test"}
    if count >= 10:
        assert abs(shares["train"] / count - 0.7) < 0.15
        assert abs(shares["test"] / count - 0.2) < 0.15


def test_documents_that_nothing_is_asked_about_take_no_split_from_others() -> None:
    documents = _documents(12)
    for first in range(10):
        asked = {document.id for document in documents[first : first + 3]}
        splits = assign_splits([d if d.id in asked else replace(d, weight=0) for d in documents])
        assert {splits[name] for name in asked} == {"train", "dev", "test"}
        assert set(splits) == {document.id for document in documents}


def test_near_duplicates_are_never_in_two_splits() -> None:
    documents = _documents(20)
    copies = [SplitDocument(f"copy-{d.id}", f"copy-{d.source}", d.text + " 改訂版。", 3) for d in documents]
    splits = assign_splits([*documents, *copies])
    assert all(splits[d.id] == splits[f"copy-{d.id}"] for d in documents)
    given_splits = {d.source: "train" for d in documents} | {c.source: "test" for c in copies}
    with pytest.raises(InvalidInput, match="near-duplicates"):
        apply_splits([*documents, *copies], given_splits)  # type: ignore[arg-type]


def test_a_document_between_two_binds_them_together() -> None:
    body = [chr(0x4E00 + i) for i in range(1000)]
    middle = "".join(body)
    texts = {"a": middle[:-105] + "甲" * 105, "b": "乙" * 105 + middle[105:], "c": middle}
    assert set(cluster_documents([SplitDocument(n, n, t, 1) for n, t in texts.items()]).values()) == {"a"}
    del texts["c"]
    assert len(set(cluster_documents([SplitDocument(n, n, t, 1) for n, t in texts.items()]).values())) == 2


ROW = {
    "id": "c1",
    "document_id": "d",
    "source": "a.txt",
    "text": "本文",
    "kind": "text",
    "start": 0,
    "end": 2,
    "page": None,
    "end_page": None,
    "raw_start": 0,
    "raw_end": 6,
    "tokens": 2,
    "language": "ja",
    "headings": [],
}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([ROW, ROW], "line 2: the id 'c1' stands in line 1 already"),
        ([{**ROW, "text": 5}], "line 1: .*its text is no text"),
        ([ROW, {**ROW, "id": "a\tb\t1\nc"}], "line 2: .*letters, digits"),
        ([{**ROW, "tokens": -1}], "its tokens is no whole number"),
        ([{**ROW, "start": 1e300}], "its start is no whole number"),
        ([{**ROW, "page": "7"}], "its page is no whole number"),
        ([{**ROW, "headings": None}], "line 1: no chunk"),
        ([[ROW]], "line 1: no chunk"),
        ([{}], "line 1: no chunk .*'id'"),
    ],
)
def test_a_corpus_of_strange_rows_is_refused_with_its_line(tmp_path: Path, rows: Any, message: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        read_corpus(path)
    path.write_text(json.dumps(ROW), encoding="utf-8")
    assert read_corpus(path).texts == {"c1": "本文"}


def test_given_splits_name_every_document() -> None:
    documents = _documents(2)
    assert apply_splits(documents, {"0.txt": "train", "1.txt": "test"}) == {"id0": "train", "id1": "test"}
    with pytest.raises(InvalidInput, match=r"'1\.txt' has no split"):
        apply_splits(documents, {"0.txt": "train"})
    with pytest.raises(InvalidInput, match=r"no document is called '2\.txt'"):
        apply_splits(documents, {"0.txt": "train", "1.txt": "test", "2.txt": "dev"})

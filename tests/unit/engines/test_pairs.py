"""Queries and documents to pairs: what is kept when both are too long together, and what stands around them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from kit.awkward_texts import texts
from kit.tiny_models import train_byte_tokenizer, train_tokenizer
from umekomi.engines.pairs import PairCutter, share_room
from umekomi.errors import InvalidInput, UnsupportedModel

LIMIT = 20
TOKENIZER = train_tokenizer()
CUTTER = PairCutter(TOKENIZER, max_tokens=LIMIT, types=True, name="tiny")


def truncating() -> Tokenizer:
    tokenizer = Tokenizer.from_str(TOKENIZER.to_str())
    tokenizer.enable_truncation(LIMIT, strategy="longest_first")
    return tokenizer


REFERENCE = truncating()


@settings(max_examples=150, deadline=None)
@given(query=texts, documents=st.lists(texts, max_size=4))
def test_pairs_are_what_the_tokenizers_library_makes(query: str, documents: list[str]) -> None:
    for pair, document in zip(CUTTER.prepare(query, documents), documents, strict=True):
        expected = REFERENCE.encode(query, document)
        assert (pair.ids.tolist(), pair.types.tolist()) == (expected.ids, expected.type_ids)
        assert pair.truncated == (len(TOKENIZER.encode(query, document)) > LIMIT)


@given(first=st.integers(0, 60), second=st.integers(0, 60), room=st.integers(0, 40))
def test_the_longer_text_gives_way(first: int, second: int, room: int) -> None:
    kept = share_room(first, second, room=room)
    assert sum(kept) == min(room, first + second)
    assert kept[0] <= first
    assert kept[1] <= second
    if sum(kept) < first + second and kept[0] < first and kept[1] < second:
        assert abs(kept[0] - kept[1]) <= 1


def test_types_may_be_left_out() -> None:
    (pair,) = PairCutter(TOKENIZER, max_tokens=LIMIT, types=False, name="tiny").prepare("a", ["b"])
    assert set(pair.types.tolist()) == {0}


@pytest.mark.parametrize("text", ["果物 " * 200_000, "x" * 300_000, " " * 300_000])
def test_of_a_huge_text_a_beginning_is_read(text: str) -> None:
    (pair,) = CUTTER.prepare("fruit", [text])
    assert pair.ids.tolist() == CUTTER.prepare("fruit", [text[:100_000]])[0].ids.tolist()
    assert pair.tokens <= LIMIT


def test_what_is_no_text_is_named_by_its_place() -> None:
    with pytest.raises(InvalidInput, match="text 1 has a lone surrogate") as error:
        CUTTER.prepare("a", ["b", "\ud800"])
    assert error.value.param == "documents"
    with pytest.raises(InvalidInput, match="text 0") as error:
        CUTTER.prepare("\ud800", ["b"])
    assert error.value.param == "query"


@pytest.mark.parametrize(
    ("tokenizer", "limit", "message"),
    [
        (train_byte_tokenizer(start=True), 20, "no token between a query and a document"),
        (TOKENIZER, 5, "5 tokens leaves no room"),
    ],
)
def test_a_tokenizer_that_makes_no_pairs_is_refused(tokenizer: Tokenizer, limit: int, message: str) -> None:
    with pytest.raises(UnsupportedModel, match=message):
        PairCutter(tokenizer, max_tokens=limit, types=True, name="tiny")
    (pair,) = PairCutter(TOKENIZER, max_tokens=6, types=True, name="tiny").prepare("a b c", ["d e f"])
    assert pair.tokens == 6

"""Pairs with an equal number of negatives: which are kept, and which random ones fill the gaps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kit.fitting import pairs
from umekomi.train.fitting.lessons.rows import MAX_NEGATIVES, even_negatives, fill_negatives

PAIRS = pairs(12, "train")


@given(counts=st.lists(st.integers(0, 11), min_size=12, max_size=12), seed=st.integers(0, 5))
def test_all_get_as_many_and_never_their_own_answer(counts: list[int], seed: int) -> None:
    given_rows = [
        replace(each, negatives=tuple(f"wrong {row} {number}" for number in range(count)))
        for row, (each, count) in enumerate(zip(PAIRS, counts, strict=True))
    ]
    even = even_negatives(given_rows, seed=seed)
    assert even.negatives == min(max(counts), MAX_NEGATIVES)
    for before, after in zip(given_rows, even.examples, strict=True):
        own = before.negatives[: even.negatives]
        filled = after.negatives[len(own) :]
        assert after.negatives[: len(own)] == own
        assert len(after.negatives) == even.negatives == len(set(after.negatives))
        assert before.positive not in filled
        assert set(filled) <= {each.positive for each in PAIRS}
    assert even == even_negatives(given_rows, seed=seed)
    assert any("more than" in note for note in even.notes) == (max(counts) > MAX_NEGATIVES)
    assert any("fewer than" in note for note in even.notes) == (min(counts) < even.negatives)


def test_texts_of_the_same_document_or_query_are_no_negatives() -> None:
    one_document = [replace(each, document_id="same") for each in PAIRS]
    assert not fill_negatives(one_document, count=2, seed=0)[0].negatives
    one_query = [replace(each, query="same") for each in PAIRS]
    assert not fill_negatives(one_query, count=2, seed=0)[0].negatives


def test_where_texts_are_too_few_all_get_fewer() -> None:
    two = [replace(PAIRS[0], negatives=("x", "y", "z")), PAIRS[1]]
    even = even_negatives(two, seed=0)
    assert even.negatives == 1
    assert [each.negatives for each in even.examples] == [("x",), (PAIRS[0].positive,)]


def test_without_negatives_there_are_none() -> None:
    assert even_negatives(PAIRS, seed=0).negatives == 0
    assert even_negatives([], seed=0).examples == ()

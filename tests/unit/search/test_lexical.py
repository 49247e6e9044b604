"""BM25: the formula as Lucene states it, terms of scripts with and without spaces, and order of equal scores."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.errors import InvalidInput
from umekomi.search.lexical import K1, B, LexicalIndex, terms

TEXTS = [
    "東京都の天気は晴れです。",
    "京都の天気は雨です。",
    "The weather in Kyoto is rainy.",
    "Running shoes, running socks and more running gear",
    "!?",
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("東京都", ["東京", "京都"]),
        ("犬", ["犬"]),
        ("Straße ＡＢＣ ｶﾞﾗｽ", ["strasse", "abc", "ガラ", "ラス"]),
        ("GPUで学習", ["gpu", "で学", "学習"]),
        ("コーヒー々", ["コー", "ーヒ", "ヒー", "ー々"]),
        ("…!? 　", []),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def _by_hand(query: str, texts: list[str]) -> list[float]:
    counts = [Counter(terms(text)) for text in texts]
    lengths = [sum(count.values()) for count in counts]
    mean = sum(lengths) / len(lengths) or 1
    scores = [0.0] * len(texts)
    for term in terms(query):
        df = sum(term in count for count in counts)
        idf = math.log(1 + (len(texts) - df + 0.5) / (df + 0.5))
        for row, count in enumerate(counts):
            scores[row] += idf * count[term] / (count[term] + K1 * (1 - B + B * lengths[row] / mean))
    return scores


@pytest.mark.parametrize("query", ["京都の天気", "running weather", "running running", "未知 天気"])
def test_scores_are_those_of_the_formula(query: str) -> None:
    np.testing.assert_allclose(LexicalIndex(TEXTS).scores(query), _by_hand(query, TEXTS), rtol=1e-5)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.text(max_size=20))
def test_any_text_can_be_indexed_and_asked_for(texts: list[str], query: str) -> None:
    np.testing.assert_allclose(LexicalIndex(texts).scores(query), _by_hand(query, texts), rtol=1e-4, atol=1e-6)


def test_only_texts_that_share_a_term_are_found_in_order() -> None:
    hits = LexicalIndex([*TEXTS, TEXTS[1]]).search("京都の天気", top=10)
    assert [hit.index for hit in hits] == [1, 5, 0]
    assert LexicalIndex(TEXTS).search("zebra", top=3) == []
    assert LexicalIndex(["?!"]).search("?!", top=3) == []


@given(st.lists(st.sampled_from([*TEXTS, "天気", "の"]), min_size=1, max_size=20), st.integers(1, 6))
def test_the_first_are_those_of_all_in_order(texts: list[str], top: int) -> None:
    index = LexicalIndex(texts)
    every = sorted(enumerate(index.scores("京都の天気").tolist()), key=lambda each: -each[1])
    expected = [(row, score) for row, score in every if score > 0][:top]
    assert [(hit.index, hit.score) for hit in index.search("京都の天気", top=top)] == expected


def test_an_empty_list_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one text"):
        LexicalIndex([])

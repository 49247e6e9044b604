"""Texts that repeat others are found, whatever their length or script, and others are not."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.evaluate.metrics.repeats import NEAR_JACCARD, find_known, find_repeats, is_near

WORDS = [
    "猫",
    "犬",
    "東京",
    "大阪",
    "夏休み",
    "電車",
    "映画",
    "監督",
    "選手",
    "試合",
    "料理",
    "野菜",
    "携帯",
    "電話",
    "新聞",
    "記事",
    "会社",
    "社長",
    "写真",
    "音楽",
    "歌手",
    "本屋",
]


def article(seed: int, words: int = 120) -> str:
    return "".join(np.random.default_rng(seed).choice(WORDS, words))


def grams(text: str) -> set[str]:
    return {text[at : at + 5] for at in range(len(text) - 4)}


def test_width_case_and_white_space_make_no_new_text() -> None:
    texts = ["Ｈｅｌｌｏ ｗｏｒｌｄ", "もう一つ", "hello  World\n", "hello word", "もう一つ"]
    found = find_repeats(texts)
    assert found.first.tolist() == [0, 1, 0, 3, 1]
    assert found.exact.tolist() == [False, False, True, False, True]
    assert found.share == 0.4


def test_near_repeats_are_found_and_only_they() -> None:
    originals = [article(seed) for seed in range(60)]
    edited = [text[:100] + "変更" + text[101:] for text in originals[:30]]
    halves = [originals[at][:110] + article(1000 + at)[:110] for at in range(30, 60)]
    found = find_repeats([*originals, *edited, *halves])
    assert found.first[60:90].tolist() == list(range(30))
    assert found.first[90:].tolist() == list(range(90, 120))
    assert not found.exact.any()


@given(seed=st.integers(0, 500), cut=st.integers(0, 60))
@settings(deadline=None, max_examples=40)
def test_what_is_called_near_shares_as_many_five_grams(seed: int, cut: int) -> None:
    text = article(seed)
    other = text[cut:] + article(seed + 1000, cut // 4)
    alike = len(grams(text) & grams(other)) / len(grams(text) | grams(other))
    repeated = find_repeats([text, "間の文", other]).first[2] == 0
    assert not repeated or alike >= NEAR_JACCARD
    assert repeated or alike < 0.95  # of pairs this near, 1 in 700,000 has no band in common


def test_of_pairs_that_share_nine_tenths_hardly_any_is_missed() -> None:
    """One in 5,000 has no band in common; the texts are always the same."""
    texts = [article(seed) for seed in range(100)]
    others = [text[14:] + article(seed + 1000, 3) for seed, text in enumerate(texts)]
    alike = [len(grams(a) & grams(b)) / len(grams(a) | grams(b)) for a, b in zip(texts, others, strict=True)]
    assert 0.9 < min(alike) < max(alike) < 0.94
    assert (find_repeats([*texts, *others]).first[100:] == np.arange(100)).sum() >= 98


@given(texts=st.lists(st.text(max_size=12), max_size=12))
@settings(deadline=None)
def test_any_text_is_taken(texts: list[str]) -> None:
    found = find_repeats(texts)
    assert len(found.first) == len(texts)
    for row, first in enumerate(found.first):
        assert first <= row
        assert found.first[first] == first


def test_the_first_of_a_chain_is_named() -> None:
    text = article(3, 200)
    found = find_repeats([text, article(4), text[:-3] + "終わり", text[:-3] + "おわり", text])
    assert found.first.tolist() == [0, 1, 0, 0, 0]
    assert found.exact.tolist() == [False, False, False, False, True]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), words=st.integers(20, 80), cut=st.integers(0, 20))
def test_what_nearly_repeats_a_known_text_is_found_and_nothing_else(seed: int, words: int, cut: int) -> None:
    known = [article(seed + row, words) for row in range(8)]
    changed = known[3][: len(known[3]) - cut]
    found = find_known([f" {known[5]}\n", changed, article(seed + 99, words)], known)
    assert found.first[0] == 5
    assert found.first[2] == -1
    assert found.exact.tolist() == [True, cut == 0, False]
    share = len(grams(changed)) / len(grams(known[3]))  # of what is cut at its end, this is the Jaccard index
    assert is_near(changed, known[3]) is (share >= NEAR_JACCARD)
    if share >= NEAR_JACCARD + 0.15:  # close to the limit some are missed
        assert found.first[1] == 3
    if share < NEAR_JACCARD:
        assert found.first[1] == -1


def test_nothing_is_known_of_nothing() -> None:
    assert find_known([], ["a"]).first.tolist() == []
    assert find_known(["a"], []).first.tolist() == [-1]
    assert find_known(["a", "あ"], ["あ", "A", "a"]).first.tolist() == [1, 0]

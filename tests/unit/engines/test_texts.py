"""Texts to token ids: what is kept when a text is too long, and what is counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kit.awkward_texts import texts
from kit.tiny_models import train_tokenizer
from umekomi.engines.texts import TextCutter
from umekomi.errors import InputTooLong, InvalidInput
from umekomi.types import Truncation

TOKENIZER = train_tokenizer()
OPENING, CLOSING = (TOKENIZER.token_to_id(token) for token in ("<s>", "</s>"))
sides = st.sampled_from(["end", "start"])


@settings(max_examples=100, deadline=None)
@given(text=texts, prompt=st.sampled_from(["", "apple: ", "果物"]), limit=st.integers(2, 20), side=sides)
def test_what_is_kept(text: str, prompt: str, limit: int, side: Truncation) -> None:
    whole = TextCutter(TOKENIZER, max_tokens=10_000).prepare([text], prompt=prompt, truncation="error")[0]
    cut = TextCutter(TOKENIZER, max_tokens=limit).prepare([text], prompt=prompt, truncation=side)[0]
    assert cut.total_tokens == whole.tokens
    assert cut.tokens == min(limit, whole.tokens)
    assert cut.truncated == (whole.tokens > limit)
    kept, all_ids = cut.ids.tolist(), whole.ids.tolist()
    assert kept[0] == OPENING
    assert kept[-1] == CLOSING
    if side == "end":
        assert kept[:-1] == all_ids[: len(kept) - 1]
    elif not prompt:
        assert kept[1:] == all_ids[len(all_ids) - len(kept) + 1 :]


def test_cutting_the_start_keeps_the_prompt() -> None:
    cutter = TextCutter(TOKENIZER, max_tokens=30)
    text = "banana apple fruit " * 20 + "yellow"
    [cut] = cutter.prepare([text], prompt="the fruit: ", truncation="start")
    shown = cutter.decode(cut.ids.tolist())
    assert shown.startswith("the fruit")
    assert shown.endswith("yellow")


def test_a_prompt_over_the_limit_leaves_a_text_of_the_limit() -> None:
    [cut] = TextCutter(TOKENIZER, max_tokens=6).prepare(["x"], prompt="the green apple " * 9, truncation="start")
    assert cut.tokens == 6


def test_too_long_is_refused_on_request() -> None:
    with pytest.raises(InputTooLong, match="maximum context length is 4 tokens, however you requested"):
        TextCutter(TOKENIZER, max_tokens=4).prepare(["", "the green apple is"], prompt="", truncation="error")


def test_a_lone_surrogate_is_named() -> None:
    with pytest.raises(InvalidInput, match="text 1 has a lone surrogate at position 2"):
        TextCutter(TOKENIZER, max_tokens=9).prepare(["fine", "ab\ud83d"], prompt="", truncation="end")


def test_decode_leaves_special_tokens_out() -> None:
    cutter = TextCutter(TOKENIZER, max_tokens=64)
    ids = cutter.prepare(["the green apple"], prompt="", truncation="end")[0].ids.tolist()
    assert cutter.decode(ids) == "the green apple"


@pytest.mark.parametrize("bad", [-1, TOKENIZER.get_vocab_size(), 2**32, 2**70])
def test_decode_refuses_unknown_ids(bad: int) -> None:
    with pytest.raises(InvalidInput, match=str(bad)):
        TextCutter(TOKENIZER, max_tokens=64).decode([1, bad])

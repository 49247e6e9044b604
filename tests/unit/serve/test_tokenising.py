"""Slices change nothing but the order of work, and limits are kept with as little work as they allow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.config import Limits
from umekomi.embedding.embedder import Embedder
from umekomi.engines.hashing import HashingEncoder, hashing_bundle
from umekomi.errors import InputTooLong, InvalidInput
from umekomi.serve import tokenising
from umekomi.serve.tokenising import Allowance, prepare_texts, prepare_token_ids
from umekomi.types import Prepared


class Watched(HashingEncoder):
    """The hashing encoder, remembering the slices it was given."""

    def __init__(self) -> None:
        super().__init__(hashing_bundle("hashing:8").card, lanes=1)
        self.slices: list[list[str]] = []

    def prepare(self, texts: Sequence[str], **options: object) -> list[Prepared]:
        self.slices.append(list(texts))
        return super().prepare(texts, **options)  # type: ignore[arg-type]

    def without_blanks(self, text: str) -> Prepared:
        self.slices.append([text])
        return super().prepare([text.replace(" ", "")])[0]


@pytest.fixture
def watched() -> Iterator[tuple[Embedder, Watched]]:
    encoder = Watched()
    with Embedder(encoder) as embedder:
        yield embedder, encoder


def prepare(embedder: Embedder, texts: Sequence[str], limits: Limits) -> list[Prepared]:
    return asyncio.run(prepare_texts(texts, embedder, role="raw", truncation="end", limits=limits))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30), max_size=20))
def test_slices_lose_nothing(texts: list[str]) -> None:
    encoder = Watched()
    with Embedder(encoder) as embedder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenising, "SLICE_TEXTS", 3)
        patch.setattr(tokenising, "SLICE_CHARS", 40)
        patch.setattr(tokenising, "INLINE_CHARS", -1)
        prepared = prepare(embedder, texts, Limits())
        whole = HashingEncoder.prepare(encoder, texts)
    assert [text for part in encoder.slices for text in part] == texts
    assert all(0 < len(part) <= 3 and sum(map(len, part[:-1])) < 40 for part in encoder.slices)
    for ours, theirs in zip(prepared, whole, strict=True):
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        assert ours.total_tokens == theirs.total_tokens


def test_work_stops_at_the_slice_that_passes_the_limit(watched: tuple[Embedder, Watched]) -> None:
    embedder, encoder = watched
    with pytest.raises(InvalidInput, match="max 1000 tokens per request"):
        prepare(embedder, ["x" * 99] * 2048, Limits(max_request_tokens=1000, max_input_tokens=100))
    assert len(encoder.slices) == 1


@pytest.mark.parametrize("hiding", [0, 1_000_000])
def test_no_more_than_a_window_of_a_hopeless_text_is_tokenised_at_once(
    watched: tuple[Embedder, Watched], hiding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever stands at the text's beginning: blanks, of which a model may make no token at all."""
    embedder, encoder = watched
    monkeypatch.setattr(encoder, "prepare", lambda texts, **_: [encoder.without_blanks(text) for text in texts])
    with pytest.raises(InputTooLong):
        prepare(embedder, [" " * hiding + "x" * 1_000_000], Limits(max_input_tokens=10, max_request_tokens=10))
    windows = [text for part in encoder.slices for text in part]
    assert max(map(len, windows)) == tokenising.SLICE_CHARS
    assert len(windows) <= hiding // tokenising.SLICE_CHARS + 2  # with one that is empty


def test_a_long_text_at_its_limit_passes_however_it_is_cut(watched: tuple[Embedder, Watched]) -> None:
    embedder, _ = watched
    text = "x" * (3 * tokenising.SLICE_CHARS + 7)
    size = len(text) + 1
    (prepared,) = prepare(embedder, [text], Limits(max_input_tokens=size, max_request_tokens=size))
    assert prepared.total_tokens == size
    with pytest.raises(InputTooLong, match=f"requested {size} tokens"):
        prepare(embedder, [text], Limits(max_input_tokens=size - 1, max_request_tokens=size))


def test_ids_count_as_they_were_sent(watched: tuple[Embedder, Watched]) -> None:
    embedder, encoder = watched
    limits = Limits(max_input_tokens=3, max_request_tokens=5)

    def prepare_ids(inputs: list[list[int]]) -> list[Prepared]:
        return asyncio.run(
            prepare_token_ids(
                inputs, embedder, vocabulary="cl100k_base", role="raw", truncation="end", limits=limits
            )
        )

    assert sum(text.total_tokens for text in prepare_ids([[15339, 1917, 0], [15339]])) > 5  # hello world! hello
    with pytest.raises(InputTooLong, match="3 tokens, however you requested 4 tokens"):
        prepare_ids([[0, 0, 0, 0]])
    with pytest.raises(InvalidInput, match="max 5 tokens"):
        prepare_ids([[0, 0, 0], [0, 0, 0]])
    assert len(encoder.slices) == 1


@given(st.lists(st.integers(1, 60), max_size=30), st.integers(1, 50), st.integers(50, 300))
def test_an_allowance_is_the_sum_of_its_parts(sizes: list[int], longest: int, total: int) -> None:
    """Taken at once or one by one, the same requests pass."""
    limits = Limits(max_input_tokens=longest, max_request_tokens=total)

    def passes(parts: list[list[int]]) -> bool:
        allowance = Allowance(limits)
        try:
            for part in parts:
                allowance.take(part)
        except InvalidInput:
            return False
        return True

    assert passes([sizes]) == passes([[size] for size in sizes])
    assert passes([sizes]) == (all(size <= longest for size in sizes) and sum(sizes) <= total)

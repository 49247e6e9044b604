"""The embedder's door: order, roles, truncation, dimensions and bad input, on the hashing engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import umekomi
from umekomi.errors import InputTooLong, InvalidInput, UnknownModel

valid_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60)


@pytest.fixture(scope="module")
def hashing() -> Iterator[umekomi.Embedder]:
    with umekomi.open_embedder("hashing:64") as embedder:
        yield embedder


@given(texts=st.lists(valid_text, max_size=40))
def test_row_i_belongs_to_text_i_whatever_its_neighbours(hashing: umekomi.Embedder, texts: list[str]) -> None:
    together = hashing.embed(texts, role="document")
    assert together.vectors.shape == (len(texts), 64)
    assert together.vectors.dtype == np.float32
    for row, text in enumerate(texts):
        alone = hashing.embed([text], role="document")
        assert np.array_equal(alone.vectors[0], together.vectors[row])
        assert alone.tokens[0] == together.tokens[row]


def test_windows_of_a_long_input_keep_their_order(hashing: umekomi.Embedder) -> None:
    texts = [f"{i} {'x' * (i * 7 % 31)}" for i in range(100)]
    whole = hashing.embed(texts, role="raw").vectors
    parts = list(hashing.iter_embed(iter(texts), role="raw", window_texts=7))
    assert [len(part) for part in parts] == [7] * 14 + [2]
    assert np.array_equal(np.concatenate([part.vectors for part in parts]), whole)


def test_roles_put_their_prompt_before_the_text(hashing: umekomi.Embedder) -> None:
    query = hashing.embed(["green"], role="query").vectors
    assert np.array_equal(query, hashing.embed(["query: green"], role="raw").vectors)
    assert not np.array_equal(query, hashing.embed(["green"], role="document").vectors)


def test_prompts_can_be_replaced_and_the_fingerprint_follows(hashing: umekomi.Embedder) -> None:
    with umekomi.open_embedder("hashing:64", prompts={"query": "質問: "}) as other:
        assert other.card.fingerprint != hashing.card.fingerprint
        asked = other.embed(["green"], role="query").vectors
    assert np.array_equal(asked, hashing.embed(["質問: green"], role="raw").vectors)


def test_truncation_is_reported_or_refused_and_start_keeps_the_prompt(hashing: umekomi.Embedder) -> None:
    limit = hashing.card.max_tokens
    long = "a" * 300 + "b" * 300
    result = hashing.embed(["short", long], role="raw")
    assert result.truncated.tolist() == [False, True]
    assert result.tokens.tolist() == [6, limit]
    assert np.array_equal(result.vectors[1], hashing.embed([long[: limit - 1]], role="raw").vectors[0])
    with pytest.raises(InputTooLong, match=f"{limit} tokens.*601 tokens"):
        hashing.embed(["short", long], role="raw", truncation="error")
    kept = "query: " + long[-(limit - 1 - len("query: ")) :]
    start = hashing.embed([long], role="query", truncation="start").vectors
    assert np.array_equal(start, hashing.embed([kept], role="raw").vectors)


@pytest.mark.parametrize("dimensions", [1, 8, 64])
def test_dimensions_are_the_first_components_at_unit_length(hashing: umekomi.Embedder, dimensions: int) -> None:
    full = hashing.embed(["緑の果物", "x"], role="raw").vectors
    cut = hashing.embed(["緑の果物", "x"], role="raw", dimensions=dimensions).vectors
    lengths = np.linalg.norm(full[:, :dimensions], axis=1, keepdims=True)
    expected = full[:, :dimensions] / np.where(lengths == 0, 1, lengths)
    assert cut.shape == (2, dimensions)
    np.testing.assert_allclose(cut, expected, atol=1e-6)


BAD_CALLS: list[tuple[Any, dict[str, Any], str]] = [
    ("one string", {"role": "raw"}, "single string"),
    (["fine", 3], {"role": "raw"}, "text 1 is of type int"),
    (["fine", "half \ud83d"], {"role": "raw"}, r"text 1 contains a lone surrogate \(U\+D83D\) at position 5"),
    (["a\0b"], {"role": "raw"}, r"text 0 contains NUL \(U\+0000\) at position 1"),
    (["a"], {"role": "passage"}, "role is 'passage'; use one of query, document, raw"),
    (["a"], {"role": "raw", "truncation": "middle"}, "truncation is 'middle'"),
    (["a"], {"role": "raw", "dimensions": 0}, "dimensions is 0"),
    (["a"], {"role": "raw", "dimensions": 65}, "from 1 to 64"),
]


@pytest.mark.parametrize(("texts", "options", "message"), BAD_CALLS)
def test_bad_input_names_the_value_and_the_limit(
    hashing: umekomi.Embedder, texts: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        hashing.embed(texts, **options)


def test_nothing_in_nothing_out(hashing: umekomi.Embedder) -> None:
    empty = hashing.embed([], role="raw", dimensions=5)
    assert empty.vectors.shape == (0, 5)
    assert empty.tokens.shape == empty.truncated.shape == (0,)


@pytest.mark.parametrize("name", ["hashing:", "hashing:1", "hashing:abc", "hashing:5000"])
def test_a_hashing_name_states_its_limits(name: str) -> None:
    with pytest.raises(UnknownModel, match="from 2 to 4096"):
        umekomi.open_embedder(name)

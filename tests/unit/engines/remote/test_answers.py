"""Checks of whole answers: any rows survive in any order, and any bytes are either an answer or refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from umekomi.engines.remote.answers import (
    parse_generation,
    parse_scores,
    parse_text,
    parse_tokens,
    parse_vectors,
)
from umekomi.engines.remote.failures import WrongAnswer

matrices = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
)


@given(matrices, st.randoms(use_true_random=False))
def test_vectors_come_back_bit_for_bit_in_any_order_and_encoding(vectors: Any, random: Any) -> None:
    rows: list[dict[str, Any]] = []
    for index, row in enumerate(vectors):
        packed = base64.b64encode(row.astype("<f4").tobytes()).decode()
        rows.append({"index": index, "embedding": random.choice([packed, row.tolist()])})
    random.shuffle(rows)
    found = parse_vectors(json.dumps({"data": rows}).encode(), count=len(rows))
    np.testing.assert_array_equal(found.vectors, vectors)
    assert found.vectors.dtype == np.float32
    assert found.tokens is None


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(
    ["data", "results", "choices", "tokens", "prompt", "usage", "index", "embedding", "message"]
)
answers = st.dictionaries(
    fields, json_values | st.lists(st.dictionaries(fields, json_values, max_size=3), max_size=3)
)


@given(st.binary(max_size=30) | answers.map(lambda answer: json.dumps(answer).encode()))
def test_any_other_bytes_are_refused_in_one_way(content: bytes) -> None:
    for parse in (
        lambda: parse_vectors(content, count=2),
        lambda: parse_generation(content, kind="chat"),
        lambda: parse_generation(content, kind="complete"),
        lambda: parse_scores(content, count=2, top_n=1),
        lambda: parse_tokens(content),
        lambda: parse_text(content),
    ):
        try:
            parse()  # type: ignore[no-untyped-call]
        except WrongAnswer as error:
            assert error.what.startswith("sent ")


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 3, "total_tokens": 9}, 3),
        ({"total_tokens": 9}, 9),
        ({"prompt_tokens": -1}, None),
        ({"prompt_tokens": 1.5}, None),
        ({"prompt_tokens": True}, None),
        ({"prompt_tokens": 10**30}, None),
        ([], None),
        (None, None),
    ],
)
def test_tokens_are_whole_numbers_or_unknown(usage: object, tokens: int | None) -> None:
    content = json.dumps({"data": [{"index": 0, "embedding": [1]}], "usage": usage}).encode()
    assert parse_vectors(content, count=1).tokens == tokens


@pytest.mark.parametrize("score", ["1", None, True, [], {}])
def test_a_score_is_a_number(score: object) -> None:
    with pytest.raises(WrongAnswer, match="no number"):
        parse_scores(json.dumps({"results": [{"index": 0, "score": score}]}).encode(), count=1, top_n=1)

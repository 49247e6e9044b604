"""Laws of the wire: what is encoded is what was computed, and every limit counts what it says."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from umekomi.errors import InvalidInput
from umekomi.serve.wire.body import parse_json_object
from umekomi.serve.wire.embeddings import encode_answer, parse_request
from umekomi.types import Vectors

vectors = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, max_side=6),
    elements=st.floats(-1, 1, width=32),
)


@given(vectors=vectors, model=st.text(max_size=10).filter(lambda name: name.isprintable()))
def test_both_encodings_give_back_every_bit(vectors: Vectors, model: str) -> None:
    answers = {
        encoding: json.loads(encode_answer(vectors, model=model, tokens=7, encoding=encoding))  # type: ignore[arg-type]
        for encoding in ("float", "base64")
    }
    numbers = np.array([row["embedding"] for row in answers["float"]["data"]], np.float32)
    decoded = [np.frombuffer(base64.b64decode(row["embedding"]), "<f4") for row in answers["base64"]["data"]]
    np.testing.assert_array_equal(numbers, vectors)
    np.testing.assert_array_equal(np.array(decoded), vectors)
    for answer in answers.values():
        assert [row["index"] for row in answer["data"]] == list(range(len(vectors)))
        assert answer["model"] == model
        assert answer["usage"] == {"prompt_tokens": 7, "total_tokens": 7}


def test_rows_of_a_strided_array_stay_rows() -> None:
    wide = np.arange(24, dtype=np.float32).reshape(4, 6)
    for view in (wide[:, ::2], wide[::-1], wide.T, wide[1:3, 2:5]):
        answer = json.loads(encode_answer(view, model="m", tokens=1, encoding="float"))
        np.testing.assert_array_equal([row["embedding"] for row in answer["data"]], view)


keys = st.text(st.characters(categories=["L"]), min_size=1, max_size=4)
values = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=4)


@given(st.dictionaries(keys, values | st.lists(values), max_size=4), st.booleans())
def test_valid_json_is_read_and_broken_json_has_a_position(content: dict[str, object], ascii_only: bool) -> None:
    body = json.dumps(content, ensure_ascii=ascii_only).encode()
    assert parse_json_object(body) == content
    with pytest.raises(InvalidInput, match=r"at line \d+ column \d+"):
        parse_json_object(body[:-1])


@given(st.integers(1, 5), st.integers(1, 8), st.sampled_from(["text", [3]]))
def test_the_number_of_inputs_is_limited(limit: int, count: int, item: object) -> None:
    body = {"model": "m", "input": [item] * count}
    if count <= limit:
        assert parse_request(body, max_inputs=limit).count == count
    else:
        with pytest.raises(InvalidInput, match=f"{count} items; the limit is {limit}"):
            parse_request(body, max_inputs=limit)


@pytest.mark.parametrize(("value", "count"), [("", 1), ("text", 1), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a"], 1)])
def test_the_four_forms_of_input(value: object, count: int) -> None:
    asked = parse_request({"model": "m", "input": value}, max_inputs=3)
    assert asked.count == count
    assert (asked.texts is None) == bool(asked.token_ids)

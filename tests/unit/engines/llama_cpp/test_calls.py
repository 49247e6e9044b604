"""Reading calls out of text: however the text is cut into pieces, the same call or the same content comes out."""

from __future__ import annotations

import json
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from umekomi.engines.llama_cpp.calls import CallReader

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def read(text: str, cuts: list[int], *, forced: bool = False) -> tuple[str, str | None, str]:
    """Content, the name that was called, and its arguments."""
    reader = CallReader({"f", '名"前'}, forced=forced)
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]
    deltas = [delta for piece in pieces for delta in reader.feed(piece)] + list(reader.finish())
    calls = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
    content = "".join(delta.get("content", "") for delta in deltas)
    name = calls[0]["name"] if calls else None
    return content, name, "".join(call["arguments"] for call in calls)


@given(
    st.sampled_from(["f", '名"前']),
    st.dictionaries(st.text(max_size=6), json_values, max_size=3),
    st.lists(st.integers(0, 200), max_size=12),
    st.sampled_from([None, 2]),
)
def test_a_call_is_read_however_it_is_cut(
    name: str, arguments: dict[str, object], cuts: list[int], indent: int | None
) -> None:
    text = json.dumps({"name": name, "arguments": arguments}, indent=indent)
    content, called, found = read(text, cuts)
    assert (content, called) == ("", name)
    assert json.loads(found) == arguments


@given(st.text(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_other_text_comes_through_unchanged(text: str, cuts: list[int]) -> None:
    assert read(text, cuts) == (text, None, "")
    assert read(text, cuts, forced=True) == (text, None, "")


@given(st.lists(st.integers(0, 80), max_size=6))
def test_a_call_of_no_such_function_is_text(cuts: list[int]) -> None:
    text = '{"name": "g", "arguments": {"x": 1}}'
    assert read(text, cuts) == (text, None, "")


def test_long_text_that_begins_like_json_is_not_held_back_to_the_end() -> None:
    reader = CallReader({"f"}, forced=False)
    assert list(reader.feed("{" * 100)) == []
    assert [delta["content"] for delta in reader.feed("{" * 400)] == ["{" * 500]

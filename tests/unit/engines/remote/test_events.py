"""Server-sent events: the same however the bytes were cut, and never more memory than one event may take."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umekomi.engines.remote.events import MAX_EVENT_BYTES, EventReader, parse_chunk
from umekomi.engines.remote.failures import WrongAnswer

texts = st.text(st.characters(exclude_characters="\r\n", exclude_categories=("Cs",)), max_size=12)
ends = st.sampled_from(["\n", "\r\n", "\r"])


@given(
    events=st.lists(st.lists(texts, min_size=1, max_size=3), max_size=4),
    noise=st.lists(texts, max_size=3),
    end=ends,
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    marked=st.booleans(),
)
def test_cuts_comments_and_line_ends_change_nothing(
    events: list[list[str]], noise: list[str], end: str, sizes: list[int], marked: bool
) -> None:
    lines = [f": {comment}" for comment in noise]
    for data in events:
        lines += ["event: message", *(f"data: {part}" for part in data), "id: 7", "", f":{noise}"]
    stream = ("\ufeff" if marked else "").encode() + "".join(line + end for line in lines).encode()
    reader, found, position = EventReader(), [], 0
    while position < len(stream):
        size = sizes[position % len(sizes)]
        found += reader.feed(stream[position : position + size])[0]
        position += size
    found += reader.feed(b"\n")[0]  # a CR at the very end may be half of a CR LF
    assert found == ["\n".join(data).encode() for data in events]


def test_a_piece_says_whether_it_ended_a_line() -> None:
    reader = EventReader()
    assert reader.feed(b"data: {") == ([], False)
    assert reader.feed(b"}\n") == ([], True)
    assert reader.feed(b"\n") == ([b"{}"], True)
    assert reader.feed(b": still here\n") == ([], True)
    assert reader.feed(b"data:x\n\ndata: y") == ([b"x"], True)


@pytest.mark.parametrize("piece", [b"x", b"data: x\n", b": x"])
def test_an_event_has_a_largest_size(piece: bytes) -> None:
    reader = EventReader()
    with pytest.raises(WrongAnswer, match="an event of more than"):
        for _ in range(MAX_EVENT_BYTES // 100_000 + 1):
            reader.feed(piece.replace(b"x", b"x" * 100_000))


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (b"", "not JSON"),
        (b"<html>", "not JSON"),
        (b"\xff", "not JSON"),
        (b'{"choices": [NaN]}', "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", "without choices"),
        (b'{"choices": {}}', "without choices"),
        (b'{"choices": [null]}', "without choices"),
        (b'{"error": "x", "choices": []}', "failed in mid-answer"),
    ],
)
def test_what_is_no_chunk(event: bytes, words: str) -> None:
    with pytest.raises(WrongAnswer, match=words):
        parse_chunk(event)


@given(st.binary(max_size=40))
def test_nothing_else_is_ever_raised(event: bytes) -> None:
    with contextlib.suppress(WrongAnswer):
        assert isinstance(parse_chunk(event)["choices"], list)


def test_a_chunk_is_what_was_sent() -> None:
    chunk = {"id": "a", "choices": [{"delta": {"content": "緑"}}], "anything": [1]}
    assert parse_chunk(json.dumps(chunk).encode()) == chunk

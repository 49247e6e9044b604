"""Chunks: their size, their places, their ids, and that together they are the document."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.documents import Chunk, ChunkSize, Document, build_chunks, load_counter
from umekomi.documents.chunking.counting import CodePoints, TokenCounter, cut_after
from umekomi.documents.cleaning.passages import Part, Passage, RawText, iter_blocks
from umekomi.errors import InvalidInput

SIZE = ChunkSize(20, 30)
COUNTER = CodePoints(room=500)

sentences = st.text("あいう漢字", min_size=1, max_size=45).map(lambda text: text + "。")
words = st.lists(st.text("abc", min_size=1, max_size=9), min_size=1, max_size=12).map(
    lambda them: " ".join(them) + ". "
)
paragraphs = st.lists(sentences | words, min_size=1, max_size=6).map("".join)
headings = st.tuples(st.text("見出し", min_size=1, max_size=12), st.integers(1, 3))
tables = st.lists(st.lists(st.text("値x", min_size=1, max_size=12), min_size=2, max_size=3), min_size=1, max_size=8)


def document(*content: object, page: int | None = None) -> Document:
    """Of strings (paragraphs), pairs (headings) and lists (tables)."""
    raw = RawText(page)
    passages: list[Passage] = []
    for each in content:
        if isinstance(each, str):
            passages.append(raw.text(each))
        elif isinstance(each, tuple):
            passages.append(raw.heading(*each))
        elif isinstance(each, list):
            passages.append(raw.rows(each, header_rows=1))
    return Document("id", "a.txt", "text", "ja", tuple(iter_blocks(passages)))


def bare(chunk: Chunk, text: str) -> str:
    """The chunk's text without a repeated header."""
    stands = text[chunk.start : chunk.end]
    assert chunk.text.endswith(stands)
    return stands


@settings(deadline=None)
@given(st.lists(paragraphs | headings | tables, max_size=12))
def test_chunks_are_the_document_in_order_without_overlap_and_within_the_size(content: list[object]) -> None:
    whole = document(*content)
    text = whole.text
    chunks = list(build_chunks(whole, COUNTER, size=SIZE))
    assert "".join("".join(bare(chunk, text).split()) for chunk in chunks) == "".join(text.split())
    for first, second in pairwise(chunks):
        assert first.end <= second.start
    for chunk in chunks:
        assert 1 <= chunk.tokens == len(chunk.text) <= SIZE.max_tokens
        if bare(chunk, text) != chunk.text:
            assert chunk.kind in ("table", "mixed")
    assert len({chunk.id for chunk in chunks}) == len(chunks)


@settings(deadline=None)
@given(st.lists(paragraphs, min_size=1, max_size=8))
def test_text_fills_every_chunk_but_the_last(content: list[str]) -> None:
    chunks = list(build_chunks(document(*content), COUNTER, size=SIZE))
    # A token or two are blanks at the edges of a chunk, which are taken off.
    assert all(chunk.tokens >= SIZE.min_tokens - 2 for chunk in chunks[:-1])


@settings(deadline=None)
@given(st.lists(paragraphs | headings, min_size=1, max_size=6))
def test_ids_depend_on_content_alone(content: list[object]) -> None:
    whole = document(*content)
    moved = Document(whole.id, "elsewhere/b.txt", whole.format, whole.language, whole.blocks)
    ids = [chunk.id for chunk in build_chunks(whole, COUNTER, size=SIZE)]
    assert ids == [chunk.id for chunk in build_chunks(moved, COUNTER, size=SIZE)]
    other = Document("other", whole.path, whole.format, whole.language, whole.blocks)
    assert not set(ids) & {chunk.id for chunk in build_chunks(other, COUNTER, size=SIZE)}


def test_a_sentence_is_whole_where_it_can_be() -> None:
    chunks = list(build_chunks(document("あ" * 9 + "。" + "い" * 12 + "。" + "う" * 15 + "。"), COUNTER, size=SIZE))
    assert [chunk.text for chunk in chunks] == ["あ" * 9 + "。" + "い" * 12 + "。", "う" * 15 + "。"]


def test_a_table_is_cut_between_rows_under_its_header() -> None:
    rows = [["品名", "価格"], *([f"りんご{n}", "百二十円"] for n in range(5))]
    chunks = list(build_chunks(document(rows), COUNTER, size=SIZE))
    assert [chunk.text for chunk in chunks] == [
        "品名 | 価格\nりんご0 | 百二十円",
        "品名 | 価格\nりんご1 | 百二十円",
        "品名 | 価格\nりんご2 | 百二十円",
        "品名 | 価格\nりんご3 | 百二十円",
        "品名 | 価格\nりんご4 | 百二十円",
    ]
    assert {chunk.kind for chunk in chunks} == {"table"}


def test_headings_open_chunks_and_are_told_to_those_below() -> None:
    whole = document(
        ("第一章", 1), "あ" * 24 + "。", ("第一節", 2), "い" * 26 + "。", "う" * 28 + "。", ("第二章", 1), "え。"
    )
    chunks = list(build_chunks(whole, COUNTER, size=ChunkSize(20, 32)))
    assert [(chunk.headings, chunk.text[:3]) for chunk in chunks] == [
        ((), "第一章"),
        (("第一章",), "第一節"),
        (("第一章", "第一節"), "ううう"),
        ((), "第二章"),
    ]


def test_headings_alone_fill_chunks_too() -> None:
    chunks = list(build_chunks(document(*[("見出しです", 1)] * 10), COUNTER, size=SIZE))
    assert [chunk.text.count("見") for chunk in chunks] == [4, 4, 2]


def test_places_lead_back_to_the_page() -> None:
    parts = (Part("あ" * 20 + "。", 100, 3), Part("い" * 20 + "。", 7, 4))
    whole = Document("id", "a.pdf", "pdf", "ja", tuple(iter_blocks([Passage("text", parts)])))
    first, second = build_chunks(whole, COUNTER, size=SIZE)
    assert (first.place.page, first.place.offset, first.stop.offset) == (3, 100, 121)
    assert (second.place.page, second.place.offset, second.stop.offset) == (4, 7, 28)


def test_a_model_with_less_room_gets_smaller_chunks() -> None:
    chunks = list(build_chunks(document("あ" * 1000), CodePoints(room=100)))
    assert max(chunk.tokens for chunk in chunks) == 100
    assert ChunkSize(256, 384).within(192) == ChunkSize(128, 192)
    with pytest.raises(InvalidInput, match="no room"):
        ChunkSize().within(0)
    with pytest.raises(InvalidInput, match="chunks of 5 to 4 tokens"):
        ChunkSize(5, 4)


@settings(deadline=None)
@given(text=st.text("あ。、 a", min_size=1, max_size=60), tokens=st.integers(1, 70))
def test_a_cut_takes_something_and_no_more_than_it_may(text: str, tokens: int) -> None:
    taken = cut_after(text, range(len(text)), tokens)
    assert 1 <= taken <= max(1, tokens)


class Pairs:
    """Tokens of two characters: a stand-in whose tokens do not add up, like a real tokenizer's."""

    name = "pairs"
    room = 500

    def count(self, texts: Sequence[str]) -> list[int]:
        return [(len(text) + 1) // 2 for text in texts]

    def starts(self, text: str) -> Sequence[int]:
        return range(0, len(text), 2)


@settings(deadline=None)
@given(st.lists(paragraphs | tables, max_size=8))
def test_counts_that_do_not_add_up_are_counted_again(content: list[object]) -> None:
    counter: TokenCounter = Pairs()
    for chunk in build_chunks(document(*content), counter, size=SIZE):
        assert chunk.tokens == counter.count([chunk.text])[0] <= SIZE.max_tokens


@pytest.mark.starter
def test_tokens_are_the_models_own_and_leave_room_for_its_special_ones() -> None:
    from umekomi.models.sources import open_model
    from umekomi.models.tokenizer import load_tokenizer

    bundle = open_model("all-MiniLM-L6-v2", notify=lambda _line: None)
    tokenizer = load_tokenizer(bundle.folder)
    counter = load_counter("all-MiniLM-L6-v2", notify=lambda _line: None)
    text = (
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。" * 100 + "An English sentence. " * 200
    )
    chunks = list(build_chunks(document(text), counter))
    for chunk in chunks:
        assert chunk.tokens == len(tokenizer.encode(chunk.text, add_special_tokens=False).ids)
        assert len(tokenizer.encode(chunk.text).ids) <= bundle.card.max_tokens
    size = ChunkSize().within(counter.room)
    assert all(size.min_tokens <= chunk.tokens <= size.max_tokens for chunk in chunks[:-1])

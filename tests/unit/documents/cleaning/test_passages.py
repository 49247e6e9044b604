"""From raw text to blocks: every character of a block can be found again in the file."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.documents.cleaning.lines import Words, glue_between, join_lines
from umekomi.documents.cleaning.normalise import iter_normalised, normalise
from umekomi.documents.cleaning.passages import MAX_PASSAGE_CHARACTERS, Part, Passage, iter_blocks

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("ｶﾞﾊﾟ㈱①Ａ１ ﬁ\u3099か\u00ad\u3000\x02\n\t ")
)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("㈱ＡＢＣ　１２３", "(株)ABC 123"),
        ("ｶﾞｿﾘﾝ ﾊﾟﾘ", "ガソリン パリ"),
        ("⼀⼆ ﬁne ㎡ ㍻", "一二 fine m2 平成"),
        ("か\u3099 e\u0301", "が é"),
        ("10² ½ ① ！？（）〜…", "10² ½ ① ！？（）〜…"),
        ("so\u00adft\u200b \ufeff\x00\x1b", "soft "),
        ("\ud800", "\ufffd"),
    ],
)
def test_compatibility_characters_are_normalised_where_meaning_stays(raw: str, clean: str) -> None:
    assert normalise(raw) == clean


@settings(deadline=None)
@given(texts)
def test_runs_cover_the_text_and_normalising_again_changes_nothing(text: str) -> None:
    runs = list(iter_normalised(text))
    assert [start for start, _, _ in runs] == [0, *(stop for _, stop, _ in runs)][: len(runs)]
    assert not text or runs[-1][1] == len(text)
    clean = normalise(text)
    if unicodedata.is_normalized("NFC", clean):  # a mark may meet a new base
        assert normalise(clean) == clean


@settings(deadline=None)
@given(st.lists(st.tuples(texts, st.sampled_from(["", " ", "\n"])), min_size=1, max_size=5))
def test_every_character_of_a_block_is_found_in_the_file(pieces: list[tuple[str, str]]) -> None:
    raw = "".join(text for text, _ in pieces)
    parts, offset = [], 0
    for text, glue in pieces:
        parts.append(Part(text, offset, glue=glue))
        offset += len(text)
    for block in iter_blocks([Passage("text", tuple(parts))]):
        assert block.text == block.text.strip(" \n")
        last = 0
        for position, char in enumerate(block.text):
            place = block.place_of(position).offset
            assert last <= place <= len(raw)
            last = place
            if char not in " \n" and place < len(raw):
                origin = raw[place : place + 1]
                assert char == origin or char in normalise(raw[place : place + 30]) or char in normalise(origin)
        assert block.place_after(len(block.text)).offset <= len(raw)


@settings(deadline=None)
@given(st.lists(st.text("あ。 a", max_size=3 * MAX_PASSAGE_CHARACTERS), max_size=2))
def test_long_passages_are_cut_without_loss(raws: list[str]) -> None:
    blocks = list(iter_blocks(Passage("text", (Part(raw, 0),)) for raw in raws))
    assert all(len(block.text) <= MAX_PASSAGE_CHARACTERS for block in blocks)
    assert "".join(block.text for block in blocks).replace(" ", "") == "".join(raws).replace(" ", "")
    for first, second in pairwise(blocks):
        assert second.start == first.start + len(first.text) + 2


def test_a_cut_table_keeps_its_header() -> None:
    rows = [Part("名前 | 値", 0), *(Part("あ" * 1000 + f" | {n}", n * 2000, glue="\n") for n in range(1, 120))]
    blocks = list(iter_blocks([Passage("table", tuple(rows), header_parts=1)]))
    assert len(blocks) > 1
    assert {block.header for block in blocks} == {"名前 | 値"}
    assert [block.header_characters for block in blocks] == [6, *[0] * (len(blocks) - 1)]


@pytest.mark.parametrize(
    ("before", "after", "glue"),
    [
        ("名前はまだ", "無い", ""),
        ("名前は、", "まだ", ""),
        ("the", "cat", " "),
        ("日本語の文にPython", "を使うと", ""),
        ("An English line that ends in 東京", "tower and goes on", " "),
        ("数は１２３", "４５６", ""),
    ],
)
def test_what_goes_between_two_lines(before: str, after: str, glue: str) -> None:
    assert glue_between(before, after) == glue


@pytest.mark.parametrize(
    ("lines", "known", "joined"),
    [
        (["transfor-", "mation"], "", "transformation"),
        (["long-", "term plan"], "a long-term plan", "long-term plan"),
        (["co-", "operation"], "cooperation", "cooperation"),
        (["COVID-", "19"], "", "COVID-19"),
        (["Franco-", "Prussian"], "", "Franco-Prussian"),
        (["state-of-", "the-art"], "", "state-of-the-art"),
        (["1990-", "2000"], "", "1990-2000"),
        (["word -", "word"], "", "word - word"),
    ],
)
def test_hyphens_at_the_end_of_lines(lines: list[str], known: str, joined: str) -> None:
    parts = join_lines([Part(line, n * 100) for n, line in enumerate(lines)], Words.of([known]))
    assert "".join(part.glue + part.text for part in parts) == joined

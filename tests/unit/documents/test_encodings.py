"""The ladder of encodings: a text comes back exactly or is refused, and never as another text."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from umekomi.documents import encodings
from umekomi.documents.encodings import decode_text, detect_encoding, open_text
from umekomi.errors import InvalidInput

ASCII = frozenset("\r\n\t ,.aZ09%\\~|")
KANA = frozenset(map(chr, [*range(0x3041, 0x3094), *range(0x30A1, 0x30F7)]))
KANJI = frozenset(map(chr, range(0x4E00, 0x9FA0)))
HALF_WIDTH = frozenset(map(chr, range(0xFF66, 0xFFA0)))
MARKS = frozenset("、。「」ー・！？（）々〇①㈱髙﨑")
MIXED = ASCII | KANA | KANJI | HALF_WIDTH | MARKS
LEGACY = ["cp932", "euc_jp", "iso2022_jp"]

PROSE = "吾輩は猫である。名前はまだ無い。\nどこで生れたかとんと見当がつかぬ。"
"""Natsume Sōseki, 1905: in the public domain."""


@cache
def texts_in(codec: str, alphabet: frozenset[str], *, max_size: int = 30) -> st.SearchStrategy[str]:
    """Texts of those characters that the codec has, and gives back as it took them."""
    return st.text(sorted(char for char in alphabet if comes_back(char, codec)), max_size=max_size)


def comes_back(char: str, codec: str) -> bool:
    return char.encode(codec, "ignore").decode(codec) == char


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def never_wrong(data: bytes, text: str) -> None:
    with suppress(InvalidInput):
        assert decode_text(data).text == text


@pytest.mark.parametrize(
    ("codec", "alphabet"),
    [
        *((codec, alphabet) for codec in LEGACY for alphabet in (MIXED, KANA | ASCII, KANJI | ASCII, KANJI)),
        ("cp932", HALF_WIDTH | ASCII),
        ("cp932", HALF_WIDTH),
        ("euc_jp", HALF_WIDTH),
    ],
)
@settings(deadline=None)
@given(data=st.data())
def test_a_legacy_text_comes_back_or_is_refused(codec: str, alphabet: frozenset[str], data: st.DataObject) -> None:
    text = data.draw(texts_in(codec, alphabet))
    content = text.encode(codec)
    # Two half-width kana can be a letter of UTF-8, and UTF-8 is the better guess by far.
    assume(codec == "iso2022_jp" or content.isascii() or not is_utf8(content))
    never_wrong(content, text)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@settings(deadline=None)
@given(lines=st.lists(texts_in("utf-8", MIXED, max_size=12), min_size=1, max_size=6))
def test_utf16_without_mark_comes_back_or_is_refused(codec: str, lines: list[str]) -> None:
    text = "\n".join([*lines, ""])  # a line end, by which it can be told
    never_wrong(text.encode(codec), text)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\x1b\ufeff")))
def test_unicode_with_mark_and_utf8_always_come_back(codec: str, text: str) -> None:
    assert decode_text(text.encode(codec)).text == text


@pytest.mark.parametrize("codec", [*LEGACY, "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        PROSE.replace("\n", "\r\n"),
        "A" * 3_000_000 + "\n" + PROSE,
        "id,name\r\n" + "1,abc\r\n" * 1000 + "2,日本語\r\n",
        "東京都千代田区\n大阪府大阪市\n",
        "これはテストです\n",
    ],
    ids=["prose", "crlf", "long ascii head", "csv", "kanji only", "kana"],
)
def test_real_texts_are_recognised(codec: str, text: str) -> None:
    found = decode_text(text.encode(codec))
    assert found.text == text
    assert found.encoding.codec == {"utf-8-sig": "utf-8", "utf-16": "utf-16-le"}.get(codec, codec)


@pytest.mark.parametrize(
    ("codec", "text"),
    [
        ("latin-1", "événement à Noël, où l'été dure"),
        ("gbk", "这是中文文本，我们在这里。"),
        ("gb2312", "中华人民共和国今天天气很好我们去公园玩吧"),
        ("euc_kr", "안녕하세요 이것은 한국어 텍스트입니다"),
        ("big5", "這是繁體中文的文章"),
        ("cp1251", "Привет, мир"),
    ],
)
def test_other_languages_are_refused_and_read_when_their_encoding_is_named(codec: str, text: str) -> None:
    data = text.encode(codec)
    with pytest.raises(InvalidInput, match="name its encoding"):
        decode_text(data)
    assert decode_text(data, encoding=codec).text == text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01", "holds NUL bytes"),
        (PROSE.encode("cp932")[:-1], "not UTF-8 at byte 0"),
        (b"abc \x1b$B\xff", "not UTF-8"),
        (b"abc \x1b$B%", "holds escapes of ISO-2022-JP, but is not valid"),
        ("あ\n".encode("utf-16")[:-1], "byte order mark, but is not UTF-16-LE at byte 4"),
        (b"\xef\xbb\xbf\xff", "byte order mark, but is not UTF-8 at byte 3"),
        ("ﾃｽﾄﾃﾞｰﾀ".encode("cp932") + "ﾃ".encode("cp932"), "may be"),
    ],
)
def test_what_is_no_text_is_refused_with_the_reason(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode_text(data, name="a.txt")


def test_colours_of_a_terminal_are_not_iso_2022_jp() -> None:
    text = "\x1b[31mred\x1b[0m\n"
    assert decode_text(text.encode()).text == text


@pytest.mark.parametrize("codec", [*LEGACY, "utf-8", "utf-16"])
@settings(deadline=None)
@given(data=st.data(), cut=st.integers(1, 7))
def test_blocks_change_nothing(codec: str, data: st.DataObject, cut: int) -> None:
    content = data.draw(texts_in(codec, MIXED)).encode(codec)

    def found(*blocks: bytes) -> object:
        try:
            return detect_encoding(lambda: blocks)
        except InvalidInput as error:
            return str(error)

    # The first block holds the mark, as a file's first block always does.
    assert found(content[:4], *(content[i : i + cut] for i in range(4, len(content), cut))) == found(content)


def test_a_file_is_read_as_text_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "BLOCK_BYTES", 5)
    path = tmp_path / "a.txt"
    path.write_bytes(PROSE.encode("cp932"))
    with open_text(path) as (file, encoding):
        assert file.read() == PROSE
        assert encoding.name == "cp932"
    with open_text(io.BytesIO(PROSE.encode("utf-8-sig"))) as (file, encoding):
        assert file.read() == PROSE
        assert encoding.name == "utf-8 with a byte order mark"


@pytest.mark.parametrize("name", ["hex", "nonsense", "\0", "../utf_8"])
def test_a_codec_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is none of texts"):
        decode_text(b"abc", encoding=name)


def test_a_given_encoding_is_strict() -> None:
    with pytest.raises(InvalidInput, match=r"a\.txt: not ascii at byte 1"):
        decode_text(b"a\xff", encoding="ascii", name="a.txt")

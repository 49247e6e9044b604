"""Rows of lines, JSON Lines and CSV: the right text, its line, and an error that says where."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.documents.rows import Row, iter_rows
from umekomi.errors import InvalidInput

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)


def _rows(path: Path, content: str | bytes, column: str | None = None) -> list[Row]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(iter_rows(path, column=column))


def test_lines_skip_empty_ones_and_keep_their_numbers(tmp_path: Path) -> None:
    rows = _rows(tmp_path / "a.txt", b"\xef\xbb\xbf\xe7\xb7\x91\r\n\n  \nlast")
    assert rows == [Row("緑", 1), Row("last", 4)]


@settings(deadline=None)
@given(texts=st.lists(cells, min_size=1, max_size=20))
def test_csv_gives_back_what_a_csv_writer_wrote(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(["name", "text"])
    writer.writerows([str(i), text] for i, text in enumerate(texts))
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    rows = _rows(path, buffer.getvalue())
    assert [row.text for row in rows] == texts
    assert [row.title for row in rows] == [str(i) for i in range(len(texts))]


@settings(deadline=None)
@given(texts=st.lists(cells, min_size=1, max_size=20))
def test_jsonl_takes_objects_and_strings(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    lines = [json.dumps({"text": t} if i % 2 else t, ensure_ascii=bool(i % 3)) for i, t in enumerate(texts)]
    path = tmp_path_factory.mktemp("jsonl") / "rows.jsonl"
    assert [row.text for row in _rows(path, "\n".join(lines))] == texts


def test_a_cell_longer_than_the_csv_module_allows_is_read(tmp_path: Path) -> None:
    assert len(_rows(tmp_path / "a.csv", "text\n" + "x" * 200_000)[0].text) == 200_000


@pytest.mark.parametrize(
    ("name", "content", "column", "message"),
    [
        (
            "a.txt",
            b"\x89PNG\x00\x00\x00",
            None,
            r"a\.txt: holds NUL bytes, and no text in UTF-16; name its encoding",
        ),
        (
            "a.csv",
            "title,body\nx,y\n",
            None,
            "no column 'text'; there are 'title', 'body'; choose one with --column",
        ),
        ("a.csv", "title,body\nx,y\n", "bdy", "no column 'bdy'"),
        ("a.csv", 'text\n"open', None, r"line \d: not valid CSV"),
        ("a.jsonl", '{"text": "x"}\n{text: "y"}\n', None, "line 2, column 2: not JSON"),
        ("a.jsonl", '{"text": 3}\n', None, "line 1: 'text' holds int, not a text"),
        ("a.jsonl", "[" * 100_000, None, "line 1: not usable JSON"),
        ("a.jsonl", '{"text": ' + "9" * 5000 + "}", None, "line 1: not usable JSON"),
        ("a.jsonl", "[1]\n", None, "line 1: expected an object or a string"),
        ("a.csv", "name,text\nonly\n", None, "line 2: 'text' holds nothing"),
    ],
)
def test_what_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: str | bytes, column: str | None, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        _rows(tmp_path / name, content, column)


def test_columns_that_are_usual_are_looked_for_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for header, found in (("query,text", "a"), ("n,text", "b"), ("n,query", "b")):
        path.write_text(f"{header}\na,b\n", encoding="utf-8")
        assert [row.text for row in iter_rows(path, usual=("query", "text"))] == [found]
    path.write_text("q,n\na,b\n", encoding="utf-8")
    with pytest.raises(InvalidInput, match="no column 'query'; there are 'q', 'n'; name one of them 'query'"):
        list(iter_rows(path, usual=("query", "text")))


def test_a_missing_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.txt: cannot be read: No such file"):
        list(iter_rows(tmp_path / "none.txt"))


def test_half_a_character_in_a_title_is_replaced(tmp_path: Path) -> None:
    (row,) = _rows(tmp_path / "a.jsonl", '{"text": "a", "id": "\\ud800"}')
    assert row.title == "?"


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "iso2022_jp", "utf-16-le", "utf-16"])
def test_other_encodings_are_read_and_said(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("名前,text\r\n果物,緑の果物です\r\n".encode(encoding))
    said: list[str] = []
    (row,) = iter_rows(path, notify=said.append)
    assert row.text == "緑の果物です"
    assert len(said) == 1
    assert f"read as {encoding.replace('16', '16-le') if encoding == 'utf-16' else encoding}" in said[0]


def test_a_given_encoding_is_taken_and_kept_to(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("été\n".encode("latin-1"))
    assert [row.text for row in iter_rows(path, encoding="latin-1")] == ["été"]
    with pytest.raises(InvalidInput, match=r"a\.txt: not ascii \(byte 0xE9\)"):
        list(iter_rows(path, encoding="ascii"))
    with pytest.raises(InvalidInput, match="encoding 'hex' is none of texts"):
        list(iter_rows(path, encoding="hex"))

"""Texts with labels: the same task from every format, columns found or named, and bad files refused by name."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from umekomi.errors import InvalidInput
from umekomi.evaluate.datasets import open_task
from umekomi.evaluate.tasks import LabelTask

Rows = Sequence[dict[str, str]]

ROWS = [
    {"body": "緑の果物は林檎だ", "kind": "food"},
    {"body": "赤い果物", "kind": "food"},
    {"body": "The moon is full tonight.", "kind": "sky"},
    {"body": "A comet, seen at dawn", "kind": "sky"},
]


def labels(source: Path | str, **options: Any) -> LabelTask:
    task = open_task(str(source), **options)
    assert isinstance(task, LabelTask)
    return task


def to_csv(rows: Rows, *, delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def to_jsonl(rows: Rows) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def to_parquet(rows: Rows) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), out)
    return out.getvalue()


def to_xlsx(rows: Rows) -> bytes:
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in [list(rows[0]), *(list(row.values()) for row in rows)]:
        book.active.append(line)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def to_zip(members: dict[str, bytes], *, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "a.csv": to_csv,
    "a.tsv": lambda rows: to_csv(rows, delimiter="\t"),
    "b.csv": lambda rows: to_csv(rows, delimiter=";", encoding="utf-8-sig"),
    "a.jsonl": to_jsonl,
    "a.json": lambda rows: json.dumps(list(rows)).encode(),
    "a.parquet": to_parquet,
    "a.xlsx": to_xlsx,
    "a.csv.gz": lambda rows: gzip.compress(to_csv(rows)),
    "a.csv.zip": lambda rows: to_zip({"a.csv": to_csv(rows), "__MACOSX/a.csv": b"\0", "README.txt": b"x"}),
    "a.zip": lambda rows: to_zip({"in/a.parquet": to_parquet(rows)}),
}

# What XLSX cannot hold is left out: control characters, and texts that are formulas or XML's own escapes.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"], exclude_characters="=_\ufffe\uffff"),
    min_size=1,
    max_size=40,
)


@settings(max_examples=15, deadline=None)
@given(found=st.lists(texts.filter(str.strip), min_size=4, max_size=12))
def test_every_format_holds_the_same_task(tmp_path_factory: pytest.TempPathFactory, found: list[str]) -> None:
    rows = [{"text": text, "label": "ab"[n % 2]} for n, text in enumerate(found)]
    folder = tmp_path_factory.mktemp("formats")
    for name, write in FORMATS.items():
        (folder / name).write_bytes(write(rows))
        task = labels(folder / name)
        assert (list(task.texts), list(task.labels)) == (found, [row["label"] for row in rows]), name
        assert task.name == name[0]
    assert len({labels(folder / name).origin.digest for name in FORMATS}) == 1


@pytest.mark.parametrize("encoding", ["cp932", "utf-8-sig", "utf-16", "euc_jp", "iso2022_jp"])
def test_the_encodings_of_japanese_files_are_read_and_said(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(to_csv(ROWS * 3, encoding=encoding))
    task = labels(tmp_path / "a.csv")
    assert task.texts == tuple(row["body"] for row in ROWS * 3)
    codec = {"utf-16": "utf-16-le with a byte order mark"}.get(encoding, encoding)
    assert task.origin.preparation == (() if encoding == "utf-8-sig" else (f"read as {codec}",))
    assert task.origin.language == ""


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (["text", "label"], ("text", "label")),
        (["label", "text"], ("text", "label")),
        (["index", "category", "content512"], ("content512", "category")),
        (["記事ID", "本文", "カテゴリ"], ("本文", "カテゴリ")),
        (["Body ", "Class"], ("Body", "Class")),
        (["x", "y"], ("x", "y")),
    ],
)
def test_columns_are_found_by_name_and_by_content(
    tmp_path: Path, header: list[str], expected: tuple[str, str]
) -> None:
    def cell(column: str, number: int) -> str:
        plain = column.strip()
        if plain == expected[0]:
            return ROWS[number]["body"]
        return ROWS[number]["kind"] if plain == expected[1] else str(number)

    (tmp_path / "a.csv").write_bytes(to_csv([{c: cell(c, n) for c in header} for n in range(4)]))
    origin = labels(tmp_path / "a.csv").origin
    assert (origin.columns["text"], origin.columns["label"]) == expected
    assert set(origin.guessed) == {"text", "label"}


def test_named_columns_win_and_are_no_guess(tmp_path: Path) -> None:
    rows = [{**row, "text": f"n{n}", "label": f"l{n % 2}", "by": f"g{n // 2}"} for n, row in enumerate(ROWS)]
    (tmp_path / "a.jsonl").write_bytes(to_jsonl(rows))
    task = labels(tmp_path / "a.jsonl", text="body", label="kind", group="by", name="mine")
    assert (task.texts[0], task.labels[0], task.groups, task.name) == (
        "緑の果物は林檎だ", "food", ("g0", "g0", "g1", "g1"), "mine",
    )  # fmt: skip
    assert task.origin.guessed == ()
    assert labels(tmp_path / "a.jsonl").texts == ("n0", "n1", "n2", "n3")


def test_what_has_no_text_or_label_is_left_out_and_counted(tmp_path: Path) -> None:
    extra = [{"body": " \u3000", "kind": "sky"}, {"body": "no kind", "kind": ""}]
    (tmp_path / "a.csv").write_bytes(to_csv([*extra, *ROWS]))
    task = labels(tmp_path / "a.csv")
    assert task.origin.skipped == {"empty text": 1, "no label": 1}
    assert task.ids == ("4", "5", "6", "7")


def test_labels_of_all_kinds_become_texts(tmp_path: Path) -> None:
    kinds = [True, False, 3, 3.0, float("nan"), None, " 3 ", "b", True]
    lines = "\n".join(json.dumps({"text": f"t{n}", "label": kind}) for n, kind in enumerate(kinds))
    (tmp_path / "a.jsonl").write_text(lines)
    task = labels(tmp_path / "a.jsonl")
    assert task.labels == ("true", "false", "3", "3", "3", "b", "true")
    assert task.origin.skipped == {"no label": 2}


def test_an_id_column_that_repeats_is_used_only_where_it_is_right(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(to_csv([{"id": str(n // 2), **row} for n, row in enumerate(ROWS)]))
    task = labels(tmp_path / "a.csv")
    assert task.ids == ("1", "2", "3", "4")
    assert task.origin.preparation == ("ids counted: 'id' repeats '0'",)
    with pytest.raises(InvalidInput, match="the ids in 'id' repeats '0'; make them unique"):
        labels(tmp_path / "a.csv", columns={"id": "id"})


def test_the_digest_is_that_of_texts_and_answers(tmp_path: Path) -> None:
    digests = set()
    for change in ({}, {"kind": "sky"}, {"body": "緑の果物は林檎 だ"}):
        (tmp_path / "a.csv").write_bytes(to_csv([{**ROWS[0], **change}, *ROWS[1:]]))
        digests.add(labels(tmp_path / "a.csv").origin.digest)
    (tmp_path / "b.csv").write_bytes(to_csv([{"ID": str(n), **row} for n, row in enumerate(ROWS)]))
    assert len(digests) == 3
    assert labels(tmp_path / "b.csv").origin.digest in digests


ONE_LABEL = [{**row, "kind": "x"} for row in ROWS]
OWN_LABELS = [{**row, "kind": f"k{n}"} for n, row in enumerate(ROWS)]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("a.csv", to_csv(ROWS), {"label": "sort"}, r"a\.csv: no column 'sort' for label; there are 'body', 'kind'"),
        ("a.csv", to_csv([{"body": r["body"]} for r in ROWS]), {}, "no column tells the label .* there are 'body'"),
        ("a.csv", to_csv(ONE_LABEL), {"label": "kind"}, "every label in 'kind' is 'x'; a score needs at least two"),
        ("a.csv", to_csv(OWN_LABELS), {"label": "kind"}, "no two texts share a label in 'kind'"),
        ("a.csv", to_csv(ROWS[1:3]), {"label": "kind"}, "2 usable texts; a score needs at least 4"),
        ("a.csv", b"", {}, "no rows in it"),
        ("a.csv", b"text,label\n", {}, "no rows in it"),
        ("a.csv", b"text,text\na,b\n", {}, "two columns are named 'text'"),
        ("a.csv", b"text,label\na\n", {}, r"line 2: 1 cells under 2 columns \('text', 'label'\)"),
        ("a.csv", b"text,label\na,b,c\n", {}, "line 2: 3 cells under 2 columns"),
        ("a.csv", b'text,label\n"a,b\n', {}, "not valid CSV"),
        ("a.csv", b"text,label\n\x81\xff\xfe\x00", {}, "name its encoding"),
        ("a.csv", to_csv(ROWS), {"encoding": "klingon"}, "encoding 'klingon' is"),
        ("a.csv", to_csv(ROWS), {"columns": {"text": "body", "first": "kind"}}, "columns of different kinds"),
        ("a.csv", to_csv(ROWS), {"columns": {"txt": "body"}}, "no use 'txt' of a column; there are text, label"),
        ("a.jsonl", b'{"text": 3, "label": "a"}', {}, "line 1: 3 is a int, not a text"),
        ("a.jsonl", b'{"text": "a", "label": 0.5}', {}, r"line 1: the label 0\.5 is a number with a fraction"),
        ("a.jsonl", b'{"text": "a", "label": ["b"]}', {}, r"line 1: the label \['b'\] is a list"),
        ("a.jsonl", b'{"text": "\\ud800", "label": "b"}', {}, "line 1: the text holds half a character"),
        ("a.jsonl", b'{"text": "a\\u0000", "label": "b"}', {}, "line 1: the text holds a NUL"),
        ("a.jsonl", b"\n{oops", {}, "line 2: not JSON"),
        ("a.jsonl", b"[" * 100_000, {}, "line 1: not usable JSON"),
        ("a.jsonl", b'"text"', {}, "line 1: expected an object"),
        ("a.parquet", b"PAR1", {}, "cannot be read as Parquet"),
        ("a.xlsx", b"PK", {}, "cannot be unpacked"),
        ("a.xlsx", to_zip({"a": b""}), {}, "cannot be read as XLSX"),
        ("a.zip", b"PK", {}, "cannot be read as a ZIP archive"),
        ("a.csv.gz", b"\x1f\x8b", {}, "cannot be unpacked"),
        ("a.doc", b"x", {}, "no .csv, .tsv.* there is a.doc"),
        ("none.csv", None, {}, r"none\.csv: does not exist"),
    ],
)
def test_what_makes_no_task_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes | None, options: dict[str, Any], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        labels(tmp_path / name, **options)


def test_two_columns_that_may_be_labels_are_a_question(tmp_path: Path) -> None:
    rows = [{"words": row["body"], "x": row["kind"], "y": str(n % 2)} for n, row in enumerate(ROWS)]
    (tmp_path / "a.csv").write_bytes(to_csv(rows))
    with pytest.raises(InvalidInput, match="'x', 'y' may each be the labels; name one with --label"):
        labels(tmp_path / "a.csv")
    assert labels(tmp_path / "a.csv", label="y").labels == ("0", "1", "0", "1")


def test_a_cell_of_a_million_characters_is_a_text(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(to_csv([{**ROWS[0], "body": "緑" * 1_000_000}, *ROWS[1:]]))
    assert len(labels(tmp_path / "a.csv").texts[0]) == 1_000_000
    (tmp_path / "b.csv").write_bytes(to_csv([{**ROWS[0], "body": "x" * 10_000_001}, *ROWS[1:]]))
    with pytest.raises(InvalidInput, match="line 2: a text of 10000001 characters; the limit is 10000000"):
        labels(tmp_path / "b.csv")


def test_a_line_separator_inside_of_a_text_ends_no_line(tmp_path: Path) -> None:
    rows = [{**row, "body": f"{row['body']}\u2028\x85x"} for row in ROWS]
    (tmp_path / "a.jsonl").write_bytes(to_jsonl(rows))
    assert labels(tmp_path / "a.jsonl").texts == tuple(row["body"] for row in rows)


def test_numbers_in_a_spreadsheet_are_what_they_look_like(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in (["label", "text"], [1, "a"], [1, 2024], [], [2, 1.5], [2.0, 3.0]):
        book.active.append(line)
    book.create_sheet("more").append(["x"])
    book.save(tmp_path / "a.xlsx")
    task = labels(tmp_path / "a.xlsx")
    assert (task.texts, task.labels, task.ids) == (
        ("a", "2024", "1.5", "3"),
        ("1", "1", "2", "2"),
        ("2", "3", "5", "6"),
    )
    assert task.origin.preparation == ("sheet 'Sheet' of 2",)

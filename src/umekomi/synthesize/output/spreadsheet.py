"""Pairs in a spreadsheet, and what people changed there: rows are known by their id, never by their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import BadZipFile

from umekomi.documents import Chunk
from umekomi.errors import InvalidInput
from umekomi.extras import require
from umekomi.synthesize.pairs import Pair, build_id
from umekomi.writing import replacing

COLUMNS = ("id", "doc", "question", "answer", "source", "page", "chunk_id")
"""The notebook's four columns, and where the text stands."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""What a spreadsheet may take for a formula: such a cell is written with an apostrophe before it. The wide ones
count where Excel speaks Japanese (OWASP, "CSV Injection")."""

MAX_CELL = 32_767
"""Characters that a cell holds; Excel's limit. The chunk is for reading only, and may be cut in the sheet."""

_CUT = "…"


@dataclass(frozen=True, slots=True)
class Changes:
    """What people did in a spreadsheet. ``edited`` and ``added`` pairs are marked human.

    other_texts  rows whose doc is not the one that was exported, which counts for nothing
    """

    kept: int
    other_texts: int
    edited: tuple[Pair, ...]
    added: tuple[Pair, ...]
    deleted: tuple[str, ...]


def write_spreadsheet(path: Path, pairs: Iterable[Pair]) -> None:
    """Write ``pairs`` to ``path``, an .xlsx file. Raises `MissingExtra` without openpyxl, and `StoreError`."""
    openpyxl = require("openpyxl", extra="documents")
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("pairs")
    sheet.freeze_panes = "A2"
    for column, width in zip("ABCDEFG", (26, 70, 50, 50, 30, 8, 26), strict=True):
        sheet.column_dimensions[column].width = width
    sheet.append(COLUMNS)
    for pair in pairs:
        row = (pair.id, pair.positive, pair.query, pair.answer or "", pair.source, pair.page, pair.chunk_id)
        sheet.append([_cell(value) for value in row])
    buffer = BytesIO()
    book.save(buffer)
    with replacing(path) as file:
        file.write(buffer.getvalue())


def read_changes(path: Path, pairs: Sequence[Pair], chunks: Mapping[str, Chunk]) -> Changes:
    """What the sheet at ``path`` says against ``pairs``, the ones that were exported.

    A row without an id is a new pair, whose chunk_id says what it belongs to. A row that is missing was deleted.

    chunks  of the corpus, by identifier

    Raises `InvalidInput` naming the row for a column that is lost, an id that is unknown or there twice, an empty
    question, another chunk_id, and a new row whose chunk_id is no chunk.
    """
    known = {pair.id: pair for pair in pairs}
    seen: dict[str, int] = {}
    edited, added = [], []
    kept = other_texts = 0
    for number, row in _rows(path):
        where = f"{path}, row {number}"
        if not any(row.values()):
            continue
        if not row["question"]:
            raise InvalidInput(f"{where}: the question is empty; delete the whole row to drop the pair")
        if not row["id"]:
            added.append(_new_pair(row, chunks, where))
            continue
        if row["id"] not in known:
            raise InvalidInput(f"{where}: the id '{row['id']}' is not one that was exported; leave ids as they are")
        if row["id"] in seen:
            raise InvalidInput(f"{where}: the id '{row['id']}' stands in row {seen[row['id']]} already")
        seen[row["id"]] = number
        before = known[row["id"]]
        if row["chunk_id"] not in ("", _shown(before.chunk_id)):
            raise InvalidInput(
                f"{where}: the chunk_id was changed; for a question about another text add a row without an id"
            )
        other_texts += row["doc"] != _shown(before.positive)
        if (row["question"], row["answer"]) == (_shown(before.query), _shown(before.answer or "")):
            kept += 1
        else:
            edited.append(replace(before, query=row["question"], answer=row["answer"] or None, origin="human"))
    there = {*seen, *(pair.id for pair in added)}  # a sheet taken over once more still has them without an id
    deleted = tuple(name for name in known if name not in there)
    return Changes(kept, other_texts, tuple(edited), tuple(added), deleted)


def _new_pair(row: Mapping[str, str], chunks: Mapping[str, Chunk], where: str) -> Pair:
    chunk = chunks.get(row["chunk_id"])
    if chunk is None:
        raise InvalidInput(
            f"{where}: a new row needs the chunk_id of the text that answers its question, "
            f"and '{row['chunk_id']}' is none"
        )
    return Pair(
        id=build_id("human", chunk.id, row["question"]),
        query=row["question"],
        positive=chunk.text,
        chunk_id=chunk.id,
        document_id=chunk.document_id,
        source=chunk.source,
        page=chunk.place.page,
        style="question",
        language=chunk.language,
        origin="human",
        answer=row["answer"] or None,
    )


def _rows(path: Path) -> Iterable[tuple[int, dict[str, str]]]:
    """Number (from 1, the header) and cells by column of every row."""
    openpyxl = require("openpyxl", extra="documents")
    try:
        book = openpyxl.load_workbook(BytesIO(path.read_bytes()), read_only=True, data_only=True)
    except (OSError, BadZipFile, KeyError, ValueError, ParseError) as error:
        raise InvalidInput(f"{path}: no .xlsx file that can be read: {error}") from None
    try:
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = [str(cell or "").strip() for cell in next(rows, ())]
        if missing := [column for column in COLUMNS if column not in header]:
            raise InvalidInput(f"{path}, row 1: the column '{missing[0]}' is lost; there are {', '.join(header)}")
        places = {column: header.index(column) for column in COLUMNS}
        for number, row in enumerate(rows, start=2):
            yield (
                number,
                {column: _text(row[place] if place < len(row) else None) for column, place in places.items()},
            )
    except ParseError as error:
        raise InvalidInput(f"{path}: damaged: {error}; save it once more as .xlsx") from None
    finally:
        book.close()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    plain = "".join(
        char for char in value if (char >= " " or char in "\n\t") and char not in "\ufffe\uffff"
    )  # XML knows no other control characters
    guarded = f"'{plain}" if plain.startswith((*FORMULA_STARTS, "'")) else plain
    return guarded if len(guarded) <= MAX_CELL else guarded[: MAX_CELL - 1] + _CUT


def _shown(value: str) -> str:
    """``value`` as it comes back from a sheet that nobody changed."""
    return _text(_cell(value))


def _text(cell: Any) -> str:
    text = "" if cell is None else str(cell).strip()
    return text[1:] if text.startswith("'") and text[1:].startswith((*FORMULA_STARTS, "'")) else text

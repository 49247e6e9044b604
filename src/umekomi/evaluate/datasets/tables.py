"""Tables of a data set: CSV, TSV, JSON Lines, JSON, Parquet and XLSX to rows, each with its place in the file."""

from __future__ import annotations

import csv
import io
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from umekomi.documents.encodings import decode_text
from umekomi.documents.rows import MAX_FIELD_CHARACTERS
from umekomi.errors import InvalidInput, UmekomiError
from umekomi.evaluate.datasets.sources import MAX_BYTES, check_unpacked
from umekomi.extras import require

MAX_ROWS = 5_000_000
"""More than a machine for evaluations holds as texts."""

_PARQUET_BATCH_ROWS = 4096

Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order of the file.

    name   of the file, for messages
    unit   what ``places`` counts: ``line`` or ``row``
    notes  how the file was read, where that is not plain (``CP932``, ``columns apart by ;``)
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    places: tuple[int, ...]
    unit: str = "line"
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, index: int) -> str:
        """The place of a row in a message: ``a.csv, line 3``."""
        return f"{self.name}, {self.unit} {self.places[index]}"

    def values(self, column: str) -> list[Any]:
        """One column; None where a row lacks it."""
        return [row.get(column) for row in self.rows]

    def only(self, wanted: Sequence[bool]) -> Table:
        """The rows for which ``wanted`` is true, at their places."""
        rows, places = tuple(compress(self.rows, wanted)), tuple(compress(self.places, wanted))
        return replace(self, rows=rows, places=places)


def is_table(name: str) -> bool:
    """Whether `read_table` knows the suffix of ``name``."""
    return _suffix(name) in _READERS


def without_shard(name: str) -> str:
    """The name that the shards of one table share: ``test.parquet`` for ``test-00000-of-00002.parquet``."""
    return re.sub(r"-\d+-of-\d+(?=\.[^/]*$)", "", name)


def read_table(name: str, data: bytes, *, encoding: str | None = None) -> Table:
    """The table in ``data``, read as the suffix of ``name`` says; ``.gz`` is unpacked already.

    encoding  of CSV and JSON, where it is not to be found out

    Raises `InvalidInput` naming file and line, `MissingExtra` where Parquet needs pyarrow or XLSX openpyxl.
    """
    reader = _READERS.get(_suffix(name))
    if reader is None:
        known = ", ".join(_READERS)
        raise InvalidInput(f"{name}: unknown suffix {_suffix(name)!r}; a data set is one of {known}, or a folder")
    table = reader(name, data, encoding)
    if not table.rows:
        raise InvalidInput(f"{name}: no rows in it")
    if len(table) > MAX_ROWS:
        raise InvalidInput(f"{name}: more than {MAX_ROWS} rows; evaluate a sample of it")
    return table


def join_tables(tables: Sequence[Table]) -> Table:
    """The rows of several shards as one table; places count through."""
    if len(tables) == 1:
        return tables[0]
    first = tables[0]
    for table in tables[1:]:
        if table.columns != first.columns:
            raise InvalidInput(
                f"{table.name}: its columns {_listed(table.columns)} are not those of {first.name}: "
                f"{_listed(first.columns)}"
            )
    rows = tuple(row for table in tables for row in table.rows)
    name = f"{first.name} and {len(tables) - 1} more"
    return Table(name, first.columns, rows, tuple(range(1, len(rows) + 1)), "row", first.notes)


def _suffix(name: str) -> str:
    path = PurePosixPath(name.lower())
    return PurePosixPath(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(f"'{column}'" for column in columns) or "none"


def _decode(name: str, data: bytes, encoding: str | None) -> tuple[str, tuple[str, ...]]:
    """Text of ``data`` and a note on its encoding where it is not UTF-8."""
    decoded = decode_text(data, encoding=encoding, name=name)
    plain = decoded.encoding.codec == "utf-8"
    return decoded.text, () if plain else (f"read as {decoded.encoding.name}",)


def _read_csv(name: str, data: bytes, encoding: str | None) -> Table:
    text, notes = _decode(name, data, encoding)
    delimiter = "\t" if _suffix(name) == ".tsv" else _find_delimiter(text)
    if delimiter == ";":
        notes = (*notes, "columns apart by ;")
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    places: list[int] = []
    try:
        columns = _named(next(reader, []))
        _refuse_doubles(columns, name)
        start = reader.line_num + 1
        for cells in reader:
            if cells:
                if len(cells) != len(columns):
                    raise InvalidInput(
                        f"{name}, line {start}: {len(cells)} cells under {len(columns)} columns "
                        f"({_listed(columns)}); put quotes around cells that hold the delimiter"
                    )
                rows.append(dict(zip(columns, cells, strict=True)))
                places.append(start)
            start = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(f"{name}, line {reader.line_num}: not valid CSV: {error}") from None
    return Table(name, columns, tuple(rows), tuple(places), notes=notes)


def _find_delimiter(text: str) -> str:
    """The delimiter of the first line: a comma, unless only a tab or a semicolon can be meant."""
    head = text[: text.find("\n")] if "\n" in text else text
    return next((mark for mark in (",", "\t", ";") if mark in head), ",")


def _named(cells: Sequence[str]) -> tuple[str, ...]:
    """Names of columns; those without one are numbered, as other programs name an index column."""
    return tuple(cell.strip() or f"column {number}" for number, cell in enumerate(cells, start=1))


def _refuse_doubles(columns: Sequence[str], name: str) -> None:
    twice = next((column for column in columns if columns.count(column) > 1), None)
    if twice is not None:
        raise InvalidInput(f"{name}: two columns are named '{twice}'; rename one")


def _read_jsonl(name: str, data: bytes, encoding: str | None) -> Table:
    text, notes = _decode(name, data, encoding)
    rows: list[Row] = []
    places: list[int] = []
    # Not splitlines: it also splits at U+2028 and others, which JSON allows inside of a text.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            rows.append(_object(_parse(line, f"{name}, line {number}"), f"{name}, line {number}"))
            places.append(number)
    return Table(name, _all_keys(rows), tuple(rows), tuple(places), notes=notes)


def _read_json(name: str, data: bytes, encoding: str | None) -> Table:
    """An array of objects; else JSON Lines, which some publish under ``.json``."""
    text, notes = _decode(name, data, encoding)
    if not text.lstrip().startswith("["):
        return _read_jsonl(name, data, encoding)
    values = _parse(text, name)
    rows = [_object(value, f"{name}, row {number}") for number, value in enumerate(values, start=1)]
    return Table(name, _all_keys(rows), tuple(rows), tuple(range(1, len(rows) + 1)), "row", notes)


def _parse(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{where}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nesting without end
        raise InvalidInput(f"{where}: not usable JSON: {error}") from None


def _object(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where}: expected an object with named values, found a {type(value).__name__}")
    return value


def _all_keys(rows: Sequence[Row]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key for row in rows for key in row))


def _read_parquet(name: str, data: bytes, _encoding: str | None) -> Table:
    parquet = require("pyarrow.parquet", extra="evaluate")
    arrow = require("pyarrow", extra="evaluate")
    rows: list[Row] = []
    unpacked = 0
    try:
        columns = tuple(parquet.read_schema(arrow.BufferReader(data)).names)
        _refuse_doubles(columns, name)
        # Texts stay in dictionaries until their size is known: one long text in each of many rows packs well.
        texts = _text_leaves(parquet.read_metadata(arrow.BufferReader(data)).schema)
        file = parquet.ParquetFile(arrow.BufferReader(data), read_dictionary=texts)
        for batch in file.iter_batches(batch_size=_PARQUET_BATCH_ROWS):
            unpacked += sum(map(_unpacked_bytes, batch.columns))
            if unpacked > MAX_BYTES or len(rows) > MAX_ROWS:
                raise InvalidInput(
                    f"{name}: over {MAX_BYTES} bytes or {MAX_ROWS} rows unpacked; use a sample of it"
                )
            rows.extend(batch.to_pylist())
    except (arrow.ArrowException, OSError, ValueError) as error:  # ValueError: texts that are not UTF-8
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InvalidInput(f"{name}: cannot be read as Parquet: {reason}") from None
    return Table(name, columns, tuple(rows), tuple(range(1, len(rows) + 1)), "row")


def _text_leaves(schema: Any) -> list[str]:
    """Paths of the columns of texts, those inside of lists and objects too."""
    leaves = [schema.column(number) for number in range(len(schema))]
    return [leaf.path for leaf in leaves if leaf.logical_type.type == "STRING"]


def _unpacked_bytes(column: Any) -> int:
    """Bytes of an Arrow array once its dictionary is written out."""
    if hasattr(column, "dictionary"):
        compute = require("pyarrow.compute", extra="evaluate")
        lengths = compute.take(compute.binary_length(column.dictionary), column.indices)
        return int(compute.sum(lengths).as_py() or 0)
    if hasattr(column, "flatten"):  # a list's values, an object's fields
        parts = column.flatten()
        return sum(map(_unpacked_bytes, parts if isinstance(parts, list) else [parts]))
    return int(column.nbytes)


def _read_xlsx(name: str, data: bytes, _encoding: str | None) -> Table:
    """The first sheet that holds anything; its first row names the columns. Numbers and dates become texts."""
    openpyxl = require("openpyxl", extra="evaluate")
    try:
        check_unpacked(data, name)  # what unpacks to more is refused before openpyxl opens it
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and other parts that openpyxl does not read
            book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        try:
            for sheet in book.worksheets:
                if (table := _sheet_table(name, sheet)).rows:
                    note = (
                        () if len(book.worksheets) == 1 else (f"sheet '{sheet.title}' of {len(book.worksheets)}",)
                    )
                    return Table(name, table.columns, table.rows, table.places, "row", note)
        finally:
            book.close()
    except UmekomiError:
        raise
    except Exception as error:  # openpyxl has none of its own for a broken file: KeyError, ParseError, TypeError …
        raise InvalidInput(f"{name}: cannot be read as XLSX: {error}") from None
    return Table(name, (), (), ())


def _sheet_table(name: str, sheet: Any) -> Table:
    sheet.reset_dimensions()  # what the file claims about its size may be wrong
    lines = sheet.iter_rows(values_only=True)
    columns = _named([str(cell) if cell is not None else "" for cell in next(lines, ())])
    _refuse_doubles(columns, name)
    rows: list[Row] = []
    places: list[int] = []
    for number, cells in enumerate(lines, start=2):
        if any(cell is not None for cell in cells):
            rows.append(dict(zip(columns, map(_spreadsheet_cell, cells), strict=False)))
            places.append(number)
    return Table(name, columns, tuple(rows), tuple(places))


def _spreadsheet_cell(cell: Any) -> Any:
    """A cell as text, since a spreadsheet makes numbers and dates of texts on its own; 2.0 is shown as 2."""
    if cell is None or isinstance(cell, str | bool):
        return cell
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


_READERS: dict[str, Callable[[str, bytes, str | None], Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}

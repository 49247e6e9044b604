"""One text a row: plain lines, JSON Lines or CSV, as a stream of rows with their place in the file."""

from __future__ import annotations

import csv
import io
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from umekomi.documents.encodings import open_text
from umekomi.errors import InvalidInput

RowFormat: TypeAlias = Literal["lines", "jsonl", "csv"]

TEXT_COLUMNS = ("text",)
"""Columns of which the first is read where several are there and none was named."""

MAX_FIELD_CHARACTERS = 100_000_000
"""Longest line or CSV cell; the csv module's own limit of 131,072 refuses real documents."""

_IN_MEMORY_BYTES = 64 * 1024 * 1024
"""Standard input is read twice, for its encoding and for its rows; more than this waits in a temporary file."""

_log = logging.getLogger("umekomi")

_SUFFIXES: dict[str, RowFormat] = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "csv"}


@dataclass(frozen=True, slots=True)
class Row:
    """A text, the line of the file that it starts on (from 1), and its title where the file has one."""

    text: str
    line: int
    title: str | None = None


def iter_rows(
    path: Path | None,
    *,
    row_format: RowFormat | None = None,
    column: str | None = None,
    usual: Sequence[str] = TEXT_COLUMNS,
    encoding: str | None = None,
    notify: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    """Rows of ``path``, or of standard input where it is None, in order and without reading the whole file at once.

    row_format  told by the file's suffix where None: .jsonl, .csv, .tsv, else plain lines; empty lines are left out
    column      column or key that holds the text; the first of ``usual`` that is there, or the only one, by default
    usual       names of such columns
    encoding    the file's encoding; found as by `decode_text` where None
    notify      called with one line where the encoding found is not UTF-8; logged as a warning by default

    Raises `InvalidInput` naming file and line for what cannot be read: no encoding fits, not JSON, no such column.
    """
    name = str(path) if path else "standard input"
    row_format = row_format or _SUFFIXES.get(path.suffix.lower() if path else "", "lines")
    try:
        newline = "" if row_format == "csv" else None
        with open_text(path or _spooled(), encoding=encoding, newline=newline, name=name) as (file, found):
            if encoding is None and found.codec != "utf-8":
                (notify or _log.warning)(f"{name}: read as {found.name}; --encoding names another")
            if row_format == "jsonl":
                yield from _json_rows(file, name, column, usual)
            elif row_format == "csv":
                yield from _csv_rows(file, name, column, usual)
            else:
                yield from _lines(file, name)
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{name}: not {encoding} (byte 0x{error.object[error.start]:02X}); leave --encoding out to find it"
        ) from None
    except OSError as error:
        raise InvalidInput(f"{name}: cannot be read: {error.strerror or error}") from None


def _spooled() -> IO[bytes]:
    """Standard input as a file that can be read twice."""
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES)  # noqa: SIM115 (open_text closes it)
    shutil.copyfileobj(sys.stdin.buffer, spool)
    return spool


def _lines(file: io.TextIOWrapper, name: str) -> Iterator[Row]:
    number = 0
    while line := file.readline(MAX_FIELD_CHARACTERS):
        number += 1
        if len(line) == MAX_FIELD_CHARACTERS:
            raise InvalidInput(f"{name}, line {number}: longer than {MAX_FIELD_CHARACTERS} characters; split it")
        text = line.rstrip("\r\n")
        if text.strip():
            yield Row(text, number)


def _json_rows(file: Iterable[str], name: str, column: str | None, usual: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise InvalidInput(f"{name}, line {number}, column {error.colno}: not JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:  # numbers of thousands of digits, nesting without end
            raise InvalidInput(f"{name}, line {number}: not usable JSON: {error}") from None
        if isinstance(value, str):
            yield Row(value, number)
        elif isinstance(value, dict):
            key = _pick_column(list(value), column, usual, where=f"{name}, line {number}")
            yield _row(value, key, number, name)
        else:
            raise InvalidInput(f"{name}, line {number}: expected an object or a string, found {line.strip()[:40]}")


def _csv_rows(file: Iterable[str], name: str, column: str | None, usual: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.DictReader(file, delimiter="\t" if name.lower().endswith(".tsv") else ",", strict=True)
    try:
        key = _pick_column(list(reader.fieldnames or []), column, usual, where=name)
        for record in reader:
            yield _row(record, key, reader.line_num, name)
    except csv.Error as error:
        raise InvalidInput(f"{name}, line {reader.line_num}: not valid CSV: {error}") from None


def _row(record: dict[str, object], key: str, number: int, name: str) -> Row:
    text = record.get(key)
    if not isinstance(text, str):
        found = "nothing" if text is None else type(text).__name__
        raise InvalidInput(f"{name}, line {number}: '{key}' holds {found}, not a text")
    title = next((record[k] for k in ("name", "title", "id") if k in record and k != key), None)
    shown = None if title is None else str(title).encode(errors="replace").decode()
    return Row(text, number, shown)


def _pick_column(columns: list[str], column: str | None, usual: Sequence[str], *, where: str) -> str:
    wanted = (column,) if column else usual
    if found := next((name for name in wanted if name in columns), None):
        return found
    if column is None and len(columns) == 1:
        return columns[0]
    listed = ", ".join(f"'{c}'" for c in columns) or "none"
    advice = "choose one with --column" if column or usual is TEXT_COLUMNS else f"name one of them '{wanted[0]}'"
    raise InvalidInput(f"{where}: no column '{wanted[0]}'; there are {listed}; {advice}")

"""XLSX, read by openpyxl as a stream: each sheet a table under its name, values as the sheet shows them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any, Final

from umekomi.documents.cleaning.passages import Passage, RawText, Reading, row_line
from umekomi.documents.document import Quarantined
from umekomi.documents.extras import load
from umekomi.documents.readers.packages import check_declarations, open_package

ROWS_A_PASSAGE: Final = 200
MAX_CELLS: Final = 20_000_000
"""A sheet can claim 17 billion cells in a few bytes."""

_FORMULA: Final = re.compile(rb"<f[ >/]")


def read(reading: Reading) -> Iterator[Passage]:
    """The sheets of an XLSX. Raises `Quarantined` where it is damaged or hostile."""
    with open_package(reading.path) as package:
        check_declarations(package)
        has_formulas = any(
            _has_formulas(package, name) for name in package.namelist() if name.startswith("xl/worksheets/sheet")
        )
    with ExitStack() as opened:
        book = _open(reading, opened, values=True)
        formulas = _open(reading, opened, values=False) if has_formulas else None
        try:
            yield from _sheets(book, formulas, reading)
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise Quarantined(f"damaged: {error}") from None


def _open(reading: Reading, opened: ExitStack, *, values: bool) -> Any:
    openpyxl = load("openpyxl")
    file = opened.enter_context(reading.path.open("rb"))
    try:
        book = openpyxl.load_workbook(file, read_only=True, data_only=values, keep_links=False)
    except (
        KeyError,
        ValueError,
        TypeError,
        AttributeError,
        openpyxl.utils.exceptions.InvalidFileException,
    ) as error:
        raise Quarantined(f"damaged: {error}") from None
    opened.callback(book.close)
    return book


def _sheets(book: Any, formulas: Any, reading: Reading) -> Iterator[Passage]:
    sheets = book.worksheets
    reading.pages = len(sheets)
    lost = 0
    for number, sheet in enumerate(sheets, start=1):
        sheet.reset_dimensions()
        raw = RawText(number)
        yield raw.heading(sheet.title, 1)
        yield from _tables(sheet, raw, reading)
        if formulas is not None:
            lost += _formulas_without_value(sheet, formulas.worksheets[number - 1], reading)
    if lost:
        reading.warn(f"{lost} formulas have no stored result: open it in a spreadsheet program and save it")


def _tables(sheet: Any, raw: RawText, reading: Reading) -> Iterator[Passage]:
    """The sheet's rows, some at a time; the first that is not empty is taken for the header."""
    rows = _rows(sheet, reading)
    header = next(rows, None)
    if header is None:
        return
    some = [header, *islice(rows, ROWS_A_PASSAGE)]
    yield raw.rows(some, header_rows=1 if len(some) > 1 else 0)
    while some := list(islice(rows, ROWS_A_PASSAGE)):
        yield raw.rows(some, header=row_line(header))


def _rows(sheet: Any, reading: Reading) -> Iterator[list[str]]:
    cells = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True)):
        if number % 1000 == 0:
            reading.beat()
        cells += len(row)
        if cells > MAX_CELLS:
            raise Quarantined(f"over {MAX_CELLS} cells in the sheet '{sheet.title}'; split it")
        texts = [shown(value) for value in row]
        if any(texts):
            yield texts


def shown(value: Any) -> str:
    """A cell's value as a sheet shows it: 3 for 3.0, 2026-11-21 for midnight of that day."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat(" ") if isinstance(value, datetime.datetime) else value.isoformat()
    return str(value)


def _has_formulas(package: Any, name: str) -> bool:
    tail = b""
    with package.open(name) as part:
        while block := part.read(1 << 20):
            if _FORMULA.search(tail + block):
                return True
            tail = block[-2:]
    return False


def _formulas_without_value(values: Any, formulas: Any, reading: Reading) -> int:
    formulas.reset_dimensions()
    lost = 0
    pairs = zip(values.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=False)
    for number, (row, written) in enumerate(pairs):
        if number % 1000 == 0:
            reading.beat()
        lost += sum(value is None and formula is not None for value, formula in zip(row, written, strict=False))
    return lost

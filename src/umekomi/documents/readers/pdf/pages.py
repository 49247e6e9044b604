"""One page of a PDF: its lines in reading order, each with its place on the page."""

from __future__ import annotations

import ctypes
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from umekomi.documents.cleaning.passages import Reading
from umekomi.documents.extras import load
from umekomi.documents.readers.pdf.lines_on_page import Line
from umekomi.documents.readers.pdf.repeats import put_back

BROKEN_HYPHEN: Final = "\ufffe"
"""What PDFium puts for a hyphen and the line end after it."""

_LINE_END: Final = re.compile(f"\r\n|[\r\n{BROKEN_HYPHEN}]")
_CHECKED_CHARACTERS: Final = 300
"""How many characters of a page are checked for a missing map to Unicode: a call into PDFium each."""


@dataclass(frozen=True, slots=True)
class Page:
    """``has_content``: whether anything is drawn on it, text or not."""

    number: int
    lines: tuple[Line, ...]
    has_content: bool


def read_page(document: Any, number: int, reading: Reading) -> Page:
    """Page ``number``, from 1. Raises pypdfium2's ``PdfiumError`` where it is damaged."""
    raw = load("pypdfium2.raw")
    page = document[number - 1]
    try:
        text_page = page.get_textpage()
        try:
            text = _raw_text(raw, text_page)
            _count_suspects(raw, text_page, text, reading)
            found = list(_iter_lines(raw, text_page, text, number))
            lines = put_back(
                page, text_page, found, lambda partial: _iter_lines(raw, partial, _raw_text(raw, partial), number)
            )
        finally:
            text_page.close()
        return Page(number, tuple(lines), bool(lines) or raw.FPDFPage_CountObjects(page) > 0)
    finally:
        page.close()


def _raw_text(raw: Any, text_page: Any) -> str:
    """The page's text, one character a UTF-16 unit, so that an index is PDFium's own."""
    count = raw.FPDFText_CountChars(text_page)
    if count <= 0:
        return ""
    buffer = (ctypes.c_ushort * (count + 1))()
    written = raw.FPDFText_GetText(text_page, 0, count, buffer)
    return "".join(map(chr, buffer[: max(0, written - 1)]))


def _iter_lines(raw: Any, text_page: Any, text: str, number: int) -> Iterator[Line]:
    start = 0
    while start < len(text):
        end = _LINE_END.search(text, start)
        stop = end.start() if end else len(text)
        content = text[start:stop]
        if content.strip():
            first = start + len(content) - len(content.lstrip())
            last = start + len(content.rstrip()) - 1
            left = _box(raw, text_page, first)
            right = _box(raw, text_page, last)
            hyphen = "-" if end and end[0] == BROKEN_HYPHEN else ""
            whole = content.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            yield Line(
                whole + hyphen,
                start,
                number,
                min(left.left, right.left),
                max(left.right, right.right),
                min(left.bottom, right.bottom),
                max(left.top, right.top) - min(left.bottom, right.bottom),
            )
        start = end.end() if end else len(text)


def _box(raw: Any, text_page: Any, index: int) -> Any:
    """The box of a character, as high as its font."""
    at = raw.FPDFText_GetCharIndexFromTextIndex(text_page, index)
    box = raw.FS_RECTF()
    raw.FPDFText_GetLooseCharBox(text_page, index if at < 0 else at, box)
    return box


def _count_suspects(raw: Any, text_page: Any, text: str, reading: Reading) -> None:
    """Count characters that no text holds: without a map to Unicode, private, controls, replaced ones."""
    sample = text[:_CHECKED_CHARACTERS]
    for index, char in enumerate(sample):
        if char in " \r\n\t" or char == BROKEN_HYPHEN:
            continue
        reading.characters += 1
        reading.suspect += (
            raw.FPDFText_HasUnicodeMapError(text_page, index) == 1
            or char == "\N{REPLACEMENT CHARACTER}"
            or unicodedata.category(char) in ("Cc", "Co", "Cn")
        )

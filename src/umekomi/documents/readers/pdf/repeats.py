"""Lines that PDFium takes for the shadow of another and leaves out, found and put back.

Text is drawn twice, a little apart, to look bold, so PDFium's text leaves out what repeats one of the five pieces
before it. Where the font is not embedded and the system has none for it, pieces have no height, and PDFium can
no longer see that they stand apart: of equal rows of a table, all but one are gone (pypdfium2 5.15.2).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from umekomi.documents.extras import load
from umekomi.documents.readers.pdf.lines_on_page import Line

_LOOKED_AT: Final = 20
"""Pieces of text at the start of a page; where all of them have a height, no such font is looked for."""

_MAX_ROUNDS: Final = 200
"""Each round of reading brings back at least the first of equal neighbours."""


def put_back(page: Any, text_page: Any, lines: Sequence[Line], read: Callable[[Any], Iterable[Line]]) -> list[Line]:
    """``lines``, with those in their place that PDFium left out; takes the page apart, which is of no use after.

    read  the lines of a text page
    """
    raw = load("pypdfium2.raw")
    result = list(lines)
    missing = _missing(raw, page, text_page) if _has_flat_text(raw, page) else []
    for _ in range(_MAX_ROUNDS):
        if not missing:
            break
        _keep_only(raw, page, missing)
        partial = page.get_textpage()
        try:
            for line in read(partial):
                _insert(result, line)
            still = _missing(raw, page, partial)
        finally:
            partial.close()
        if len(still) >= len(missing):
            break  # pieces without any text, such as spaces
        missing = still
    return result


def _texts(raw: Any, page: Any) -> list[Any]:
    objects = (raw.FPDFPage_GetObject(page, index) for index in range(raw.FPDFPage_CountObjects(page)))
    return [each for each in objects if raw.FPDFPageObj_GetType(each) == raw.FPDF_PAGEOBJ_TEXT]


def _has_flat_text(raw: Any, page: Any) -> bool:
    seen = 0
    for index in range(raw.FPDFPage_CountObjects(page)):
        each = raw.FPDFPage_GetObject(page, index)
        if raw.FPDFPageObj_GetType(each) != raw.FPDF_PAGEOBJ_TEXT:
            continue
        left, bottom, right, top = (ctypes.c_float() for _ in range(4))
        raw.FPDFPageObj_GetBounds(each, left, bottom, right, top)
        if top.value - bottom.value < 0.01 and right.value - left.value > 0.01:
            return True
        seen += 1
        if seen >= _LOOKED_AT:
            return False
    return False


def _missing(raw: Any, page: Any, text_page: Any) -> list[Any]:
    """The pieces of text of which nothing is in ``text_page``; two bytes are the NUL that ends every text."""
    return [each for each in _texts(raw, page) if raw.FPDFTextObj_GetText(each, text_page, None, 0) <= 2]


def _keep_only(raw: Any, page: Any, kept: Iterable[Any]) -> None:
    addresses = {ctypes.cast(each, ctypes.c_void_p).value for each in kept}
    for index in range(raw.FPDFPage_CountObjects(page) - 1, -1, -1):
        each = raw.FPDFPage_GetObject(page, index)
        if ctypes.cast(each, ctypes.c_void_p).value not in addresses and raw.FPDFPage_RemoveObject(page, each):
            raw.FPDFPageObj_Destroy(each)


def _insert(lines: list[Line], line: Line) -> None:
    """Put ``line`` behind the nearest line above it in its column, at that line's end in the raw text; not where it
    is the shadow of another after all."""
    if any(other.text == line.text and _is_shadow(line, other) for other in lines):
        return
    above = [
        (other.bottom - line.bottom, index)
        for index, other in enumerate(lines)
        if other.bottom >= line.bottom and other.left < line.right and line.left < other.right
    ]
    place = min(above)[1] + 1 if above else 0
    offset = lines[place - 1].offset + len(lines[place - 1].text) if place else 0
    lines.insert(place, line.moved(offset))


def _is_shadow(line: Line, other: Line) -> bool:
    near = 0.2 * (line.height or 10.0)
    return abs(line.left - other.left) < near and abs(line.bottom - other.bottom) < near

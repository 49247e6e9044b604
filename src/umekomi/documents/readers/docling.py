"""Docling as a reader, where it is installed: layout analysis, table structure and OCR, at some pages a second.

Its models are fetched by docling itself at first use, or taken from the folder in ``DOCLING_ARTIFACTS_PATH``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from umekomi.documents.cleaning.passages import Passage, RawText, Reading
from umekomi.documents.document import Quarantined
from umekomi.extras import require

_FURNITURE = frozenset({"page_header", "page_footer"})
_HEADINGS = frozenset({"title", "section_header"})


def read(reading: Reading) -> Iterator[Passage]:
    """The blocks that docling finds. Raises `MissingExtra` without it, `Quarantined` where it gives up."""
    result = _converter().convert(reading.path, raises_on_error=False)
    status = str(getattr(result.status, "value", result.status))
    if status not in ("success", "partial_success"):
        reasons = "; ".join(str(error.error_message) for error in result.errors) or status
        raise Quarantined(f"docling could not read it: {reasons}")
    if status == "partial_success":
        reading.warn("docling read a part of it only")
    yield from iter_items(result.document, reading)


def iter_items(document: Any, reading: Reading) -> Iterator[Passage]:
    """The blocks of a ``DoclingDocument``, in reading order; headers and footers are counted as dropped."""
    reading.pages = len(document.pages) or None
    raws: dict[int | None, RawText] = {}
    for item, depth in document.iterate_items(with_groups=False):
        reading.beat()
        page = item.prov[0].page_no if item.prov else None
        raw = raws.setdefault(page, RawText(page))
        label = str(getattr(item.label, "value", item.label))
        if label in _FURNITURE:
            reading.dropped["running lines"] += 1
        elif label == "table":
            yield _table(item, raw)
        elif text := getattr(item, "text", ""):
            yield raw.heading(text, max(1, getattr(item, "level", depth))) if label in _HEADINGS else raw.text(text)


def _table(item: Any, raw: RawText) -> Passage:
    rows = [[cell.text for cell in row] for row in item.data.grid]
    headers = 0
    for row in item.data.grid:
        if not any(cell.column_header for cell in row):
            break
        headers += 1
    return raw.rows(rows, header_rows=headers if headers < len(rows) else 0)


@cache
def _converter() -> Any:
    """One for the process: it keeps its models in memory."""
    return require("docling.document_converter", extra="layout").DocumentConverter()

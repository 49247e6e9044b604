"""PPTX, opened by python-pptx: each slide's title, texts and tables from top to bottom, and its notes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from umekomi.documents.cleaning.passages import Passage, RawText, Reading
from umekomi.documents.document import Quarantined
from umekomi.documents.extras import load
from umekomi.documents.readers.packages import check_declarations, open_package

_FURNITURE: Final = frozenset({"DATE", "FOOTER", "SLIDE_NUMBER", "HEADER"})
_TITLES: Final = frozenset({"TITLE", "CENTER_TITLE", "VERTICAL_TITLE"})
_MAX_DEPTH: Final = 50
"""Groups within groups that are followed; PowerPoint's own dialogs end long before."""


def read(reading: Reading) -> Iterator[Passage]:
    """The blocks of a PPTX. Raises `Quarantined` where it is damaged or hostile."""
    with open_package(reading.path) as package:
        check_declarations(package)
    pptx = load("pptx")
    try:
        yield from _slides(list(pptx.Presentation(str(reading.path)).slides), reading)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, pptx.exc.PythonPptxError) as error:
        raise Quarantined(f"damaged: {error}") from None


def _slides(slides: list[Any], reading: Reading) -> Iterator[Passage]:
    reading.pages = len(slides)
    drawings = 0
    for number, slide in enumerate(slides, start=1):
        reading.beat()
        raw = RawText(number)
        for shape in _in_reading_order(slide.shapes):
            drawings += shape.shape_type is None or getattr(shape, "has_chart", False)
            yield from _shape_blocks(shape, raw, reading)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            yield from _paragraphs(slide.notes_slide.notes_text_frame, raw)
    if drawings:
        reading.warn(f"{drawings} charts or diagrams were not read")


def _in_reading_order(shapes: Any, depth: int = 0) -> Iterator[Any]:
    """Titles first, then from top to bottom and from left to right; groups are taken apart in their place."""
    placed = sorted(
        shapes, key=lambda shape: (_kind(shape) not in _TITLES, (shape.top or 0) // 100_000, shape.left or 0)
    )
    for shape in placed:
        if hasattr(shape, "shapes"):
            if depth < _MAX_DEPTH:
                yield from _in_reading_order(shape.shapes, depth + 1)
        else:
            yield shape


def _shape_blocks(shape: Any, raw: RawText, reading: Reading) -> Iterator[Passage]:
    kind = _kind(shape)
    if kind in _FURNITURE:
        reading.dropped["running lines"] += bool(shape.has_text_frame and shape.text_frame.text.strip())
    elif shape.has_text_frame:
        if kind in _TITLES and (title := shape.text_frame.text.strip()):
            yield raw.heading(title, 1)
        else:
            yield from _paragraphs(shape.text_frame, raw)
    elif getattr(shape, "has_table", False):
        rows = [[cell.text_frame.text for cell in row.cells] for row in shape.table.rows]
        yield raw.rows(rows, header_rows=1 if shape.table.first_row and len(rows) > 1 else 0)


def _paragraphs(frame: Any, raw: RawText) -> Iterator[Passage]:
    for paragraph in frame.paragraphs:
        if (text := paragraph.text).strip():
            yield raw.text(text)


def _kind(shape: Any) -> str:
    """The name of a placeholder's type; empty for any other shape."""
    return shape.placeholder_format.type.name if shape.is_placeholder and shape.placeholder_format.type else ""

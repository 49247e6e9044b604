"""DOCX, opened by python-docx: paragraphs, headings, tables, text boxes and notes, in the order of the page.

The body is walked as XML, because python-docx shows neither text boxes nor notes, nor what stands in content
controls and tracked insertions.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from umekomi.documents.cleaning.passages import Passage, RawText, Reading
from umekomi.documents.document import Quarantined
from umekomi.documents.extras import load
from umekomi.documents.readers.packages import check_declarations, open_package, parse_xml

_W: Final = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_MC: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_SKIPPED: Final = frozenset(
    {
        f"{_W}del",
        f"{_W}moveFrom",
        f"{_W}instrText",
        f"{_W}delText",
        f"{_W}rt",
        f"{_MC}Fallback",
        f"{_W}pPr",
        f"{_W}rPr",
    }
)
"""Deleted text, codes of fields, readings above characters, and the second form of what has two."""

_MARKS: Final = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}
_HEADING: Final = re.compile(r"(?:heading|見出し)\s*(\d)", re.I)


def read(reading: Reading) -> Iterator[Passage]:
    """The blocks of a DOCX. Raises `Quarantined` where it is damaged or hostile."""
    with open_package(reading.path) as package:
        check_declarations(package)
    docx = load("docx")
    try:
        document = docx.Document(str(reading.path))
        yield from _Walk(document.part, _levels(document), reading).blocks(document.element.body)
    except (KeyError, ValueError, TypeError, AttributeError, docx.opc.exceptions.OpcError) as error:
        raise Quarantined(f"damaged: {error}") from None


def _levels(document: Any) -> dict[str, int]:
    """Heading level by style id, where the style or one that it builds on is a heading's."""
    levels = {}
    for style in document.styles.element.iterchildren(f"{_W}style"):
        name = style.find(f"{_W}name")
        found = _HEADING.fullmatch(name.get(f"{_W}val", "")) if name is not None else None
        if found:
            levels[style.get(f"{_W}styleId", "")] = int(found[1])
        elif name is not None and name.get(f"{_W}val", "").casefold() == "title":
            levels[style.get(f"{_W}styleId", "")] = 1
    for style in document.styles.element.iterchildren(f"{_W}style"):
        base = style.find(f"{_W}basedOn")
        if base is not None and (level := levels.get(base.get(f"{_W}val", ""))):
            levels.setdefault(style.get(f"{_W}styleId", ""), level)
    return levels


class _Walk:
    """Goes through a document once. Deep nesting costs memory, not stack."""

    def __init__(self, part: Any, levels: dict[str, int], reading: Reading) -> None:
        self._raw = RawText()
        self._levels = levels
        self._reading = reading
        self._notes = {kind: _notes(part, kind) for kind in ("footnote", "endnote")}

    def blocks(self, parent: Any) -> Iterator[Passage]:
        """Paragraphs and tables below ``parent``, through whatever wraps them."""
        waiting = deque(parent)
        seen = 0
        while waiting:
            element = waiting.popleft()
            seen += 1
            if seen % 500 == 0:
                self._reading.beat()
            if element.tag == f"{_W}p":
                yield from self._paragraph(element)
            elif element.tag == f"{_W}tbl":
                yield from self._table(element)
            elif element.tag not in _SKIPPED:
                waiting.extendleft(reversed(element))

    def _paragraph(self, paragraph: Any) -> Iterator[Passage]:
        text, boxes, notes = _content(paragraph)
        if text.strip():
            level = self._level(paragraph)
            yield self._raw.heading(text, level) if level else self._raw.text(text)
        for box in boxes:
            yield from self.blocks(box)
        for kind, number in notes:
            if note := self._notes[kind].pop(number, ""):
                yield self._raw.text(note)

    def _level(self, paragraph: Any) -> int:
        properties = paragraph.find(f"{_W}pPr")
        if properties is None:
            return 0
        outline = properties.find(f"{_W}outlineLvl")
        if outline is not None and outline.get(f"{_W}val", "9") in "012345678":
            return int(outline.get(f"{_W}val", "9")) + 1
        style = properties.find(f"{_W}pStyle")
        return self._levels.get(style.get(f"{_W}val", ""), 0) if style is not None else 0

    def _table(self, table: Any) -> Iterator[Passage]:
        rows: list[list[str]] = []
        headers = 0
        boxes: list[Any] = []
        notes: list[tuple[str, str]] = []
        for row in _rows(table):
            cells = _cells(row, rows[-1] if rows else [], boxes, notes)
            properties = row.find(f"{_W}trPr")
            marked = properties is not None and properties.find(f"{_W}tblHeader") is not None
            headers += marked and headers == len(rows)
            rows.append(cells)
        yield self._raw.rows(rows, header_rows=headers or (1 if len(rows) > 1 else 0))
        for box in boxes:
            yield from self.blocks(box)
        for kind, number in notes:
            if note := self._notes[kind].pop(number, ""):
                yield self._raw.text(note)


def _rows(table: Any) -> Iterator[Any]:
    for element in table:
        if element.tag == f"{_W}tr":
            yield element
        elif element.tag in (f"{_W}sdt", f"{_W}ins"):
            yield from element.iter(f"{_W}tr")


def _cells(row: Any, above: list[str], boxes: list[Any], notes: list[tuple[str, str]]) -> list[str]:
    """The texts of a row's cells; a cell merged with the one above repeats its text, a wide one leaves room."""
    cells: list[str] = []
    for cell in row.iter(f"{_W}tc"):
        if next(cell.iterancestors(f"{_W}tr")) is not row:
            continue  # of a table within this one, whose text is in its outer cell already
        text, found_boxes, found_notes = _content(cell)
        boxes += found_boxes
        notes += found_notes
        properties = cell.find(f"{_W}tcPr")
        merged = properties.find(f"{_W}vMerge") if properties is not None else None
        if merged is not None and merged.get(f"{_W}val", "continue") == "continue" and len(cells) < len(above):
            text = above[len(cells)]
        cells.append(text)
        span = properties.find(f"{_W}gridSpan") if properties is not None else None
        width = span.get(f"{_W}val", "1") if span is not None else "1"
        cells += [""] * (min(int(width), 64) - 1 if width.isascii() and width.isdigit() else 0)
    return cells


def _content(element: Any) -> tuple[str, list[Any], list[tuple[str, str]]]:
    """The text below ``element``, the text boxes anchored in it, and the notes that it refers to."""
    texts: list[str] = []
    boxes: list[Any] = []
    notes: list[tuple[str, str]] = []
    waiting = deque(element)
    while waiting:
        each = waiting.popleft()
        if each.tag == f"{_W}t":
            texts.append(each.text or "")
        elif each.tag in _MARKS:
            texts.append(_MARKS[each.tag])
        elif each.tag == f"{_W}txbxContent":
            boxes.append(each)
        elif each.tag in (f"{_W}footnoteReference", f"{_W}endnoteReference"):
            notes.append((each.tag.removeprefix(_W).removesuffix("Reference"), each.get(f"{_W}id", "")))
        elif each.tag not in _SKIPPED:
            if each.tag in (f"{_W}p", f"{_W}tc") and texts:
                texts.append("\n")  # paragraphs of a cell
            waiting.extendleft(reversed(each))
    return "".join(texts), boxes, notes


def _notes(part: Any, kind: str) -> dict[str, str]:
    """The texts of a document's footnotes or endnotes, by id."""
    found: dict[str, str] = {}
    for relation in part.rels.values():
        if relation.is_external or not relation.reltype.endswith(f"/{kind}s"):
            continue
        root = parse_xml(relation.target_part.blob, f"{kind}s.xml")
        for note in root.iterchildren(f"{_W}{kind}"):
            if note.get(f"{_W}type", "normal") == "normal":
                found[note.get(f"{_W}id", "")] = _content(note)[0].strip()
    return found

"""What a reader gives and how it becomes a block: parts of raw text with their places, cleaned into one text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from umekomi.documents.cleaning.normalise import iter_normalised
from umekomi.documents.document import BLOCK_GAP, Block, BlockKind, Piece

CELL_GAP: Final = " | "
"""Between the cells of a row."""

_SPACE: Final = re.compile(r"[ \t\r\n\f\v\u0085\u2028\u2029]+")
MAX_PASSAGE_CHARACTERS: Final = 50_000
"""A longer passage is cut: every later step may hold several copies of one."""


@dataclass(frozen=True, slots=True)
class Part:
    """Raw text as it stands in the file from ``offset`` of ``page`` on; ``glue`` goes before it."""

    text: str
    offset: int
    page: int | None = None
    glue: str = ""


@dataclass(frozen=True, slots=True)
class Passage:
    """A block before cleaning. ``header_parts``: how many of a table's first parts are its header row or rows;
    ``header``: the header that stands in an earlier passage of the same table, where this one has none."""

    kind: BlockKind
    parts: tuple[Part, ...]
    level: int = 0
    header_parts: int = 0
    header: str = ""


@dataclass(slots=True)
class Reading:
    """A file being read: what the reader may ask, and what it notes beside the passages that it yields.

    encoding  given by the caller, or None
    beat      called wherever the reader has got on: a reader that is silent for too long is taken for hung
    pages     pages, slides, sheets or chapters seen
    suspect   characters, of ``characters`` looked at, that no text would hold
    """

    path: Path
    encoding: str | None = None
    beat: Callable[[], None] = lambda: None
    warnings: list[str] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    pages: int | None = None
    found_encoding: str | None = None
    suspect: int = 0
    characters: int = 0

    def warn(self, message: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)


class RawText:
    """Counts offsets for readers of formats that have no raw text of their own: parts stand a line apart."""

    def __init__(self, page: int | None = None) -> None:
        self._page = page
        self._offset = 0

    def part(self, text: str, glue: str = "") -> Part:
        part = Part(text, self._offset, self._page, glue)
        self._offset += len(text) + 1
        return part

    def text(self, text: str) -> Passage:
        return Passage("text", (self.part(text),))

    def heading(self, text: str, level: int) -> Passage:
        return Passage("heading", (self.part(text),), level=level)

    def rows(self, rows: Iterable[Iterable[str]], *, header_rows: int = 0, header: str = "") -> Passage:
        """A table: cells to lines. Empty cells stay, so that columns keep their place; empty rows go."""
        lines = [line for line in map(row_line, rows) if line]
        parts = tuple(self.part(line, "\n" if number else "") for number, line in enumerate(lines))
        return Passage("table", parts, header_parts=min(header_rows, len(parts)), header=header)


def row_line(cells: Iterable[str]) -> str:
    """A row as one line; empty where all its cells are."""
    flat = [_SPACE.sub(" ", cell).strip() for cell in cells]
    while flat and not flat[-1]:
        flat.pop()
    return CELL_GAP.join(flat)


def iter_blocks(passages: Iterable[Passage]) -> Iterator[Block]:
    """The cleaned blocks of a document, in order; empty ones are left out, long ones cut."""
    start = 0
    for passage in passages:
        header = passage.header
        for bounded in _bounded(passage):
            if block := build_block(
                bounded if bounded.header == header else replace(bounded, header=header), start
            ):
                yield block
                start += len(block.text) + len(BLOCK_GAP)
                header = header or block.header


def _bounded(passage: Passage) -> Iterator[Passage]:
    """``passage`` in as many as it takes to keep each under the limit, cut between parts where it can be."""
    if sum(len(part.text) for part in passage.parts) <= MAX_PASSAGE_CHARACTERS:
        yield passage
        return
    parts: list[Part] = []
    size = count = 0
    for part in passage.parts:
        for cut in _cut(part):
            if parts and size + len(cut.text) > MAX_PASSAGE_CHARACTERS:
                yield replace(passage, parts=tuple(parts), header_parts=max(0, passage.header_parts - count))
                count += len(parts)
                parts, size = [], 0
            parts.append(cut)
            size += len(cut.text) + len(cut.glue)
    yield replace(passage, parts=tuple(parts), header_parts=max(0, passage.header_parts - count))


def _cut(part: Part) -> Iterator[Part]:
    """``part`` in pieces under the limit, after a line, a sentence or a word where one ends in the last tenth."""
    start = 0
    while len(part.text) - start > MAX_PASSAGE_CHARACTERS:
        stop = start + MAX_PASSAGE_CHARACTERS
        window = part.text[stop - MAX_PASSAGE_CHARACTERS // 10 : stop]
        last = max(window.rfind(mark) for mark in ("\n", "。", "．", ". ", " "))
        stop -= len(window) - last - 1 if last >= 0 else 0
        yield replace(part, text=part.text[start:stop], offset=part.offset + start, glue="" if start else part.glue)
        start = stop
    yield replace(part, text=part.text[start:], offset=part.offset + start, glue="" if start else part.glue)


def build_block(passage: Passage, start: int) -> Block | None:
    """``passage`` cleaned, at ``start`` of its document's text; None where nothing is left of it."""
    text = _Cleaned(keep_lines=passage.kind == "table")
    header_characters = 0
    for number, part in enumerate(passage.parts):
        text.add(part)
        if number + 1 == passage.header_parts:
            header_characters = text.length
    content, pieces = text.finish()
    if not content:
        return None
    header = content[:header_characters].rstrip("\n") if header_characters else passage.header
    return Block(
        passage.kind,
        content,
        start,
        pieces,
        level=passage.level,
        header=header,
        header_characters=min(header_characters, len(content)),
    )


class _Cleaned:
    """Text being put together, with its pieces: runs of blanks become one, none stands at either end."""

    def __init__(self, *, keep_lines: bool) -> None:
        self._keep_lines = keep_lines
        self._texts: list[str] = []
        self._pieces: list[Piece] = []
        self._blank: tuple[str, Part, int] | None = None
        self.length = 0

    def add(self, part: Part) -> None:
        if part.glue and self.length:
            self._blank = (part.glue, part, 0)
        for start, stop, replacement in iter_normalised(part.text):
            if stop - start == len(replacement):
                self._add_run(replacement, part, start)
            elif replacement:
                self._flush()
                self._put(replacement, part, start, stop)

    def _add_run(self, run: str, part: Part, start: int) -> None:
        """A run whose characters stand one for one in the raw text."""
        position = 0
        for match in _SPACES_TO_SHRINK.finditer(run):
            if match.start() > position:
                self._flush()
                self._put(run[position : match.start()], part, start + position, start + match.start())
            if self.length and self._blank is None:
                lines = self._keep_lines and "\n" in match[0]
                self._blank = ("\n" if lines else " ", part, start + match.start())
            position = match.end()
        if position < len(run):
            self._flush()
            self._put(run[position:], part, start + position, start + len(run))

    def _flush(self) -> None:
        if self._blank:
            blank, part, position = self._blank
            self._blank = None
            self._put(blank, part, position, position + 1 if position else position)

    def _put(self, text: str, part: Part, start: int, stop: int) -> None:
        piece = Piece(self.length, part.page, part.offset + start, part.offset + stop)
        last = self._pieces[-1] if self._pieces else None
        if last and len(text) == stop - start and _continues(last, piece):
            self._pieces[-1] = Piece(last.start, last.page, last.raw_start, piece.raw_stop)
        else:
            self._pieces.append(piece)
        self._texts.append(text)
        self.length += len(text)

    def finish(self) -> tuple[str, tuple[Piece, ...]]:
        return "".join(self._texts), tuple(self._pieces)


_SPACES_TO_SHRINK: Final = re.compile(r"[ \t\r\n\f\v\u0085\u2028\u2029]{2,}|[\t\r\n\f\v\u0085\u2028\u2029]|^ | $")


def _continues(last: Piece, piece: Piece) -> bool:
    """Whether ``piece`` follows ``last`` in the file without gap, where each character of ``last`` is one there."""
    return (
        last.page == piece.page
        and last.raw_stop == piece.raw_start
        and last.raw_stop - last.raw_start == piece.start - last.start
    )

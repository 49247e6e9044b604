"""What reading gives: documents of blocks, the chunks made of them, and how each file ended. Data only."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

BLOCK_GAP: Final = "\n\n"
"""Between the blocks of a document's text."""

BlockKind: TypeAlias = Literal["text", "heading", "table"]
ChunkKind: TypeAlias = Literal["text", "table", "mixed"]

Status: TypeAlias = Literal["ok", "warned", "quarantined", "failed"]
"""ok: read whole; warned: read, with something to know; quarantined: the file itself cannot be used, and why;
failed: reading it broke (crash, time, memory, disk), and another try may help."""


@dataclass(frozen=True, slots=True)
class Place:
    """A position in the file as its reader sees it.

    page    page, slide, sheet or chapter, from 1; None where the format has none
    offset  characters from the start of the page (of the file where page is None), before any cleaning
    """

    page: int | None
    offset: int


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a run of a block's text came from: the text from ``start`` on (up to the next piece) is the raw text
    ``raw_start:raw_stop`` of ``page``, character by character where the lengths are equal."""

    start: int
    page: int | None
    raw_start: int
    raw_stop: int


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a heading, or rows of a table, cleaned.

    text    of a table: one line a row
    start   offset in the document's text
    pieces  where the text came from, by ascending ``start`` (which counts from the block's own start)
    level   of a heading, from 1; 0 otherwise
    header  of a table: its header row or rows, to be repeated over every part of it; empty where it has none
    header_characters  how much of ``text`` is that header: 0 in a block that continues a table
    """

    kind: BlockKind
    text: str
    start: int
    pieces: tuple[Piece, ...]
    level: int = 0
    header: str = ""
    header_characters: int = 0

    def place_of(self, offset: int) -> Place:
        """Where the character at ``offset`` of the block's text begins in the file."""
        piece = self.pieces[self._index_at(offset)]
        last = max(piece.raw_start, piece.raw_stop - 1)
        return Place(piece.page, min(piece.raw_start + offset - piece.start, last))

    def place_after(self, offset: int) -> Place:
        """Where the character before ``offset`` ends in the file."""
        index = self._index_at(offset - 1)
        piece = self.pieces[index]
        end = self.pieces[index + 1].start if index + 1 < len(self.pieces) else len(self.text)
        if offset >= end:
            return Place(piece.page, piece.raw_stop)
        return Place(piece.page, min(piece.raw_start + offset - piece.start, piece.raw_stop))

    def _index_at(self, offset: int) -> int:
        return max(0, bisect_right(self.pieces, offset, key=lambda piece: piece.start) - 1)


@dataclass(frozen=True, slots=True)
class Document:
    """A file that was read.

    id        from the file's bytes: the same on every machine and under every name
    path      as it was given
    format    ``pdf``, ``docx`` …: what the file is, whatever its suffix says
    language  ISO 639-1 code of most of its text; empty where that is not plain
    """

    id: str
    path: str
    format: str
    language: str
    blocks: tuple[Block, ...]

    @property
    def text(self) -> str:
        """All of it; a block's ``start`` and a chunk's offsets point in here."""
        return BLOCK_GAP.join(block.text for block in self.blocks)


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """How one file ended.

    reason       why it was quarantined or failed; empty otherwise
    warnings     what a reader of a warned file must know, a line each
    document_id  as `Document.id`; None where the file could not even be read to its end
    pages        pages, slides, sheets or chapters; None where the format has none
    dropped      what was left out on purpose, by what it is ("running lines": 12)
    """

    path: str
    status: Status
    reason: str = ""
    warnings: tuple[str, ...] = ()
    document_id: str | None = None
    format: str | None = None
    size_bytes: int = 0
    pages: int | None = None
    characters: int = 0
    language: str = ""
    encoding: str | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document, of a size that suits an embedding model.

    id           from the document's id, the offsets and the text: the same on every machine
    text         what to embed; for rows from the middle of a table, its header comes first
    start, end   offsets in the document's text; without the repeated header, ``text`` is what stands there
    place, stop  the same in the file
    tokens       of ``text``, in the model's own count, without prompt and special tokens
    headings     those that the chunk stands under, from the outermost
    """

    id: str
    document_id: str
    source: str
    text: str
    kind: ChunkKind
    start: int
    end: int
    place: Place
    stop: Place
    tokens: int
    language: str
    headings: tuple[str, ...] = ()


class Quarantined(Exception):
    """The file cannot be used, and trying again will not help. For readers; ``str()`` is the outcome's reason."""

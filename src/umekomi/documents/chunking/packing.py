"""Filling chunks: units of text, one after another, into as few chunks as their size allows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from umekomi.documents.chunking.counting import TokenCounter, cut_after
from umekomi.documents.document import BLOCK_GAP, Block, Chunk, ChunkKind
from umekomi.documents.languages import language_of
from umekomi.errors import InvalidInput

ID_CHARACTERS: Final = 32


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """Tokens of a chunk, in the target model's count. None has more than ``max_tokens``; fewer than ``min_tokens``
    have the last of a document, and one before a table row that no longer fits and is kept whole."""

    min_tokens: int = 256
    max_tokens: int = 384

    def __post_init__(self) -> None:
        if not 1 <= self.min_tokens <= self.max_tokens:
            raise InvalidInput(
                f"chunks of {self.min_tokens} to {self.max_tokens} tokens: the first must be from 1 to the second"
            )

    def within(self, room: int) -> ChunkSize:
        """The same, or smaller in proportion where the model takes only ``room`` tokens."""
        if self.max_tokens <= room:
            return self
        if room < 1:
            raise InvalidInput("the model has no room for a text beside its prompt")
        return ChunkSize(max(1, self.min_tokens * room // self.max_tokens), room)


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, a row, or a part of one that is too long: ``block.text[start:end]``."""

    block: Block
    start: int
    end: int
    tokens: int

    @property
    def text(self) -> str:
        return self.block.text[self.start : self.end]

    @property
    def is_row(self) -> bool:
        return self.block.kind == "table"

    @property
    def lacks_header(self) -> bool:
        """Whether the table's header stands before this row, and not in it."""
        return self.is_row and bool(self.block.header) and self.start >= self.block.header_characters


class Packer:
    """Fills one chunk after another."""

    def __init__(self, counter: TokenCounter, size: ChunkSize, *, document_id: str, source: str) -> None:
        self._counter = counter
        self._size = size
        self._document_id = document_id
        self._source = source
        self._units: list[Unit] = []
        self._tokens = 0
        self._headings: list[tuple[int, str]] = []
        self._above: tuple[str, ...] = ()
        self._headers: dict[str, bool] = {}
        self._gap_tokens = counter.count([BLOCK_GAP])[0]

    def add(self, unit: Unit) -> Iterator[Chunk]:
        """Take ``unit`` in; gives the chunks that this completes."""
        if self._tokens >= self._size.min_tokens and self._opens_anew(unit):
            yield from self._close()
        while not self._fits(unit):
            whole_row = unit.is_row and unit.tokens + self._header_tokens(unit) <= self._size.max_tokens
            if self._units and (self._tokens >= self._size.min_tokens or whole_row):
                yield from self._close()
                continue
            taken, rest = self._split(unit)
            self._put(taken)
            yield from self._close()
            if rest is None:
                return
            unit = rest
        self._put(unit)

    def finish(self) -> Iterator[Chunk]:
        while self._units:
            yield from self._close(last=True)

    def _opens_anew(self, unit: Unit) -> bool:
        """Whether a new chunk had better begin here: at a heading, and where a table begins."""
        is_new = bool(self._units) and self._units[-1].block is not unit.block
        return is_new and (unit.block.kind == "heading" or (unit.is_row and not self._units[-1].is_row))

    def _fits(self, unit: Unit) -> bool:
        if self._units and self._tokens + self._cost(unit) > self._size.max_tokens:
            # The sum of the parts is over the count of the whole by up to a token each.
            self._tokens = self._count(self._units, whole=True)
        start = self._tokens if self._units else self._header_tokens(unit)
        return start + self._cost(unit) <= self._size.max_tokens

    def _cost(self, unit: Unit) -> int:
        """Tokens of ``unit``, and of the gap before it where it opens a further block."""
        opens = bool(self._units) and self._units[-1].block is not unit.block
        return unit.tokens + (self._gap_tokens if opens else 0)

    def _put(self, unit: Unit) -> None:
        if not self._units:
            self._tokens = self._header_tokens(unit)
        if unit.block.kind == "heading":
            while self._headings and self._headings[-1][0] >= unit.block.level:
                self._headings.pop()
            if not self._units:
                self._above = tuple(text for _, text in self._headings)
            self._headings.append((unit.block.level, unit.block.text))
        elif not self._units:
            self._above = tuple(text for _, text in self._headings)
        self._tokens += self._cost(unit)
        self._units.append(unit)

    def _split(self, unit: Unit, *, less: int = 0) -> tuple[Unit, Unit | None]:
        """``unit`` in what still fits, less some tokens, and the rest."""
        used = self._tokens + self._cost(unit) - unit.tokens if self._units else self._header_tokens(unit)
        budget = max(1, self._size.max_tokens - used - less)
        text = unit.text
        starts = self._counter.starts(text)
        for aim in range(budget, 0, -1):  # cut off from what follows, a text may have a token more
            taken = cut_after(text, starts, aim)
            counts = self._counter.count([text[:taken], text[taken:]])
            if counts[0] <= budget:
                break
        rest = replace(unit, start=unit.start + taken, tokens=counts[1]) if text[taken:].strip() else None
        return replace(unit, end=unit.start + taken, tokens=counts[0]), rest

    def _header_tokens(self, unit: Unit) -> int:
        """What repeating the table's header costs where a chunk begins with ``unit``."""
        header = self._header(unit)
        return self._counter.count([header + "\n"])[0] if header else 0

    def _header(self, unit: Unit) -> str:
        """The header to repeat over ``unit``: none where it would take more than half of a chunk."""
        header = unit.block.header if unit.lacks_header else ""
        if header not in self._headers:
            self._headers = {header: 2 * self._counter.count([header])[0] <= self._size.max_tokens}
        return header if self._headers[header] else ""

    def _close(self, *, last: bool = False) -> Iterator[Chunk]:
        """The chunk of the units so far; headings at its end, and what did not fit after all, open the next."""
        units, above = self._units, self._above
        kept: list[Unit] = []
        if not last and any(unit.block.kind != "heading" for unit in units):
            while units[-1].block.kind == "heading":
                kept.insert(0, units.pop())
        self._units, self._tokens = [], 0
        less = 0
        while (tokens := self._count(units)) > self._size.max_tokens:
            if len(units) > 1:
                kept.insert(0, units.pop())
                continue
            less += 1  # a whole may, rarely, have more tokens than its parts
            units[0], rest = self._split(units[0], less=less)
            if rest is None:
                break
            kept.insert(0, rest)
        self._forget(kept)
        for unit in kept:
            self._put(unit)
        yield self._chunk(units, above, tokens)

    def _forget(self, units: Sequence[Unit]) -> None:
        """Take headings back that are about to be put again."""
        texts = [(unit.block.level, unit.block.text) for unit in units if unit.block.kind == "heading"]
        while texts and self._headings and self._headings[-1] == texts[-1]:
            self._headings.pop()
            texts.pop()

    def _count(self, units: Sequence[Unit], *, whole: bool = False) -> int:
        """Tokens of ``units`` as one text; with ``whole``, of the blanks at its end as well."""
        return self._counter.count([self._text(units) + (_blanks_after(units[-1]) if whole else "")])[0]

    def _text(self, units: Sequence[Unit]) -> str:
        header = self._header(units[0])
        return header + ("\n" if header else "") + _joined(units)

    def _chunk(self, units: Sequence[Unit], above: tuple[str, ...], tokens: int) -> Chunk:
        text = self._text(units)
        first, last = units[0], units[-1]
        begin = first.start + len(first.text) - len(first.text.lstrip())
        end = last.start + len(last.text.rstrip())
        start, stop = first.block.start + begin, last.block.start + end
        key = f"{self._document_id}\n{start}\n{stop}\n{text}"
        return Chunk(
            id=hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:ID_CHARACTERS],
            document_id=self._document_id,
            source=self._source,
            text=text,
            kind=_kind(units),
            start=start,
            end=stop,
            place=first.block.place_of(begin),
            stop=last.block.place_after(end),
            tokens=tokens,
            language=language_of(text),
            headings=above,
        )


def _joined(units: Sequence[Unit]) -> str:
    """The text from the first unit to the last, as it stands in the document."""
    parts: list[str] = []
    block: Block | None = None
    start = end = 0
    for unit in units:
        if unit.block is not block:
            if block is not None:
                parts.append(block.text[start:end])
            block, start = unit.block, unit.start
        end = unit.end
    if block is not None:
        parts.append(block.text[start:end])
    return BLOCK_GAP.join(parts).strip()


def _blanks_after(unit: Unit) -> str:
    text = unit.text
    return text[len(text.rstrip()) :]


def _kind(units: Sequence[Unit]) -> ChunkKind:
    rows = sum(unit.is_row for unit in units)
    return "table" if rows == len(units) else "mixed" if rows else "text"

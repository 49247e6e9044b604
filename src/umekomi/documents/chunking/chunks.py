"""Blocks to chunks: whole sentences and table rows, packed to a size in the target model's own tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from umekomi.documents.chunking.counting import TokenCounter
from umekomi.documents.chunking.packing import ChunkSize, Packer, Unit
from umekomi.documents.chunking.sentences import iter_sentences
from umekomi.documents.document import Block, Chunk, Document

_WINDOW_BLOCKS: Final = 64
"""Blocks whose sentences are counted in one call of the tokenizer."""


def build_chunks(document: Document, counter: TokenCounter, *, size: ChunkSize | None = None) -> Iterator[Chunk]:
    """The chunks of ``document``, in order. No two overlap, and together they hold all of its text.

    counter  of the model that is to embed them: `load_counter`
    size     256 to 384 tokens, or less where the model takes less
    """
    return iter_chunks(document.blocks, counter, document_id=document.id, source=document.path, size=size)


def iter_chunks(
    blocks: Iterable[Block], counter: TokenCounter, *, document_id: str, source: str, size: ChunkSize | None = None
) -> Iterator[Chunk]:
    """As `build_chunks`, for blocks that come as a stream; holds some dozens of them at a time."""
    packer = Packer(counter, (size or ChunkSize()).within(counter.room), document_id=document_id, source=source)
    source_blocks = iter(blocks)
    while window := list(islice(source_blocks, _WINDOW_BLOCKS)):
        for unit in _units(window, counter):
            yield from packer.add(unit)
    yield from packer.finish()


def _units(blocks: Sequence[Block], counter: TokenCounter) -> Iterator[Unit]:
    spans = [(block, start, end) for block in blocks for start, end in _spans(block)]
    counts = counter.count([block.text[start:end] for block, start, end in spans])
    for (block, start, end), tokens in zip(spans, counts, strict=True):
        yield Unit(block, start, end, tokens)


def _spans(block: Block) -> Iterator[tuple[int, int]]:
    if block.kind == "heading":
        yield 0, len(block.text)
    elif block.kind == "text":
        yield from iter_sentences(block.text)
    else:
        start = 0
        if block.header_characters:
            yield 0, block.header_characters
            start = block.header_characters
        while start < len(block.text):
            line = block.text.find("\n", start + 1)
            end = len(block.text) if line < 0 else line
            yield start, end
            start = end

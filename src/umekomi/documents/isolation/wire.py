"""What passes between the pool and a reading process: a JSON object a line, so that nothing received can run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final

import orjson

from umekomi.documents.document import Block, FileOutcome, Piece

MAX_FRAME_BYTES: Final = 256 * 1024 * 1024
"""A longer line is none of ours: the process behind it is no longer to be trusted."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file to read. ``shown``: its path as messages and results name it."""

    path: Path
    shown: str
    encoding: str | None = None
    layout: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One message of a reading process: blocks, or the outcome that ends a file, or only a sign of life."""

    blocks: tuple[Block, ...] = ()
    document_id: str | None = None
    outcome: FileOutcome | None = None


def shown_path(path: Path) -> str:
    """``path`` as text that can be written anywhere: names that are no UTF-8 have their bytes written out."""
    return str(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def write_line(file: IO[bytes], value: Any) -> None:
    file.write(orjson.dumps(value) + b"\n")
    file.flush()


def encode_job(job: Job) -> dict[str, Any]:
    # As bytes in hex: a file's name may be no text at all.
    path = str(job.path).encode("utf-8", "surrogateescape").hex()
    return {"path": path, "shown": job.shown, "encoding": job.encoding, "layout": job.layout}


def decode_job(line: bytes) -> Job:
    fields = orjson.loads(line)
    path = bytes.fromhex(fields.pop("path")).decode("utf-8", "surrogateescape")
    return Job(Path(path), **fields)


def encode_blocks(blocks: list[Block], document_id: str) -> dict[str, Any]:
    return {"blocks": [_encode_block(block) for block in blocks], "document_id": document_id}


def encode_outcome(outcome: FileOutcome) -> dict[str, Any]:
    return {"outcome": asdict(outcome)}


def decode_frame(line: bytes) -> Frame:
    """Raises `ValueError`, `TypeError` or `KeyError` for a line that is no frame."""
    fields = orjson.loads(line)
    if outcome := fields.get("outcome"):
        return Frame(outcome=FileOutcome(**outcome | {"warnings": tuple(outcome["warnings"])}))
    return Frame(tuple(_decode_block(block) for block in fields.get("blocks", ())), fields.get("document_id"))


def _encode_block(block: Block) -> list[Any]:
    pieces = [
        number for piece in block.pieces for number in (piece.start, piece.page, piece.raw_start, piece.raw_stop)
    ]
    return [block.kind, block.text, block.start, block.level, block.header, block.header_characters, pieces]


def _decode_block(fields: list[Any]) -> Block:
    kind, text, start, level, header, header_characters, numbers = fields
    pieces = tuple(Piece(*numbers[place : place + 4]) for place in range(0, len(numbers), 4))
    return Block(kind, text, start, pieces, level=level, header=header, header_characters=header_characters)

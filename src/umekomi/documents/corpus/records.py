"""What a run knows of each file, as documents.json and the run's journal hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from umekomi.documents.document import Chunk, FileOutcome


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file that is done.

    modified_ns      when the file was last changed: with its size and path, whether it must be read again
    chunks, tokens   how much of it stands in corpus.jsonl
    first_byte, last_byte  its lines there (before the run's end: in its part); equal where it has none
    duplicate_of     a file with the same content, whose chunks stand for both
    """

    outcome: FileOutcome
    modified_ns: int = 0
    chunks: int = 0
    tokens: int = 0
    first_byte: int = 0
    last_byte: int = 0
    duplicate_of: str | None = None

    @property
    def is_final(self) -> bool:
        """Whether reading the file again would give the same: what failed may have been the machine's fault."""
        return self.outcome.status != "failed"

    def as_json(self) -> dict[str, Any]:
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "outcome"}
        return asdict(self.outcome) | own

    @classmethod
    def from_json(cls, entry: dict[str, Any]) -> FileRecord:
        """Raises `TypeError` or `KeyError` where the entry is another version's."""
        own = {field.name for field in fields(cls)}
        outcome = {name: value for name, value in entry.items() if name not in own}
        outcome["warnings"] = tuple(outcome["warnings"])
        return cls(FileOutcome(**outcome), **{name: value for name, value in entry.items() if name in own})

    def as_duplicate(self, original: str) -> FileRecord:
        """The same without chunks of its own, which it says."""
        warnings = (*self.outcome.warnings, f"{_DUPLICATE}{original}: its chunks stand for both")
        return FileRecord(
            replace(self.outcome, status="warned", warnings=warnings), self.modified_ns, duplicate_of=original
        )

    def as_read(self) -> FileRecord:
        """The record as reading gave it, before it was found to be a duplicate."""
        if self.duplicate_of is None:
            return self
        warnings = tuple(each for each in self.outcome.warnings if not each.startswith(_DUPLICATE))
        return replace(
            self, outcome=replace(self.outcome, status="warned" if warnings else "ok", warnings=warnings)
        )


_DUPLICATE = "the same content as "


def stamp(path: Path) -> tuple[int, int]:
    """``(size_bytes, modified_ns)`` of a file; zeros where it cannot be asked."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def chunk_line(chunk: Chunk) -> dict[str, Any]:
    """A line of corpus.jsonl."""
    return {
        "id": chunk.id,
        "text": chunk.text,
        "document_id": chunk.document_id,
        "source": chunk.source,
        "page": chunk.place.page,
        "start": chunk.start,
        "end": chunk.end,
        "raw_start": chunk.place.offset,
        "raw_end": chunk.stop.offset,
        "end_page": chunk.stop.page,
        "tokens": chunk.tokens,
        "language": chunk.language,
        "kind": chunk.kind,
        "headings": list(chunk.headings),
    }

"""`build_corpus`: files to chunks in corpus.jsonl, and how each file ended in documents.json."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import orjson

from umekomi.documents.api import ReadOptions
from umekomi.documents.chunking.chunks import iter_chunks
from umekomi.documents.chunking.counting import TokenCounter
from umekomi.documents.chunking.packing import ChunkSize
from umekomi.documents.corpus.journal import Journal, single_run
from umekomi.documents.corpus.output import (
    DOCUMENTS_FILE,
    check_folder,
    copy_range,
    remove_leftovers,
    sha256_of,
)
from umekomi.documents.corpus.records import FileRecord, chunk_line, stamp
from umekomi.documents.extras import check_installed
from umekomi.documents.files import Found, find_files
from umekomi.documents.isolation.pool import Delivery, Handled, read_all
from umekomi.documents.isolation.wire import Job, shown_path
from umekomi.errors import InvalidInput
from umekomi.writing import replacing

READER_VERSION: Final = 1
"""Raised when reading or chunking changes what a file becomes, so that files are read again."""


@dataclass(frozen=True, slots=True)
class CorpusReport:
    """How a run ended.

    files    every file in the order of the corpus
    skipped  what was not read at all, and why: hidden files, links to folders, suffixes without a reader
    read     how many files were read now; the others had not changed since the last run
    """

    output: Path
    files: tuple[FileRecord, ...]
    skipped: tuple[tuple[str, str], ...]
    read: int
    totals: dict[str, int] = field(default_factory=dict)


def build_corpus(
    paths: Iterable[Path],
    output: Path,
    counter: TokenCounter,
    *,
    size: ChunkSize | None = None,
    options: ReadOptions | None = None,
    model: str = "",
    progress: Callable[[int], None] = lambda _files: None,
) -> CorpusReport:
    """Read ``paths``, folders with all below them, and write their chunks to ``output``, a .jsonl file.

    size      of chunks; made smaller where the model takes less
    model     what documents.json calls the model whose tokens were counted
    progress  called with how many more files are done

    Beside ``output``, documents.json says how each file ended. A run that was killed goes on where it stopped, and
    a later one reads only files that are new, changed or failed. Raises `InvalidInput` for a path that does not
    exist, `ConfigError`, `MissingExtra`, and `StoreError` where the output cannot be written.
    """
    check_folder(output)
    options = options or ReadOptions()
    size = (size or ChunkSize()).within(counter.room)
    check_installed(layout=options.layout)
    folder = output.with_name(f".{output.name}.parts")
    with single_run(folder):
        remove_leftovers(output)
        run = _Run(output, counter, size, options)
        journal = Journal(folder, run.settings)
        found, skipped = _sort_out(paths)
        earlier = _Earlier.load(output, run.settings)
        read = run.read_missing(found, journal, earlier, progress)
        report = run.assemble(found, skipped, journal, earlier)
        run.write_documents(replace(report, read=read), model)
        journal.remove()
    return replace(report, read=read)


def _sort_out(paths: Iterable[Path]) -> tuple[dict[str, Path], tuple[tuple[str, str], ...]]:
    found: dict[str, Path] = {}
    skipped: list[tuple[str, str]] = []
    for each in find_files(paths):
        if isinstance(each, Found):
            found[shown_path(each.path)] = each.path
        else:
            skipped.append((shown_path(each.path), each.why))
    if not found:
        more = f"; skipped were {len(skipped)}, such as {skipped[0][0]} ({skipped[0][1]})" if skipped else ""
        raise InvalidInput(f"no file to read{more}")
    return found, tuple(skipped)


@dataclass(frozen=True, slots=True)
class _Earlier:
    """The corpus that stands there from an earlier run with the same settings."""

    output: Path
    records: dict[str, FileRecord]

    @classmethod
    def load(cls, output: Path, settings: str) -> _Earlier:
        """Nothing where there is none, it is another version's, or the two files do not belong together."""
        try:
            stated = json.loads((output.parent / DOCUMENTS_FILE).read_bytes())
            if stated["settings_hash"] != settings or stated["corpus_sha256"] != sha256_of(output):
                return cls(output, {})
            records = [FileRecord.from_json(entry) for entry in stated["files"]]
        except (OSError, ValueError, TypeError, KeyError):
            return cls(output, {})
        return cls(output, {record.outcome.path: record for record in records})


class _Run:
    """One run's settings, and its steps."""

    def __init__(self, output: Path, counter: TokenCounter, size: ChunkSize, options: ReadOptions) -> None:
        self._output = output
        self._counter = counter
        self._size = size
        self._options = options
        self._described = {
            "reader": READER_VERSION,
            "tokens": counter.name,
            "min_tokens": size.min_tokens,
            "max_tokens": size.max_tokens,
            "encoding": options.encoding,
            "layout": options.layout,
        }
        self.settings = hashlib.sha256(json.dumps(self._described, sort_keys=True).encode()).hexdigest()[:32]

    def read_missing(
        self,
        found: dict[str, Path],
        journal: Journal,
        earlier: _Earlier,
        progress: Callable[[int], None],
    ) -> int:
        """Read what neither the journal nor the earlier corpus has as it is now; gives how many files that were."""
        stamps = {shown: stamp(path) for shown, path in found.items()}
        known = earlier.records | journal.records
        missing = [shown for shown in found if not _is_known(shown, known, stamps)]
        progress(len(found) - len(missing))
        options = self._options
        jobs = (Job(found[shown], shown, encoding=options.encoding, layout=options.layout) for shown in missing)
        for handled in read_all(
            jobs,
            lambda delivery: self._handle(delivery, journal),
            processes=options.processes,
            limits=options.limits,
        ):
            journal.add(_record(handled, stamps[handled.job.shown]))
            progress(1)
        return len(missing)

    def _handle(self, delivery: Delivery, journal: Journal) -> tuple[int, int, int]:
        """Write a file's chunks as its blocks come: chunks, their tokens, their bytes."""
        first = next(delivery.blocks, None)
        if first is None:
            return 0, 0, 0
        counts: Counter[str] = Counter()

        def lines() -> Iterator[dict[str, Any]]:
            blocks = itertools.chain([first], delivery.blocks)
            shown, id_ = delivery.job.shown, delivery.document_id
            for chunk in iter_chunks(blocks, self._counter, document_id=id_, source=shown, size=self._size):
                counts.update(chunks=1, tokens=chunk.tokens)
                yield chunk_line(chunk)

        size_bytes = journal.write_part(delivery.job.shown, lines())
        return counts["chunks"], counts["tokens"], size_bytes

    def assemble(
        self,
        found: dict[str, Path],
        skipped: tuple[tuple[str, str], ...],
        journal: Journal,
        earlier: _Earlier,
    ) -> CorpusReport:
        """Write corpus.jsonl: the chunks of each document once, in the order of the files."""
        records = {shown: journal.records.get(shown) or earlier.records[shown] for shown in found}
        owners = _owners(records)
        files: list[FileRecord] = []
        position = 0
        with replacing(self._output) as out:
            for shown, record in records.items():
                owner = owners.get(record.outcome.document_id or "", shown)
                if owner != shown and record.outcome.status in ("ok", "warned"):
                    files.append(record.as_read().as_duplicate(owner))
                    continue
                source = journal.part(shown) if shown in journal.records else self._output
                length = record.last_byte - record.first_byte
                if length:
                    copy_range(source, record.first_byte, length, out)
                files.append(replace(record, first_byte=position, last_byte=position + length))
                position += length
        return CorpusReport(self._output, tuple(files), skipped, 0, _totals(files, skipped))

    def write_documents(self, report: CorpusReport, model: str) -> None:
        content = {
            "version": 1,
            "settings": self._described | {"model": model},
            "settings_hash": self.settings,
            "corpus": self._output.name,
            "corpus_sha256": sha256_of(self._output),
            "totals": report.totals,
            "files": [record.as_json() for record in report.files],
            "skipped": [{"path": path, "why": why} for path, why in report.skipped],
        }
        with replacing(self._output.parent / DOCUMENTS_FILE) as out:
            out.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def _is_known(shown: str, known: dict[str, FileRecord], stamps: dict[str, tuple[int, int]]) -> bool:
    """Whether the file is as it was when it was read, and with it the one whose chunks stand for it."""
    record = known.get(shown)
    if record is None or not record.is_final or shown not in stamps:
        return False
    unchanged = (record.outcome.size_bytes, record.modified_ns) == stamps[shown]
    return unchanged and (record.duplicate_of is None or _is_known(record.duplicate_of, known, stamps))


def _record(handled: Handled[tuple[int, int, int]], stamp_before: tuple[int, int]) -> FileRecord:
    """With the stamp from before the reading: a file that was changed meanwhile is read again next time."""
    size_bytes, modified_ns = stamp_before
    outcome = replace(handled.outcome, size_bytes=size_bytes)
    if outcome.status not in ("ok", "warned"):
        return FileRecord(outcome, modified_ns)
    chunks, tokens, part_bytes = handled.result
    return FileRecord(outcome, modified_ns, chunks=chunks, tokens=tokens, last_byte=part_bytes)


def _owners(records: dict[str, FileRecord]) -> dict[str, str]:
    """By document id the file whose chunks stand for all of the same content: the first that has them."""
    owners: dict[str, str] = {}
    for shown, record in records.items():
        id_ = record.outcome.document_id
        if id_ and record.outcome.status in ("ok", "warned") and record.duplicate_of is None:
            owners.setdefault(id_, shown)
    return owners


def _totals(files: Sequence[FileRecord], skipped: Sequence[tuple[str, str]]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for status in ("ok", "warned", "quarantined", "failed"):
        totals[status] = sum(record.outcome.status == status for record in files)
    totals.update(skipped=len(skipped), chunks=sum(record.chunks for record in files))
    totals.update(tokens=sum(record.tokens for record in files))
    return dict(totals)

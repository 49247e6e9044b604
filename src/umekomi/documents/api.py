"""Reading documents from Python: one, or any number as a stream."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from umekomi.documents.document import Block, Document, FileOutcome
from umekomi.documents.extras import check_installed
from umekomi.documents.files import Found, find_files
from umekomi.documents.isolation.pool import Delivery, Limits, read_all
from umekomi.documents.isolation.wire import Job, shown_path
from umekomi.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How files are read.

    encoding   of files of plain text; found as by `decode_text` where None
    layout     read PDF, DOCX and PPTX with docling: layout, table structure, OCR; slower by far
    processes  that read side by side
    limits     of time and memory for one file
    """

    encoding: str | None = None
    layout: bool = False
    processes: int = 1
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that was read, or was not: ``document`` is None where the outcome is quarantined or failed."""

    outcome: FileOutcome
    document: Document | None


def read_document(path: str | Path, *, options: ReadOptions | None = None) -> Document:
    """The document at ``path``, read in a process of its own.

    Raises `InvalidInput` where it ends as quarantined or failed, with the reason; `MissingExtra`.
    """
    job = _job(Path(path), options or ReadOptions())
    (read,) = _read([job], options or ReadOptions())
    if read.document is None:
        raise InvalidInput(f"{job.shown}: {read.outcome.status}: {read.outcome.reason}")
    return read.document


def iter_documents(paths: Iterable[str | Path], *, options: ReadOptions | None = None) -> Iterator[ReadFile]:
    """All files of ``paths``, folders with everything below them, as they are done and in any order.

    In memory are the documents that are being read and the one given. Nothing is raised for a file that cannot be
    read, which is an outcome. Raises `InvalidInput` for a path that does not exist, `MissingExtra`.
    """
    options = options or ReadOptions()
    found = find_files(map(Path, paths))
    return _read((_job(each.path, options) for each in found if isinstance(each, Found)), options)


def _job(path: Path, options: ReadOptions) -> Job:
    return Job(path, shown_path(path), encoding=options.encoding, layout=options.layout)


def _read(jobs: Iterable[Job], options: ReadOptions) -> Iterator[ReadFile]:
    check_installed(layout=options.layout)
    for handled in read_all(jobs, _blocks_of, processes=options.processes, limits=options.limits):
        outcome = handled.outcome
        if outcome.status in ("quarantined", "failed") or outcome.document_id is None or outcome.format is None:
            yield ReadFile(outcome, None)
            continue
        document = Document(outcome.document_id, outcome.path, outcome.format, outcome.language, handled.result)
        yield ReadFile(outcome, document)


def _blocks_of(delivery: Delivery) -> tuple[Block, ...]:
    return tuple(delivery.blocks)

"""One file from its bytes to its outcome: hash, kind, blocks, and the verdict on what they hold."""

from __future__ import annotations

import hashlib
import stat
import time
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from umekomi.documents.cleaning.passages import Reading, iter_blocks
from umekomi.documents.document import Block, FileOutcome, Quarantined, Status
from umekomi.documents.isolation.wire import Job
from umekomi.documents.languages import language_of
from umekomi.documents.readers.kinds import find_kind, open_reader
from umekomi.errors import UmekomiError

ID_CHARACTERS: Final = 32
MAX_FILE_BYTES: Final = 4 * 1024 * 1024 * 1024

Send: TypeAlias = Callable[[list[Block], str], None]
"""Takes blocks, and the id of the document that they are of."""

_SAMPLE_CHARACTERS: Final = 200_000
_SEND_CHARACTERS: Final = 500_000
_HELD_CHARACTERS: Final = 4_000_000
"""Text that is held back until the verdict; of more, the rest follows as it is read."""

_GARBLED: Final = 0.1
_SUSPICIOUS: Final = 0.01
"""Shares of characters that no text holds, from which a document is quarantined, and warned of."""

_HASHED_BYTES: Final = 1 << 20


def read_file(job: Job, *, send: Send, beat: Callable[[], None]) -> FileOutcome:
    """Read ``job``'s file: its blocks go to ``send``, some at a time, and how it ended is returned.

    Raises nothing for what a file may hold: that is an outcome too.
    """
    started = time.monotonic()
    run = _Run(job, send, beat)
    status, reason = run.read()
    return FileOutcome(
        job.shown,
        status,
        reason,
        tuple(run.reading.warnings),
        document_id=run.document_id,
        format=run.format,
        size_bytes=run.size_bytes,
        pages=run.reading.pages,
        characters=run.characters,
        language=language_of("".join(run.sample)) if status in ("ok", "warned") else "",
        encoding=run.reading.found_encoding,
        dropped=dict(run.reading.dropped),
        seconds=round(time.monotonic() - started, 3),
    )


class _Run:
    """The state of reading one file."""

    def __init__(self, job: Job, send: Send, beat: Callable[[], None]) -> None:
        self.reading = Reading(job.path, encoding=job.encoding, beat=beat)
        self.document_id: str | None = None
        self.format: str | None = None
        self.size_bytes = self.characters = 0
        self.sample: list[str] = []
        self._job = job
        self._send = send
        self._held: list[Block] | None = []

    def read(self) -> tuple[Status, str]:
        try:
            self._identify()
            self._read_blocks()
            return ("warned" if self.reading.warnings else "ok"), ""
        except Quarantined as error:
            return "quarantined", str(error)
        except OSError as error:
            return "failed", f"cannot be read: {error.strerror or error}"
        except MemoryError:
            return "failed", "needs more memory than a reading process may take"
        except RecursionError:
            return "quarantined", "nested too deep"
        except (zipfile.BadZipFile, zlib.error) as error:  # of a part that is read late
            return "quarantined", f"damaged: {error}"
        except SyntaxError as error:  # lxml's, beneath python-docx and python-pptx
            return "quarantined", f"damaged: no valid XML ({error.msg})"
        except UmekomiError as error:
            return "failed", str(error)
        except Exception as error:
            # The libraries raise whatever a damaged file brings them to; one file must not end a run.
            return "failed", f"its reader stopped: {type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def _identify(self) -> None:
        status = self._job.path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise Quarantined("no plain file")
        self.size_bytes = status.st_size
        if self.size_bytes > MAX_FILE_BYTES:
            raise Quarantined(f"{self.size_bytes} bytes; the limit is {MAX_FILE_BYTES}")
        self.document_id = _digest(self._job.path, self.reading.beat)
        kind = find_kind(self._job.path)
        self.format = kind.format
        if kind.warning:
            self.reading.warn(kind.warning)

    def _read_blocks(self) -> None:
        assert self.format is not None
        passages = open_reader(self.format, layout=self._job.layout)(self.reading)
        some: list[Block] = []
        size = 0
        for block in iter_blocks(passages):
            self.characters += len(block.text)
            if self.characters - len(block.text) < _SAMPLE_CHARACTERS:
                self.sample.append(block.text[:_SAMPLE_CHARACTERS])
            some.append(block)
            size += len(block.text)
            if size > _SEND_CHARACTERS:
                self._pass_on(some)
                some, size = [], 0
        self._pass_on(some)
        self._judge()
        self._release()

    def _pass_on(self, blocks: list[Block]) -> None:
        if self._held is None:
            self._send(blocks, self.document_id or "")
            return
        self._held += blocks
        self.reading.beat()
        if self.characters > _HELD_CHARACTERS:
            self._judge()
            self._release()

    def _release(self) -> None:
        held, self._held = self._held or [], None
        for blocks in _batches(held):
            self._send(blocks, self.document_id or "")

    def _judge(self) -> None:
        """Raises `Quarantined` where what was read is nothing, or no text."""
        if not self.characters:
            raise Quarantined("empty: no text in it")
        reading = self.reading
        share = reading.suspect / reading.characters if reading.characters else 0.0
        if share >= _GARBLED:
            raise Quarantined(f"garbled: the fonts name no characters for {share:.0%} of its text: needs OCR")
        seen = "".join(self.sample)
        share = max(share, sum(map(_is_no_text, seen)) / len(seen))
        if share >= _GARBLED:
            raise Quarantined(f"garbled: {share:.0%} of its characters are no text")
        if share >= _SUSPICIOUS:
            reading.warn(f"{share:.1%} of its characters are no text (replaced, private or unassigned)")


def _batches(blocks: list[Block]) -> Iterator[list[Block]]:
    some: list[Block] = []
    size = 0
    for block in blocks:
        some.append(block)
        size += len(block.text)
        if size > _SEND_CHARACTERS:
            yield some
            some, size = [], 0
    if some:
        yield some


def _is_no_text(char: str) -> bool:
    return char > "\x7f" and (
        char == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(char) in ("Co", "Cn", "Cs")
    )


def _digest(path: Path, beat: Callable[[], None]) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for number, block in enumerate(iter(lambda: file.read(_HASHED_BYTES), b"")):
            digest.update(block)
            if number % 64 == 63:
                beat()
    return digest.hexdigest()[:ID_CHARACTERS]

"""The unfinished run on disk: each file's chunks once it is read, and then a line that says that they are whole."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from umekomi.documents.corpus.records import FileRecord
from umekomi.errors import StoreError
from umekomi.writing import replacing

_JOURNAL = "files.jsonl"


class Journal:
    """A folder beside the output. Safe to use from several threads.

    ``settings``: a hash of all that decides what a file becomes. A folder of other settings is thrown away.
    """

    def __init__(self, folder: Path, settings: str) -> None:
        self.records: dict[str, FileRecord] = {}
        self._folder = folder
        self._lock = threading.Lock()
        try:
            lines = _lines(folder / _JOURNAL)
            if next(lines, None) != {"settings": settings}:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True, exist_ok=True)
                _append(folder / _JOURNAL, {"settings": settings})
                return
            for line in lines:
                self._take(line)
            _end_line(folder / _JOURNAL)
        except OSError as error:
            raise StoreError(f"{folder}: cannot be used: {error.strerror or error}") from None

    def _take(self, line: Any) -> None:
        try:
            record = FileRecord.from_json(line)
            if not record.chunks or self.part(record.outcome.path).stat().st_size == record.last_byte:
                self.records[record.outcome.path] = record
        except (TypeError, KeyError, AttributeError, OSError):
            return  # cut off by a crash: the file is read again

    def part(self, shown: str) -> Path:
        """Where the chunks of a file are kept."""
        return self._folder / f"{hashlib.sha256(shown.encode()).hexdigest()[:32]}.jsonl"

    def write_part(self, shown: str, lines: Iterable[dict[str, Any]]) -> int:
        """Write a file's chunks; gives their size in bytes. Raises `StoreError`."""
        size = 0
        with replacing(self.part(shown)) as out:
            for line in lines:
                size += out.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return size

    def add(self, record: FileRecord) -> None:
        """Note that a file is done. Raises `StoreError`."""
        with self._lock:
            self.records[record.outcome.path] = record
            try:
                _append(self._folder / _JOURNAL, record.as_json())
            except OSError as error:
                raise StoreError(f"{self._folder}: cannot be written: {error.strerror or error}") from None

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _append(path: Path, value: Any) -> None:
    with path.open("ab") as file:
        file.write(orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE))


def _end_line(path: Path) -> None:
    """End a line that a crash cut off, so that the next does not become a part of it."""
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _lines(path: Path) -> Iterator[Any]:
    """The objects of a journal; what a crash cut off is left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                yield None


@contextmanager
def single_run(folder: Path) -> Iterator[None]:
    """Keeps a second run from the same output. Raises `StoreError` where one is at work."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder.with_name(folder.name + ".lock"), timeout=0)
    try:
        with lock:
            yield
    except Timeout:
        raise StoreError(f"{folder}: another run is writing there; wait for it, or choose another output") from None

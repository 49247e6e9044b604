"""A line of JSON for each request, written by a thread and rotated by size. By default no text and no vector.

`RequestLog.write` never waits: where the disk does not keep up, lines are dropped and counted, and the log says how
many. Capture, for finding mistakes in requests, is opted into for a limited time and ends by itself; a line that
holds what a client sent or got begins with ``captured``.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

from umekomi.errors import StoreError

MAX_QUEUED_LINES = 10_000
MAX_CAPTURED_CHARS = 20_000
"""Of a request's body and of its answer each; with the queue's length this bounds the memory that lines take."""

_log = logging.getLogger("umekomi.serve")


@dataclass(frozen=True, slots=True)
class Line:
    """What is known of a finished request.

    key        prefix of the API key, never the key; None where the server asks for none
    durations  milliseconds by stage
    client     address that the request came from
    """

    request_id: str
    route: str
    status: int
    duration_ms: float
    key: str | None = None
    key_name: str | None = None
    model: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    truncated: int = 0
    durations: Mapping[str, float] = field(default_factory=dict)
    client: str | None = None


class RequestLog:
    """The log in ``path`` and its older files ``path.1``, ``path.2`` …, all private to their owner.

    ``capture_s`` turns capture on for so many seconds from now. One process writes to one path.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_file_bytes: int = 50_000_000,
        max_files: int = 5,
        capture_s: float | None = None,
        max_queued_lines: int = MAX_QUEUED_LINES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = _Rotation(path, max_file_bytes=max_file_bytes, max_files=max_files)
        self._clock = clock
        self._capture_until = None if capture_s is None else clock() + capture_s
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(max_queued_lines)
        self._lock = threading.Lock()
        self._dropped = 0
        self._unsaid = 0
        self._failing = False
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="umekomi-request-log", daemon=True)
        self._thread.start()
        if capture_s is not None:
            self._put({"event": "capture on", "time": _now(), "seconds": capture_s})

    @property
    def dropped(self) -> int:
        """Lines that were not written, since the start."""
        return self._dropped

    @property
    def capturing(self) -> bool:
        """Whether `write` keeps what it is given as captured. Ask before collecting it."""
        return self._capture_until is not None and self._clock() < self._capture_until

    def write(self, line: Line, *, captured: Mapping[str, str] | None = None) -> None:
        """Log a request. ``captured`` (such as ``request`` and ``answer``) is left out unless capture is on."""
        record: dict[str, Any] = {"time": _now()} | {name: getattr(line, name) for name in line.__slots__}
        if captured and self.capturing:
            record = {"captured": {part: _cut(text) for part, text in captured.items()}} | record
        self._end_capture()
        self._put(record)

    def close(self) -> None:
        """Write what waits, and stop."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        self._files.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _end_capture(self) -> None:
        if self._capture_until is not None and not self.capturing:
            self._capture_until = None
            self._put({"event": "capture off", "time": _now()})

    def _put(self, record: dict[str, Any]) -> None:
        try:
            if self._closed:
                raise queue.Full
            self._queue.put_nowait(record)
        except queue.Full:
            self._count_dropped(1)

    def _count_dropped(self, lines: int) -> None:
        with self._lock:
            self._dropped += lines
            self._unsaid += lines

    def _run(self) -> None:
        going = True
        while going:
            records = [self._queue.get()]
            while not self._queue.empty() and len(records) < 1000:
                records.append(self._queue.get())
            going = all(record is not None for record in records)
            self._write_lines([_encode(record) for record in records if record is not None])

    def _write_lines(self, lines: list[bytes]) -> None:
        with self._lock:
            unsaid, self._unsaid = self._unsaid, 0
        if unsaid:
            lines.append(_encode({"event": "dropped", "time": _now(), "lines": unsaid}))
        try:
            self._files.write(lines)
            self._failing = False
        except OSError as error:
            self._count_dropped(len(lines) - bool(unsaid))
            with self._lock:
                self._unsaid += unsaid
            if not self._failing:  # said once, not for every batch
                _log.error("%s: lines of the request log are lost: %s", self._files.path, error.strerror or error)
            self._failing = True


class _Rotation:
    """A file that is renamed and begun anew before it grows over its limit."""

    def __init__(self, path: Path, *, max_file_bytes: int, max_files: int) -> None:
        self.path = path
        self._max_bytes = max_file_bytes
        self._max_files = max_files
        self._descriptor: int | None = None
        self._size = 0
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except OSError as error:
            raise StoreError(f"{path}: the request log cannot be written: {error.strerror or error}") from None

    def write(self, lines: list[bytes]) -> None:
        """Raises `OSError` where the disk does not take them all; what a failure cut short ends its line."""
        waiting: list[bytes] = []
        size = self._size
        for line in lines:
            if size and size + len(line) > self._max_bytes:
                self._append(waiting)
                waiting, size = [], 0
                self._rotate()
            waiting.append(line)
            size += len(line)
        self._append(waiting)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _append(self, lines: list[bytes]) -> None:
        if self._descriptor is None:
            self._open()
        assert self._descriptor is not None
        rest = memoryview(b"".join(lines))
        try:
            while rest:
                written = os.write(self._descriptor, rest)
                self._size += written
                rest = rest[written:]
        except OSError:
            self.close()  # opening it again ends the line that was cut short
            raise

    def _open(self) -> None:
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(self._descriptor, 0o600)
            self._size = os.fstat(self._descriptor).st_size
            if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
                self._size += os.write(self._descriptor, b"\n")
        except OSError:
            self.close()  # else the next line would be put behind the one that was cut short
            raise

    def _rotate(self) -> None:
        self.close()
        for number in range(self._max_files - 1, 0, -1):
            older = self._numbered(number)
            newer = self._numbered(number - 1)
            if newer.exists():
                newer.replace(older)
        self.path.unlink(missing_ok=True)  # where one file is kept, it is begun anew
        self._open()

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}") if number else self.path


def _encode(record: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:  # a lone surrogate has no UTF-8
        clean = {name: _encodable(value) for name, value in record.items()}
        return orjson.dumps(clean, option=orjson.OPT_APPEND_NEWLINE, default=str)


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return {str(name): _encodable(part) for name, part in value.items()} if isinstance(value, Mapping) else value


def _cut(text: str) -> str:
    over = len(text) - MAX_CAPTURED_CHARS
    return text if over <= 0 else f"{text[:MAX_CAPTURED_CHARS]}… ({over} more characters)"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")

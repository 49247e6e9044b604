"""Who used how much: counted in memory, written to SQLite by a thread, read back for reports.

Counting costs a request a dictionary entry; the disk is never waited for. What a killed process loses is what it
counted since the last write, a second's worth; a normal stop loses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeAlias

from umekomi.errors import StoreError
from umekomi.serve.access.database import explained, open_database, transaction

Grouping: TypeAlias = Literal["day", "key", "model"]

WRITE_EVERY_S = 1.0

_log = logging.getLogger("umekomi.serve")

_ADD = """
INSERT INTO usage (day, key, model, requests, input_tokens, output_tokens, errors) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, key, model) DO UPDATE SET
    requests = requests + excluded.requests,
    input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    errors = errors + excluded.errors
"""


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    errors: int = 0

    def add(self, other: _Counts) -> None:
        self.requests += other.requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.errors += other.errors


@dataclass(frozen=True, slots=True)
class UsageRow:
    """One line of a report. ``day``, ``key_id``, ``key`` and ``model`` are None where the report adds over them.

    ``key`` is a key's name; it and ``key_id`` are empty for requests that needed no key.
    """

    day: str | None
    key_id: str | None
    key: str | None
    model: str | None
    requests: int
    input_tokens: int
    output_tokens: int
    errors: int


class UsageRecorder:
    """Counts requests and writes them in batches. Any thread may call `count`; `close` writes the rest."""

    def __init__(self, path: Path, *, write_every_s: float = WRITE_EVERY_S, clock: Callable[[], float] = time.time):
        self._path = path
        self._every_s = write_every_s
        self._clock = clock
        self._connection = open_database(path)
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str, str], _Counts] = {}
        self._stop = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name="umekomi-usage", daemon=True)
        self._thread.start()

    def count(
        self, *, key_id: str | None, model: str, input_tokens: int = 0, output_tokens: int = 0, failed: bool = False
    ) -> None:
        """Count one request. ``model`` is a served model's own name, so that clients cannot fill the table."""
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        with self._lock:
            counts = self._pending.setdefault((day, key_id or "", model), _Counts())
            counts.add(_Counts(1, input_tokens, output_tokens, int(failed)))

    def close(self) -> None:
        """Write what was counted, and stop. Raises `StoreError` where it cannot be written."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._thread.join()
        try:
            self._write()
        finally:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self._write()
                self._failing = False
            except StoreError as error:
                if not self._failing:  # said once, not every second
                    _log.error("usage is kept in memory and tried again: %s", error)
                self._failing = True

    def _write(self) -> None:
        with self._lock:
            batch, self._pending = self._pending, {}
        if not batch:
            return
        rows = [(*where, c.requests, c.input_tokens, c.output_tokens, c.errors) for where, c in batch.items()]
        try:
            with explained(self._path), transaction(self._connection):
                self._connection.executemany(_ADD, rows)
        except StoreError:
            self._take_back(batch)
            raise

    def _take_back(self, batch: dict[tuple[str, str, str], _Counts]) -> None:
        with self._lock:
            for where, counts in batch.items():
                self._pending.setdefault(where, _Counts()).add(counts)


def read_usage(path: Path, *, since: date | None = None, by: Grouping | None = None) -> list[UsageRow]:
    """Usage from the day ``since`` on, added up by key, model or day; by all three where ``by`` is None.

    Days are in UTC. Sorted by day, or by most tokens where days are added up.
    """
    if not path.exists():
        return []
    columns: tuple[Grouping, ...] = (by,) if by else ("day", "key", "model")
    with closing(open_database(path)) as connection, explained(path):
        rows = connection.execute(_report(columns), (since.isoformat() if since else "",)).fetchall()
    return [UsageRow(*row) for row in rows]


def _report(columns: Sequence[Grouping]) -> str:
    """The statement for a report: of our own words only, for the columns come from a closed list."""
    name = "COALESCE((SELECT name FROM keys WHERE id = usage.key), usage.key)"
    parts = {"day": ("usage.day",), "key": ("usage.key", name), "model": ("usage.model",)}
    shown = [part if column in columns else "NULL" for column, group in parts.items() for part in group]
    grouped = ", ".join(f"usage.{column}" for column in columns)
    order = grouped if "day" in columns else f"SUM(input_tokens) + SUM(output_tokens) DESC, {grouped}"
    sums = "SUM(requests), SUM(input_tokens), SUM(output_tokens), SUM(errors)"
    return f"SELECT {', '.join(shown)}, {sums} FROM usage WHERE day >= ? GROUP BY {grouped} ORDER BY {order}"  # noqa: S608

"""Every answer of the LLM, committed as it comes: what a killed run has paid for is not asked again."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from umekomi.errors import StoreError

VERSION = 1
"""Of the tables; a file of another version is refused rather than read wrongly."""

_TABLES = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    content TEXT,
    problem TEXT,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    attempts INTEGER NOT NULL
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one call.

    content   the answer, fitting its schema; None where no attempt gave one
    problem   why there is no content: what the last attempt sent instead
    seconds   spent in all its attempts
    """

    content: dict[str, Any] | None
    problem: str | None
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    attempts: int


class Ledger:
    """Replies by key in one SQLite file. Safe to use from several threads, and by one process at a time.

    A reply is on disk when `put` returns, so that ``kill -9`` loses the calls in flight and nothing else.
    """

    def __init__(self, path: Path) -> None:
        """Raises `StoreError` where ``path`` cannot be opened, is no ledger, or belongs to another version."""
        self._path = path
        self._lock = threading.Lock()
        with self._naming_failures():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=10)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            found = self._db.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, VERSION):
                raise StoreError(f"{path}: a ledger of version {found}; this umekomi reads version {VERSION}")
            self._db.execute(_TABLES)
            self._db.execute(f"PRAGMA user_version={VERSION}")

    def get(self, key: str) -> Reply | None:
        """The reply kept under ``key``."""
        with self._lock, self._naming_failures():
            row = self._db.execute(
                "SELECT content, problem, prompt_tokens, completion_tokens, seconds, attempts "
                "FROM replies WHERE key = ?",
                (key,),
            ).fetchone()
        if row is None:
            return None
        return Reply(None if row[0] is None else json.loads(row[0]), *row[1:])

    def put(self, key: str, task: str, reply: Reply) -> None:
        """Keep ``reply``; it is on disk on return. Raises `StoreError`, for a full disk too."""
        content = None if reply.content is None else json.dumps(reply.content, ensure_ascii=False)
        figures = (reply.prompt_tokens, reply.completion_tokens, reply.seconds, reply.attempts)
        with self._lock, self._naming_failures():
            self._db.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (key, task, content, reply.problem, *figures),
            )

    def known(self, keys: Sequence[str]) -> set[str]:
        """Which of ``keys`` have a reply."""
        found: set[str] = set()
        with self._lock, self._naming_failures():
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                query = f"SELECT key FROM replies WHERE key IN ({marks})"  # noqa: S608 - question marks only
                found.update(row[0] for row in self._db.execute(query, some))
        return found

    def mean_seconds(self) -> float | None:
        """Seconds of a call, over all that are kept; None where there are none."""
        with self._lock, self._naming_failures():
            mean = self._db.execute("SELECT avg(seconds) FROM replies").fetchone()[0]
        return None if mean is None else float(mean)

    def close(self) -> None:
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _naming_failures(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"{self._path}: {error}; what was kept until now is safe") from None

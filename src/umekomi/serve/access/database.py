"""The SQLite file that keys and usage share: private to its owner, and safe to open from several processes.

Write-ahead logging lets the command line revoke a key while a server reads and counts: readers never wait.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from umekomi.errors import StoreError

BUSY_TIMEOUT_S = 5.0
"""How long a writer waits for another one."""

_APPLICATION_ID = 0x756D656B  # "umek": keeps us from writing into somebody else's database
_VERSION = 1

# No STRICT and no RETURNING: distributions that are in use still have SQLite 3.34.
_SCHEMA = """
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    models TEXT,                     -- JSON list of names; NULL allows every model
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    created_at REAL NOT NULL,        -- seconds since 1970, as all times here
    expires_at REAL,
    revoked_at REAL
);
CREATE UNIQUE INDEX keys_in_force ON keys (name) WHERE revoked_at IS NULL;
CREATE TABLE usage (
    day TEXT NOT NULL,               -- YYYY-MM-DD in UTC
    key TEXT NOT NULL,               -- id of a key; empty where the server asked for none
    model TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    PRIMARY KEY (day, key, model)
) WITHOUT ROWID;
"""


def open_database(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode that any thread may use, one at a time; makes the file where there is none.

    Raises `StoreError` where the file cannot be opened, or is not ours.
    """
    with explained(path):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_private(path)
        connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Failures of the disk and of SQLite as `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}; the database of keys and usage cannot be used") from error
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}; the database of keys cannot be opened") from error


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block's changes, or none."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _make_private(path: Path) -> None:
    """Make the file before SQLite does, whose new files anybody may read. Its -wal and -shm files copy the mode.

    A file that is there is never opened here: closing any descriptor of it would end the locks that this process
    holds through SQLite, and the next process to close its connection would take the log away under our feet.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)) from None
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    if _pragma(connection, "user_version") != _VERSION:
        _create(connection, path)
    if _pragma(connection, "application_id") != _APPLICATION_ID:
        raise StoreError(f"{path}: not a database of umekomi's keys; name another file in keys.file")
    _enter_wal(connection)
    # Enough against corruption in WAL mode; a power cut may undo the last commits, but a crash of ours does not.
    connection.execute("PRAGMA synchronous = NORMAL")


def _create(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        version = _pragma(connection, "user_version")
        if version == _VERSION:  # another process was faster
            return
        if version != 0:
            raise StoreError(f"{path}: of version {version}, made by a newer umekomi than this one; update umekomi")
        if connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            raise StoreError(f"{path}: a database of another program; name another file in keys.file")
        for statement in _SCHEMA.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_VERSION}")


def _enter_wal(connection: sqlite3.Connection) -> None:
    """SQLite does not wait by itself for others while it changes the journal's mode."""
    give_up_at = time.monotonic() + BUSY_TIMEOUT_S
    while _pragma(connection, "journal_mode") != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)


def _pragma(connection: sqlite3.Connection, name: str) -> int | str:
    value: int | str = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value

"""API keys: made, listed, revoked, and recognised. Only a key's hash is kept.

A key reads ``sk-umekomi-ID-SECRET``: the public id finds its row, the secret is compared in constant time. The
prefix up to the id is what lists and logs show.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from umekomi.errors import InvalidInput
from umekomi.serve.access.database import explained, open_database, transaction

State: TypeAlias = Literal["active", "expired", "revoked"]

_START = "sk-umekomi-"
_KEY = re.compile(re.escape(_START) + r"([0-9a-f]{8})-([0-9a-f]{64})")
_INSERT = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_ALL = "SELECT * FROM keys ORDER BY rowid"
_BY_ID = "SELECT * FROM keys WHERE id = ?"
_NAME_IN_FORCE = "SELECT 1 FROM keys WHERE name = ? AND revoked_at IS NULL"
_TO_REVOKE = "SELECT id FROM keys WHERE revoked_at IS NULL AND (id = ? OR name = ?) ORDER BY id = ? DESC LIMIT 1"
_MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Key:
    """What a key allows. ``models`` of None allows every model; a limit of None is no limit."""

    id: str
    name: str
    models: tuple[str, ...] | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @property
    def prefix(self) -> str:
        """The part of the key that may be shown."""
        return _START + self.id

    def allows(self, *names: str) -> bool:
        """Whether the key may use the model that goes by these names."""
        return self.models is None or not set(names).isdisjoint(self.models)

    def state(self, now: datetime) -> State:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and now >= self.expires_at else "active"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, with the one chance to read it."""

    key: Key
    secret: str = field(repr=False)


class KeyStore:
    """The keys in one database file. Any thread may call; other processes may change the file at any time.

    Every answer is read from the file, so a key that another process revoked is refused at once.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._connection = open_database(path)
        self._lock = threading.Lock()

    def create(
        self,
        name: str,
        *,
        models: Sequence[str] | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """A new key. Raises `InvalidInput` for a name that is taken or unfit, or a limit that allows nothing."""
        now = self._clock()
        _check(name, models, requests_per_minute, tokens_per_minute)
        if expires_at is not None and expires_at.timestamp() <= now:
            raise InvalidInput(f"{expires_at:%Y-%m-%d %H:%M %Z} is past; name a later time", param="expires")
        key_id = secrets.token_hex(4)
        text = f"{_START}{key_id}-{secrets.token_hex(32)}"
        allowed = None if models is None else json.dumps(list(models), ensure_ascii=False)
        expiry = None if expires_at is None else expires_at.timestamp()
        row = (key_id, _digest(text), name, allowed, requests_per_minute, tokens_per_minute, now, expiry, None)
        with self._lock, explained(self._path), transaction(self._connection):
            if self._connection.execute(_NAME_IN_FORCE, (name,)).fetchone():
                raise InvalidInput(
                    f"a key is called '{name}' already; revoke it first, or take another name", param="name"
                )
            self._connection.execute(_INSERT, row)
        return NewKey(_key(row), text)

    def list(self) -> tuple[Key, ...]:
        """All keys ever made, the oldest first, revoked and expired ones included."""
        return tuple(_key(row) for row in self._query(_ALL))

    def revoke(self, wanted: str) -> Key:
        """Revoke the key of that name, prefix or text. Raises `InvalidInput` where there is none in force."""
        whole = _KEY.fullmatch(wanted)
        key_id = whole[1] if whole else wanted.removeprefix(_START)
        with self._lock, explained(self._path), transaction(self._connection):
            found = self._connection.execute(_TO_REVOKE, (key_id, wanted, key_id)).fetchone()
            if found is None:
                shown = _START + key_id if whole else wanted
                raise InvalidInput(
                    f"{shown}: no key in force has this name or prefix; see `umekomi keys list`", param="key"
                )
            self._connection.execute("UPDATE keys SET revoked_at = ? WHERE id = ?", (self._clock(), *found))
        revoked = self._find(found[0])
        assert revoked is not None
        return revoked[0]

    def authenticate(self, text: str) -> Key | None:
        """The key in force that ``text`` is, or None. Takes some 20 µs, and never waits for a writer."""
        parts = _KEY.fullmatch(text)
        if parts is None:
            return None
        found = self._find(parts[1])
        # Compared even where there is no such id, so that the time tells nothing about which ids exist.
        expected = found[1] if found else bytes(32)
        if not hmac.compare_digest(_digest(text), expected) or found is None:
            return None
        key = found[0]
        return key if key.state(datetime.fromtimestamp(self._clock(), UTC)) == "active" else None

    def in_use(self) -> bool:
        """Whether a key was ever made. Stays true when the last one is revoked: that must not open the server."""
        return bool(self._query("SELECT 1 FROM keys LIMIT 1"))

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _find(self, key_id: str) -> tuple[Key, bytes] | None:
        rows = self._query(_BY_ID, key_id)
        return (_key(rows[0]), rows[0][1]) if rows else None

    def _query(self, statement: str, *values: str) -> Sequence[Any]:
        with self._lock, explained(self._path):
            return self._connection.execute(statement, values).fetchall()


def _digest(text: str) -> bytes:
    """SHA-256, without salt and stretching on purpose.

    Those slow down the guessing of passwords that people chose. A key is 256 random bits: nobody guesses it, no
    two are equal, and a slow hash would only cost every request its time.
    """
    return hashlib.sha256(text.encode("ascii")).digest()


def _key(row: tuple[Any, ...]) -> Key:
    key_id, _, name, models, requests, tokens, created_at, expires_at, revoked_at = row
    return Key(
        id=key_id,
        name=name,
        models=None if models is None else tuple(json.loads(models)),
        requests_per_minute=requests,
        tokens_per_minute=tokens,
        created_at=datetime.fromtimestamp(created_at, UTC),
        expires_at=_time(expires_at),
        revoked_at=_time(revoked_at),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _check(name: str, models: Sequence[str] | None, *limits: int | None) -> None:
    # A name that begins like a formula would run in the spreadsheet that opens `umekomi usage --csv`.
    if not name or len(name) > _MAX_NAME or not name[0].isalnum() or not name.isprintable():
        raise InvalidInput(
            f"{name[:80]!r}: a key's name begins with a letter or digit and has at most {_MAX_NAME} printable "
            "characters",
            param="name",
        )
    if models is not None and (not models or not all(model.strip() for model in models)):
        raise InvalidInput("a list of models must name at least one, and no empty name", param="models")
    for limit in limits:
        if limit is not None and not 1 <= limit < 2**53:
            raise InvalidInput(f"a limit of {limit} a minute; give 1 or more, or no limit", param="limit")

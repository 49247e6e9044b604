"""What a server asks about a request: whose it is, what it may use, how much is left; and what it has used.

The one door of this folder for the HTTP side, which calls in this order: `identify`, `admit`, `check_model`,
`spend`, and at the end `count`. Knows nothing of HTTP but the form of an Authorization header.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Self

from umekomi.errors import InvalidKey, StoreError, UnknownModel
from umekomi.serve.access.keys import Key, KeyStore
from umekomi.serve.access.limits import RateLimits
from umekomi.serve.access.usage import UsageRecorder

_log = logging.getLogger("umekomi.serve")

_MISSING = "This server needs an API key; send it as the header 'Authorization: Bearer …'."
_WRONG = "Incorrect API key provided; it may have been revoked, or have expired."


class Gate:
    """Keys, limits and usage of one server. Without a store, every request passes and nothing is kept."""

    def __init__(
        self, store: KeyStore | None, usage: UsageRecorder | None, *, limits: RateLimits | None = None
    ) -> None:
        self._store = store
        self._usage = usage
        self._limits = limits or RateLimits()
        self._closed_to_strangers = False

    @classmethod
    def open(cls, database: Path) -> Self:
        """The gate for a database file, which is made where there is none.

        Raises `StoreError` where the file is there and cannot be used: a server must not open up because its disk
        failed. Where it can only not be made, as on a read-only disk, there are no keys, and usage is not kept.
        """
        try:
            store = KeyStore(database)
        except StoreError as error:
            if _may_exist(database):
                raise
            _log.warning("usage is not kept: %s", error)
            return cls(None, None)
        try:
            return cls(store, UsageRecorder(database))
        except BaseException:
            store.close()
            raise

    @property
    def keys_needed(self) -> bool:
        """Whether a request needs a key: from the first key on that was ever made, also while the server runs."""
        if not self._closed_to_strangers and self._store is not None:
            self._closed_to_strangers = self._store.in_use()
        return self._closed_to_strangers

    def identify(self, authorization: str | None) -> Key | None:
        """The key of an Authorization header; None where no key is needed, whatever the header says.

        Raises `InvalidKey`, the same for every wrong key. Ask before looking at anything else of a request.
        """
        if not self.keys_needed or self._store is None:
            return None
        scheme, _, text = (authorization or "").strip().partition(" ")
        if not text or scheme.lower() != "bearer":
            raise InvalidKey(_MISSING)
        if (key := self._store.authenticate(text.strip())) is None:
            raise InvalidKey(_WRONG)
        return key

    def admit(self, key: Key | None) -> None:
        """Count a request against its key. Raises `Overloaded` at the key's limit."""
        if key is not None:
            self._limits.take_request(key)

    def check_model(self, key: Key | None, asked: str, *names: str) -> None:
        """Raises `UnknownModel` where the key may not use the model of these names, as if there were none."""
        if key is not None and not key.allows(asked, *names):
            raise UnknownModel(f"The model `{asked}` does not exist or you do not have access to it.")

    def spend(self, key: Key | None, tokens: int) -> None:
        """Count a request's input tokens before they run. Raises as `RateLimits.take_tokens` does."""
        if key is not None:
            self._limits.take_tokens(key, tokens)

    def charge(self, key: Key | None, tokens: int) -> None:
        """Count input tokens that are known only after they ran. Before, `spend` 0 to refuse a key that owes."""
        if key is not None:
            self._limits.charge_tokens(key, tokens)

    def headers(self, key: Key | None) -> dict[str, str]:
        """``x-ratelimit-*`` headers for the answer, errors included."""
        return {} if key is None else self._limits.headroom(key).headers()

    def count(
        self,
        key: Key | None,
        *,
        model: str,
        input_tokens: int = 0,
        output_tokens: int = 0,
        failed: bool = False,
    ) -> None:
        """Record what a finished request has used, and charge its answer's tokens. Never waits for the disk."""
        if key is not None:
            self._limits.charge_tokens(key, output_tokens)
        if self._usage is not None:
            self._usage.count(
                key_id=key.id if key else None,
                model=model,
                input_tokens=input_tokens,
                output_tokens=output_tokens,
                failed=failed,
            )

    def close(self) -> None:
        """Write the last usage. Raises `StoreError` where that fails."""
        try:
            if self._usage is not None:
                self._usage.close()
        finally:
            if self._store is not None:
                self._store.close()


def _may_exist(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # nobody lets us look
        return True

"""sha256 of a model's files, remembered so that a start does not read hundreds of megabytes again."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from umekomi.errors import BrokenModel

_BLOCK_BYTES = 1024 * 1024
_WORTH_REMEMBERING_BYTES = 1024 * 1024
_SETTLED_S = 2.0
"""A file changed this lately may change again within the clock's grain, unseen by its time stamp."""


def sha256_of_file(path: Path) -> str:
    """sha256 of the file's content, in hex. Raises `OSError`."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def combine(parts: Iterable[str]) -> str:
    """One sha256 over several texts, in order; where one text ends and the next begins matters."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


class DigestCache:
    """sha256 by path, size, time stamp and inode: one small file for each path, in ``folder``.

    A cache that cannot be written, or is damaged, costs time and nothing else.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def sha256(self, path: Path) -> str:
        """sha256 of the file's content, in hex. Raises `BrokenModel` where it cannot be read."""
        try:
            real = path.resolve()
            state = _state(real)
            if state["size"] < _WORTH_REMEMBERING_BYTES:
                return sha256_of_file(real)
            note = self._folder / f"{hashlib.sha256(str(real).encode()).hexdigest()[:32]}.json"
            if known := _recall(note, state):
                return known
            digest = sha256_of_file(real)
            if _state(real) == state and time.time() - state["mtime_ns"] / 1e9 > _SETTLED_S:
                _remember(note, {**state, "sha256": digest, "path": str(real)})
            return digest
        except OSError as error:
            raise BrokenModel(f"{path}: cannot be read: {error.strerror}") from None


def _state(path: Path) -> dict[str, int]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "inode": stat.st_ino}


def _recall(note: Path, state: dict[str, int]) -> str | None:
    try:
        content = json.loads(note.read_text())
        if all(content[key] == value for key, value in state.items()) and len(content["sha256"]) == 64:
            return str(content["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _remember(note: Path, content: dict[str, object]) -> None:
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=note.parent, suffix=".tmp")
        with os.fdopen(descriptor, "w") as file:
            json.dump(content, file)
        Path(temporary).replace(note)

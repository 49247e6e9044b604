"""Embedding many texts so that nothing is lost: each finished window is kept on disk until the whole is done.

A window's file is named by a hash of its texts and of everything that decides their vectors, so a second run after
a crash, or after texts were added at the end, computes only what is missing.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from umekomi.embedding.embedder import WINDOW_TEXTS
from umekomi.embedding.texts import check_texts
from umekomi.errors import StoreError
from umekomi.types import Embeddings, Role, Truncation


class Source(Protocol):
    """What gives vectors: an `Embedder`, or a model behind an address."""

    @property
    def fingerprint(self) -> str: ...

    def iter_embed(
        self,
        texts: Iterable[str],
        *,
        role: Role,
        truncation: Truncation,
        dimensions: int | None,
        window_texts: int,
    ) -> Iterator[Embeddings]:
        """As `Embedder.iter_embed`: one `Embeddings` for every ``window_texts`` texts, in order."""
        ...


def embed_resumably(
    source: Source,
    texts: Sequence[str],
    *,
    folder: Path,
    role: Role,
    truncation: Truncation = "end",
    dimensions: int | None = None,
    window_texts: int = WINDOW_TEXTS,
    progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Embeddings]:
    """As `Embedder.iter_embed`, one `Embeddings` a window in order, with finished windows kept in ``folder``.

    ``progress`` is called with the number of texts that became ready. Raises what `Embedder.embed` raises, before
    any work for a bad text, and `StoreError` where ``folder`` cannot be written. The caller removes ``folder`` when
    it has put the vectors somewhere safe.
    """
    check_texts(texts)
    setting = f"{source.fingerprint}\0{role}\0{truncation}\0{dimensions}"
    windows = [texts[start : start + window_texts] for start in range(0, len(texts), window_texts)]
    paths = [folder / f"{_key(setting, window)}.npz" for window in windows]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        todo: deque[Path] = deque()

        def missing_texts() -> Iterator[str]:
            for window, path in zip(windows, paths, strict=True):
                if path.exists():
                    progress(len(window))
                elif path not in todo:
                    todo.append(path)
                    yield from window

        # Only the last window is shorter than the others, so iter_embed's windows are exactly the missing ones.
        for embeddings in source.iter_embed(
            missing_texts(), role=role, truncation=truncation, dimensions=dimensions, window_texts=window_texts
        ):
            _save(embeddings, todo.popleft())
            progress(len(embeddings))
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written: {error.strerror or error}; free space or choose another"
        ) from None
    for path in paths:
        yield _load(path, source.fingerprint)


def _key(setting: str, window: Sequence[str]) -> str:
    digest = hashlib.sha256(setting.encode())
    for text in window:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()[:32]


def _save(embeddings: Embeddings, path: Path) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez(file, vectors=embeddings.vectors, tokens=embeddings.tokens, truncated=embeddings.truncated)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _load(path: Path, fingerprint: str) -> Embeddings:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as part:
            return Embeddings(part["vectors"], part["tokens"], part["truncated"], fingerprint)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path}: damaged ({error}); delete it, and only its texts are embedded again") from None

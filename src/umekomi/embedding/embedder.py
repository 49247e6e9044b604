"""`open_embedder` and `Embedder`: the door through which every part of umekomi turns text into vectors."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from types import TracebackType
from typing import Any, Self, get_args

import numpy as np

from umekomi.embedding.lanes import Lanes, OnBatch
from umekomi.embedding.plan import Priority
from umekomi.embedding.texts import check_texts
from umekomi.embedding.vectors import check_dimensions, cut_dimensions
from umekomi.engines.base import Encoder
from umekomi.engines.hashing import PREFIX as HASHING_PREFIX
from umekomi.engines.hashing import hashing_bundle
from umekomi.engines.registry import open_encoder
from umekomi.errors import InvalidInput
from umekomi.models.card import ModelCard
from umekomi.models.sources import open_model
from umekomi.types import Embeddings, Precision, Prepared, Role, Truncation, Vectors

WINDOW_TEXTS = 1024
"""Texts tokenised at once in bulk: enough for groups of equal length, little enough to start soon."""

WINDOWS_AHEAD = 3
"""Windows queued while the oldest finishes, so that the lanes never wait for the tokenizer."""

_log = logging.getLogger("umekomi")


def open_embedder(
    name: str,
    *,
    precision: Precision = "fp32",
    threads: int | None = None,
    prompts: Mapping[str, str] | None = None,
    engine: str = "auto",
    options: Mapping[str, Any] | None = None,
    notify: Callable[[str], None] | None = None,
) -> Embedder:
    """An open model, fetched first where it is not on this machine yet. Close it, or use it in ``with``.

    name       a folder, a hub id with optional ``@revision``, a starter name, or ``hashing:DIM``
    precision  ``fp32``, or ``int8`` for about three times the speed at a cosine of 0.999 to fp32
    threads    threads for inference; all cores by default
    prompts    prompts that replace the model's own, by role
    engine     name of an engine; ``auto`` chooses by the model's files
    options    the engine's own, as in umekomi.yaml: ``device``, ``dtype`` … of torch, ``ctx_size`` … of llama.cpp
    notify     called with one line where a user must know something (a substitution, a quantised model);
               logged as a warning by default

    Raises `UnknownModel`, `SourceUnavailable`, `UnsupportedModel`, `BrokenModel`, `StoreError`, `MissingExtra`, and
    `ConfigError` for an engine or options that do not fit.
    """
    if precision not in get_args(Precision):
        raise InvalidInput(
            f"precision is {precision!r}; use one of {', '.join(get_args(Precision))}", param="precision"
        )
    bundle = (
        hashing_bundle(name) if name.startswith(HASHING_PREFIX) else open_model(name, notify=notify or _log.warning)
    )
    encoder = open_encoder(
        bundle, engine=engine, precision=precision, threads=threads, prompts=prompts, options=options
    )
    return Embedder(encoder)


class Embedder:
    """A loaded model. Safe to use from several threads; their texts share batches."""

    def __init__(self, encoder: Encoder, *, on_batch: OnBatch | None = None) -> None:
        self._encoder = encoder
        self._lanes = Lanes(encoder, on_batch=on_batch)

    @property
    def card(self) -> ModelCard:
        return self._encoder.card

    @property
    def fingerprint(self) -> str:
        """Which vectors these are comparable with; it goes by the card."""
        return self._encoder.card.fingerprint

    @property
    def ready(self) -> bool:
        """Whether every lane runs; False for the moment in which a lost one is replaced, and once closed."""
        return self._lanes.ready

    @property
    def queued_tokens(self) -> int:
        """Tokens submitted that no lane has taken yet."""
        return self._lanes.queued_tokens

    def queued_tokens_of(self, priority: Priority) -> int:
        """The part of `queued_tokens` that has this priority."""
        return self._lanes.queued_tokens_of(priority)

    def embed(
        self,
        texts: Sequence[str],
        *,
        role: Role,
        truncation: Truncation = "end",
        dimensions: int | None = None,
    ) -> Embeddings:
        """Vectors for ``texts``, in order; a text's vector does not depend on the others.

        role        ``query`` and ``document`` put the model's prompt before each text, ``raw`` nothing
        truncation  what to do with a text longer than ``card.max_tokens``; what was cut is in ``truncated``
        dimensions  keep only the first components, scaled to unit length again

        Raises `InvalidInput` for a text that is not valid Unicode or holds NUL, and for a wrong role or dimensions;
        `InputTooLong` under ``truncation="error"``; `EngineError` where the runtime failed.
        """
        check_texts(texts)  # before any work: a bad text at the end should not cost an hour
        parts = list(self.iter_embed(texts, role=role, truncation=truncation, dimensions=dimensions))
        if len(parts) == 1:
            return parts[0]
        return Embeddings(
            vectors=np.concatenate(
                [np.empty((0, dimensions or self.card.dim), np.float32), *(p.vectors for p in parts)]
            ),
            tokens=np.concatenate([np.empty(0, np.int64), *(p.tokens for p in parts)]),
            truncated=np.concatenate([np.empty(0, np.bool_), *(p.truncated for p in parts)]),
            fingerprint=self.card.fingerprint,
        )

    def iter_embed(
        self,
        texts: Iterable[str],
        *,
        role: Role,
        truncation: Truncation = "end",
        dimensions: int | None = None,
        window_texts: int = WINDOW_TEXTS,
    ) -> Iterator[Embeddings]:
        """As `embed`, for any number of texts in bounded memory: yields one `Embeddings` for each window of
        ``window_texts`` texts, in order. Closing the iterator early drops what has not run."""
        check_dimensions(dimensions, self.card.dim)
        running: deque[tuple[list[Prepared], Future[Vectors]]] = deque()
        source = iter(texts)
        try:
            while window := list(islice(source, window_texts)):
                prepared = self.prepare(window, role=role, truncation=truncation)
                running.append((prepared, self.submit(prepared)))
                if len(running) > WINDOWS_AHEAD:
                    yield self._finish(*running.popleft(), dimensions=dimensions)
            while running:
                yield self._finish(*running.popleft(), dimensions=dimensions)
        finally:
            for _, future in running:
                future.cancel()

    def prepare(self, texts: Sequence[str], *, role: Role, truncation: Truncation = "end") -> list[Prepared]:
        """Token ids for ``texts`` with the role's prompt, in order. Raises as `embed` does."""
        if role not in get_args(Role):
            raise InvalidInput(f"role is {role!r}; use one of {', '.join(get_args(Role))}", param="role")
        if truncation not in get_args(Truncation):
            raise InvalidInput(
                f"truncation is {truncation!r}; use one of {', '.join(get_args(Truncation))}",
                param="truncation",
            )
        check_texts(texts)
        return self._encoder.prepare(texts, prompt=self.card.prompt_for(role), truncation=truncation)

    def submit(
        self,
        prepared: Sequence[Prepared],
        *,
        priority: Priority | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> Future[Vectors]:
        """A future of the vectors for ``prepared``; ``cancel()`` drops what has not run yet.

        ``priority`` goes by the number of tokens where it is None: large work waits behind small. ``on_start`` is
        called in another thread as soon as the first of them is taken to be run.
        """
        return self._lanes.submit(prepared, priority=priority, on_start=on_start)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the model's own token ids. Raises `InvalidInput` for an id out of range."""
        return self._encoder.decode(ids)

    def close(self) -> None:
        """Let running batches finish, fail what still waits, and give back threads and memory."""
        self._lanes.close()
        self._encoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _finish(self, prepared: list[Prepared], future: Future[Vectors], *, dimensions: int | None) -> Embeddings:
        return Embeddings(
            vectors=cut_dimensions(future.result(), dimensions),
            tokens=np.array([text.tokens for text in prepared], np.int64),
            truncated=np.array([text.truncated for text in prepared], np.bool_),
            fingerprint=self.card.fingerprint,
        )

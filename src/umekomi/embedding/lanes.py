"""Threads that run batches. Texts of all callers meet in one queue, so that batches form across requests."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from umekomi.embedding.plan import Priority, Queue, priority_of
from umekomi.engines.base import Encoder
from umekomi.errors import EngineError, UmekomiError, Unavailable
from umekomi.types import Prepared, Vectors

LEAST_BATCH_TOKENS = 64
"""A queue is not cut into smaller batches than this: each has a price of its own, whatever its size."""

_log = logging.getLogger("umekomi.embedding")


@dataclass(frozen=True, slots=True)
class BatchRun:
    """One run of the engine that has worked: how much it took in, and for how long it ran."""

    texts: int
    tokens: int
    seconds: float


OnBatch: TypeAlias = Callable[[BatchRun], None]
"""Told of every run in the thread that ran it; quick, and raises nothing."""


@dataclass(slots=True, eq=False)
class _Submission:
    """One caller's texts: where their vectors go, and how many are still missing."""

    vectors: Vectors
    missing: int
    on_start: Callable[[], None] | None = None
    future: Future[Vectors] = field(default_factory=Future)


@dataclass(frozen=True, slots=True, eq=False)
class _Text:
    """One text in the queue: the row of its submission that its vector belongs to."""

    prepared: Prepared
    submission: _Submission
    row: int


class Lanes:
    """``encoder.lanes`` threads that take batches from one queue and run them.

    A cancelled submission's texts are dropped before a batch is formed. A failing batch fails the submissions in it
    and no other; a thread that is lost with it is replaced. `close` lets running batches finish and fails what
    still waits.
    """

    def __init__(self, encoder: Encoder, *, on_batch: OnBatch | None = None) -> None:
        self._encoder = encoder
        self._on_batch = on_batch
        self._waiting: Queue[_Text] = Queue()
        self._changed = threading.Condition()
        self._closed = False
        self._threads: set[threading.Thread] = set()
        for number in range(encoder.lanes):
            self._start(f"umekomi-lane-{number}")

    @property
    def ready(self) -> bool:
        """Whether every lane runs: False between the loss of a thread and its replacement, and once closed."""
        with self._changed:
            return not self._closed and len(self._threads) == self._encoder.lanes

    @property
    def queued_tokens(self) -> int:
        """Tokens waiting for a lane, not counting what runs."""
        return self._waiting.tokens

    def queued_tokens_of(self, priority: Priority) -> int:
        """The part of `queued_tokens` that has this priority."""
        return self._waiting.tokens_of(priority)

    def submit(
        self,
        prepared: Sequence[Prepared],
        *,
        priority: Priority | None = None,
        on_start: Callable[[], None] | None = None,
    ) -> Future[Vectors]:
        """A future of the vectors for ``prepared``: float32 ``(len(prepared), dim)``, in order.

        ``priority`` goes by the number of tokens where it is None. ``on_start`` is called by a lane that takes the
        first of the texts; it is quick, and raises nothing. Raises `Unavailable` once the lanes are closed;
        the future raises `EngineError` where running failed.
        """
        dim = self._encoder.card.dim
        vectors = np.empty((len(prepared), dim), np.float32)
        submission = _Submission(vectors, missing=len(prepared), on_start=on_start)
        if not prepared:
            submission.future.set_result(submission.vectors)
            return submission.future
        priority = priority or priority_of(sum(text.tokens for text in prepared))
        with self._changed:
            if self._closed:
                raise Unavailable(f"{self._encoder.card.name} has been closed; open it again")
            for row, text in enumerate(prepared):
                self._waiting.add(_Text(text, submission, row), text.tokens, priority)
            self._changed.notify_all()
        return submission.future

    def close(self) -> None:
        with self._changed:
            if self._closed:
                return
            self._closed = True
            abandoned = {text.submission for text in self._drain()}
            threads = list(self._threads)
            self._changed.notify_all()
        for thread in threads:
            thread.join()
        for submission in abandoned:
            _fail(submission, Unavailable(f"{self._encoder.card.name} was closed before this text ran"))

    def _drain(self) -> list[_Text]:
        drained: list[_Text] = []
        while batch := self._waiting.take(budget=1 << 30):
            drained.extend(batch)
        return drained

    def _start(self, name: str) -> None:
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()

    def _work(self) -> None:
        while (batch := self._next_batch()) is not None:
            try:
                if batch:
                    self._run(batch)
            except BaseException as error:  # whatever ended this thread ends neither its callers' wait nor the lane
                self._replace(threading.current_thread(), batch, error)
                return

    def _replace(self, lost: threading.Thread, batch: list[_Text], error: BaseException) -> None:
        _log.error("lane lost model=%s; starting it again", self._encoder.card.name, exc_info=error)
        with self._changed:
            self._threads.discard(lost)
            if not self._closed:
                self._start(lost.name)
        failure = EngineError(f"the engine stopped while it ran this text: {error!r}")
        for submission in {text.submission for text in batch}:
            _fail(submission, failure)

    def _next_batch(self) -> list[_Text] | None:
        """The next texts whose callers still wait; None when closed."""
        with self._changed:
            while not self._waiting.tokens and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            batch = self._waiting.take(self._budget())
        wanted = [text for text in batch if not text.submission.future.done()]
        for text in wanted:
            start, text.submission.on_start = text.submission.on_start, None
            if start is not None:
                start()
        return wanted

    def _budget(self) -> int:
        """Tokens of the next batch: this lane's share of a short queue, so that a small request uses all lanes."""
        share = math.ceil(self._waiting.tokens / self._encoder.lanes)
        return min(max(share, LEAST_BATCH_TOKENS), self._encoder.batch_tokens)

    def _run(self, batch: list[_Text]) -> None:
        started = time.perf_counter()
        try:
            vectors = self._encoder.run([text.prepared for text in batch])
            if vectors.shape != (len(batch), self._encoder.card.dim):
                raise EngineError(f"the engine returned shape {vectors.shape} for {len(batch)} texts")
            if not np.isfinite(vectors).all():
                raise EngineError("the engine returned a vector that is not finite; the weights may be damaged")
        except Exception as error:
            failure = error if isinstance(error, UmekomiError) else EngineError(f"inference failed: {error}")
            for submission in {text.submission for text in batch}:
                _fail(submission, failure)
            return
        if self._on_batch is not None:
            tokens = sum(text.prepared.tokens for text in batch)
            self._on_batch(BatchRun(len(batch), tokens, time.perf_counter() - started))
        for text, vector in zip(batch, vectors, strict=True):
            text.submission.vectors[text.row] = vector
        self._count_down(batch)

    def _count_down(self, batch: list[_Text]) -> None:
        finished = []
        with self._changed:
            for text in batch:
                text.submission.missing -= 1
                if text.submission.missing == 0:
                    finished.append(text.submission)
        for submission in finished:
            if not submission.future.done() and submission.future.set_running_or_notify_cancel():
                submission.future.set_result(submission.vectors)


def _fail(submission: _Submission, error: UmekomiError) -> None:
    """Hand ``error`` to the caller, unless the submission was cancelled or has failed already."""
    future = submission.future
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)

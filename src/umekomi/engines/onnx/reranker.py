"""`OnnxReranker`: scores of documents for a query, by a cross-encoder built from safetensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor

import numpy as np

from umekomi.engines.base import Cancellation, Scores, admit_all
from umekomi.engines.head import Head, activate
from umekomi.engines.onnx.built import BuiltTransformer
from umekomi.engines.onnx.encoder import BATCH_TOKENS, plan_runs
from umekomi.engines.pairs import Pair, PairCutter
from umekomi.errors import EngineError
from umekomi.models.card import Activation, ModelCard
from umekomi.types import Vectors

_LEAST_TOKENS = 64
"""A request is not cut into smaller runs than this: each has a price of its own, whatever its size."""


class OnnxReranker:
    """See `umekomi.engines.base.Reranker`. A request's pairs run on as many threads as the model was given."""

    def __init__(
        self,
        card: ModelCard,
        *,
        transformer: BuiltTransformer,
        cutter: PairCutter,
        head: Head,
        activation: Activation,
        threads: int,
    ) -> None:
        self.card = card
        self._transformer = transformer
        self._cutter = cutter
        self._head = head
        self._activation: Activation = activation
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="umekomi-rank")

    def score(
        self,
        query: str,
        documents: Sequence[str],
        *,
        cancel: Cancellation | None = None,
        admit: Callable[[int], None] = admit_all,
    ) -> Scores:
        pairs = self._cutter.prepare(query, documents)
        tokens = sum(pair.tokens for pair in pairs)
        admit(tokens)
        logits = np.empty((len(pairs), 1), np.float32)
        budget = min(BATCH_TOKENS, max(_LEAST_TOKENS, math.ceil(tokens / self._threads)))
        runs = list(plan_runs([pair.tokens for pair in pairs], budget=budget))
        futures = [self._submit([pairs[row] for row in rows], cancel or Cancellation()) for rows in runs]
        try:
            for rows, future in zip(runs, futures, strict=True):
                logits[rows] = future.result()
        finally:
            for future in futures:
                future.cancel()
        if not np.isfinite(logits).all():
            raise EngineError(f"{self.card.name}: a score is not a number; the weights may be damaged")
        scores = activate(self._activation, logits[:, 0])
        return Scores(tuple(float(score) for score in scores), tokens, sum(pair.truncated for pair in pairs))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._transformer.close()

    def _submit(self, pairs: Sequence[Pair], cancel: Cancellation) -> Future[Vectors]:
        def run() -> Vectors:
            if cancel.cancelled:
                raise CancelledError
            states = self._transformer.states([pair.ids for pair in pairs], [pair.types for pair in pairs])
            return self._head.vectors(states)

        try:
            return self._pool.submit(run)
        except RuntimeError:  # the pool was shut down
            raise EngineError("the model has been closed; open it again") from None

"""`TorchReranker`: scores of documents for a query, by any cross-encoder that the transformers library knows."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from umekomi.engines.base import Cancellation, Scores, admit_all
from umekomi.engines.head import activate
from umekomi.engines.pairs import Pair, PairCutter
from umekomi.engines.torch.device import COMPUTING
from umekomi.engines.torch.encoder import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, plan_groups
from umekomi.errors import EngineError
from umekomi.extras import require
from umekomi.models.card import Activation, ModelCard
from umekomi.types import TokenIds

_TYPES = 2
"""Token types of a pair: of the query and of the document."""


class TorchReranker:
    """See `umekomi.engines.base.Reranker`. One request computes at a time."""

    def __init__(
        self,
        card: ModelCard,
        *,
        module: Any,
        device: Any,
        cutter: PairCutter,
        activation: Activation,
        batch_tokens: int | None = None,
    ) -> None:
        self.card = card
        self._module: Any | None = module
        self._device = device
        self._cutter = cutter
        self._activation: Activation = activation
        self._takes = set(inspect.signature(module.forward).parameters)
        if getattr(module.config, "type_vocab_size", 0) < _TYPES:  # RoBERTa's kin, whose tokenizers tell none apart
            self._takes.discard("token_type_ids")
        self._pad = module.config.pad_token_id
        self._budget = batch_tokens or (CPU_BATCH_TOKENS if device.type == "cpu" else GPU_BATCH_TOKENS)
        if self._pad is None:
            # Classifiers made of decoders look for it to find a text's end, and take no batch without it.
            self._budget = 1

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
        logits = np.empty(len(pairs), np.float32)
        lengths = [pair.tokens for pair in pairs]
        for group in plan_groups(lengths, self._budget, pads="attention_mask" in self._takes):
            if cancel is not None and cancel.cancelled:
                raise CancelledError
            logits[group] = self._run([pairs[index] for index in group])
        if not np.isfinite(logits).all():
            raise EngineError(
                f"{self.card.name}: a score is not a number in {self.card.precision}; the weights may be damaged"
            )
        scores = activate(self._activation, logits)
        return Scores(tuple(float(score) for score in scores), tokens, sum(pair.truncated for pair in pairs))

    def close(self) -> None:
        with COMPUTING:
            self._module = None
            if self._device.type == "cuda":
                require("torch", extra="train").cuda.empty_cache()

    def _run(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        torch = require("torch", extra="train")
        grids = {
            "input_ids": _grid([pair.ids for pair in pairs], fill=self._pad or 0),
            "token_type_ids": _grid([pair.types for pair in pairs], fill=0),
            "attention_mask": _grid([np.ones(pair.tokens, np.int32) for pair in pairs], fill=0),
        }
        with COMPUTING, torch.inference_mode():
            if self._module is None:
                raise EngineError("the model has been closed; open it again")
            inputs = {
                name: torch.from_numpy(grid).to(self._device) for name, grid in grids.items() if name in self._takes
            }
            try:
                logits: NDArray[np.float32] = self._module(**inputs).logits[:, 0].float().cpu().numpy()
            except torch.OutOfMemoryError:
                raise EngineError(
                    f"the GPU's memory is too small for {grids['input_ids'].size} tokens at once; "
                    "lower batch_tokens"
                ) from None
        return logits


def _grid(rows: Sequence[TokenIds], *, fill: int) -> NDArray[np.int64]:
    grid = np.full((len(rows), max(len(row) for row in rows)), fill, np.int64)
    for place, row in zip(grid, rows, strict=True):
        place[: len(row)] = row
    return grid

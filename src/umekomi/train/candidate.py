"""A sentence-transformers model in this process as a `Candidate` of evaluate: base, tuned, or anything between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from umekomi.embedding.texts import check_texts
from umekomi.embedding.vectors import check_dimensions, cut_dimensions
from umekomi.engines.torch.device import COMPUTING
from umekomi.engines.torch.encoder import CPU_BATCH_TOKENS, GPU_BATCH_TOKENS, plan_groups
from umekomi.engines.torch.loading import first_line
from umekomi.errors import EngineError, InputTooLong, InvalidInput
from umekomi.evaluate.candidates.opening import record_card
from umekomi.extras import require
from umekomi.models.card import FINGERPRINT_LENGTH, ModelCard
from umekomi.models.digests import combine
from umekomi.types import Embeddings, Role, Truncation, Vectors

UNUSED = "pooler"
"""A part that some classes have, that files may lack, and that no token state depends on: its numbers are random
then, and other ones each time a model is opened."""


class TorchCandidate:
    """See `umekomi.evaluate.candidates.opening.Candidate`. It does not own ``model``, which others may share."""

    def __init__(
        self,
        name: str,
        model: Any,
        card: ModelCard,
        *,
        activate: Callable[[], None] = lambda: None,
        batch_tokens: int | None = None,
    ) -> None:
        """``activate`` is called before the model runs: it may put other weights into a model that is shared.

        card          of the base, whose tokenizer, prompts and context count
        batch_tokens  tokens that run together, padding included
        """
        self._model = model
        self._card = card
        self._activate = activate
        on_gpu = model.device.type != "cpu"
        self._budget = batch_tokens or (GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS)
        activate()
        known = {"fingerprint": fingerprint_of(model, card), "precision": "fp32"}
        self.record = record_card(card, name=name).model_copy(update=known)

    @property
    def fingerprint(self) -> str:
        """Of these weights run by torch: no model that an engine of ours opens has the same."""
        return self.record.fingerprint

    def iter_embed(
        self,
        texts: Iterable[str],
        *,
        role: Role,
        truncation: Truncation = "end",
        dimensions: int | None = None,
        window_texts: int = 256,
    ) -> Iterator[Embeddings]:
        """As `Embedder.iter_embed`, by ``SentenceTransformer.encode``. Texts are cut at their end only.

        Raises `InvalidInput`, `InputTooLong` under ``truncation="error"``, and `EngineError` where a vector is not
        finite or memory is short.
        """
        if truncation == "start":
            raise InvalidInput("sentence-transformers cuts texts at their end only", param="truncation")
        check_dimensions(dimensions, self._card.dim)
        source = iter(texts)
        while window := list(islice(source, window_texts)):
            check_texts(window)
            whole = [self._card.prompt_for(role) + text for text in window]
            totals = self._count(whole)
            kept = np.minimum(totals, self._card.max_tokens)
            if truncation == "error" and (totals > kept).any():
                raise InputTooLong(
                    f"a text has {totals.max()} tokens; {self.record.name} takes {self._card.max_tokens}"
                )
            vectors = self._embed(whole, kept)
            yield Embeddings(cut_dimensions(vectors, dimensions), kept, totals > kept, self.fingerprint)

    def lost_tokens(self, texts: Sequence[str], *, role: Role) -> int:
        totals = self._count([self._card.prompt_for(role) + text for text in texts])
        return int(np.maximum(totals - self._card.max_tokens, 0).sum())

    def close(self) -> None:
        """Nothing: who opened the model closes it."""

    def _count(self, texts: Sequence[str]) -> NDArray[np.int64]:
        if not texts:
            return np.zeros(0, np.int64)
        ids = self._model.tokenizer(list(texts), truncation=False, padding=False, verbose=False)["input_ids"]
        return np.array([len(own) for own in ids], np.int64)

    def _embed(self, texts: Sequence[str], lengths: NDArray[np.int64]) -> Vectors:
        torch = require("torch", extra="train")
        vectors = np.zeros((len(texts), self._card.dim), np.float32)
        for group in plan_groups([max(1, length) for length in lengths.tolist()], self._budget, pads=True):
            with COMPUTING:
                self._activate()
                try:
                    vectors[group] = self._model.encode(
                        [texts[row] for row in group], prompt="", batch_size=len(group), show_progress_bar=False
                    )
                except torch.OutOfMemoryError:
                    raise EngineError(
                        f"{self.record.name}: the GPU's memory is too small for {self._budget} tokens at once"
                    ) from None
                except Exception as error:  # what the libraries say of a tokenizer or a text that they cannot take
                    raise EngineError(f"{self.record.name}: cannot be run: {first_line(error)}") from error
        if not np.isfinite(vectors).all():
            raise EngineError(f"{self.record.name} gave a vector that is not finite: its weights are broken")
        return vectors


def fingerprint_of(model: Any, card: ModelCard) -> str:
    """Hash of every weight that decides a vector, bit by bit, and of what ``card`` says besides."""
    besides = {
        "engine": "torch",
        "tokenizer": card.tokenizer_digest,
        "pooling": card.pooling,
        "normalize": card.normalize,
        "prompts": {role: card.prompts.get(role, "") for role in ("query", "document")},
        "max_tokens": card.max_tokens,
    }
    return combine([json.dumps(besides, sort_keys=True), _digest(model.state_dict())])[:FINGERPRINT_LENGTH]


def _digest(state: Mapping[str, Any]) -> str:
    torch = require("torch", extra="train")
    digest = hashlib.sha256()
    for name in sorted(state):
        if UNUSED in name.split("."):
            continue
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()

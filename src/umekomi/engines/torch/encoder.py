"""`TorchEncoder`: the engine's face to the layers above. Plans batches, and puts pieces of long texts together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from umekomi.engines.head import Head
from umekomi.engines.texts import TextCutter
from umekomi.engines.torch.transformer import Transformer
from umekomi.errors import EngineError
from umekomi.models.card import ModelCard
from umekomi.types import Prepared, TokenIds, Truncation, Vectors

CPU_BATCH_TOKENS = 1024
"""sentence-transformers is fastest here with 8 paragraphs or 32 sentences at once (multilingual-e5-small, 2 cores,
2026-11-21)."""

GPU_BATCH_TOKENS = 16384


class TorchEncoder:
    """See `umekomi.engines.base.Encoder`. torch spreads one batch over the cores by itself: a single lane."""

    lanes = 1

    def __init__(
        self,
        card: ModelCard,
        *,
        transformer: Transformer,
        cutter: TextCutter,
        head: Head,
        start: int,
        batch_tokens: int | None = None,
    ) -> None:
        """``start`` is the token that stands for a text without any."""
        self.card = card
        self.batch_tokens = batch_tokens or (GPU_BATCH_TOKENS if transformer.on_gpu else CPU_BATCH_TOKENS)
        self._transformer = transformer
        self._cutter = cutter
        self._head = replace(head, pooling=card.pooling)
        self._start = np.array([start], np.int32)

    def prepare(self, texts: Sequence[str], *, prompt: str = "", truncation: Truncation = "end") -> list[Prepared]:
        """As the protocol says; where ``card.in_pieces``, nothing is cut, and a text may be over the context."""
        prepared = self._cutter.prepare(texts, prompt=prompt, truncation=truncation)
        return [text if text.tokens else Prepared(self._start, 1) for text in prepared]

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        pieces, rows = self._cut_pieces(batch)
        pooled: Vectors | None = None
        for group in plan_groups([len(piece) for piece in pieces], self.batch_tokens, pads=self._transformer.pads):
            found = self._transformer.pooled([pieces[index] for index in group], self.card.pooling)
            if pooled is None:
                pooled = np.zeros((len(batch), found.shape[1]), np.float32)
            np.add.at(pooled, [rows[index] for index in group], found)
        if pooled is None:
            return np.zeros((0, self.card.dim), np.float32)
        if self.card.pooling == "mean":
            pooled /= np.array([[text.tokens] for text in batch], np.float32)
        return self._checked(self._head.finish(pooled))

    def decode(self, ids: Sequence[int]) -> str:
        return self._cutter.decode(ids)

    def close(self) -> None:
        self._transformer.close()

    def _cut_pieces(self, batch: Sequence[Prepared]) -> tuple[list[TokenIds], list[int]]:
        """Every text in pieces of the context at most, and the row that each piece belongs to."""
        size = self.card.max_tokens
        pieces: list[TokenIds] = []
        rows: list[int] = []
        for row, text in enumerate(batch):
            own = [text.ids[start : start + size] for start in range(0, text.tokens, size)]
            pieces += own
            rows += [row] * len(own)
        return pieces, rows

    def _checked(self, vectors: Vectors) -> Vectors:
        if not np.isfinite(vectors).all():
            remedy = "set dtype to bf16 or fp32" if self.card.precision == "fp16" else "the weights may be damaged"
            raise EngineError(
                f"{self.card.name}: a vector is infinite or not a number in {self.card.precision}; {remedy}"
            )
        return vectors


def plan_groups(lengths: Sequence[int], budget: int, *, pads: bool) -> Iterator[list[int]]:
    """Which texts run together, by index, longest first: in ``budget`` tokens, padding included.

    A text over the budget runs alone. Without ``pads``, only texts of one length run together.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    group: list[int] = []
    for index in order:
        longest = lengths[group[0]] if group else 0
        if group and (longest * (len(group) + 1) > budget or (not pads and lengths[index] != longest)):
            yield group
            group = []
        group.append(index)
    if group:
        yield group

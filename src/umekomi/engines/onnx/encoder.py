"""`OnnxEncoder`: the engine's face to the layers above. Plans runs of one shape; knows no architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from umekomi.engines.onnx.pooling import Head
from umekomi.engines.onnx.tokens import TextCutter
from umekomi.models.card import ModelCard
from umekomi.types import Prepared, TokenIds, Truncation, Vectors

BATCH_TOKENS = 256
"""Padded tokens of one run. Larger ones leave the caches, smaller ones pay more for each operator."""

_NEAR_LENGTHS = 8
"""Texts share a padded run where the shortest is within 1/8 of the longest."""


class Transformer(Protocol):
    """Token ids to token states."""

    def states(self, texts: Sequence[TokenIds]) -> NDArray[np.float32]:
        """float32 ``(len(texts), longest, hidden)``; rows after a text's own tokens mean nothing."""
        ...

    def close(self) -> None: ...


class OnnxEncoder:
    """See `umekomi.engines.base.Encoder`."""

    batch_tokens = BATCH_TOKENS

    def __init__(
        self, card: ModelCard, *, transformer: Transformer, cutter: TextCutter, head: Head, lanes: int
    ) -> None:
        self.card = card
        self.lanes = lanes
        self._transformer = transformer
        self._cutter = cutter
        self._head = head

    def prepare(self, texts: Sequence[str], *, prompt: str = "", truncation: Truncation = "end") -> list[Prepared]:
        return self._cutter.prepare(texts, prompt=prompt, truncation=truncation)

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        vectors = np.empty((len(batch), self.card.dim), np.float32)
        for rows in plan_runs([text.tokens for text in batch], budget=self.batch_tokens):
            ids = [batch[row].ids for row in rows]
            states = self._transformer.states(ids)
            vectors[rows] = self._head.vectors([one[: len(own)] for one, own in zip(states, ids, strict=True)])
        return vectors

    def decode(self, ids: Sequence[int]) -> str:
        return self._cutter.decode(ids)

    def close(self) -> None:
        self._transformer.close()


def plan_runs(lengths: Sequence[int], *, budget: int) -> Iterator[list[int]]:
    """Rows that run together, longest first: near lengths, ``budget`` padded tokens, a longer text alone."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    run: list[int] = []
    for row in order:
        longest = lengths[run[0]] if run else 0
        if run and (longest * (len(run) + 1) > budget or lengths[row] < longest - longest // _NEAR_LENGTHS):
            yield run
            run = []
        run.append(row)
    if run:
        yield run

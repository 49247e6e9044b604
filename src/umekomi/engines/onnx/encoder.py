"""`OnnxEncoder`: the engine's face to the layers above. Plans runs of one shape; knows no architecture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from umekomi.engines.head import Head, States
from umekomi.engines.texts import TextCutter
from umekomi.models.card import ModelCard
from umekomi.types import Prepared, TokenIds, Truncation, Vectors

BATCH_TOKENS = 256
"""Tokens of one run. Larger ones leave the caches, smaller ones pay more for each operator: 128 was 4 % slower on
short sentences, 384 no faster (multilingual-e5-small, 2 cores, 2026-11-21)."""

_GRID_BUDGETS = 2
"""Budgets that attention's padded grid may take up."""


class Transformer(Protocol):
    """Token ids to token states."""

    def states(self, texts: Sequence[TokenIds]) -> list[States]:
        """States of each text's tokens, in order. No text is empty."""
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
        vectors = np.zeros((len(batch), self.card.dim), np.float32)
        for rows in plan_runs([text.tokens for text in batch], budget=self.batch_tokens):
            vectors[rows] = self._head.vectors(self._transformer.states([batch[row].ids for row in rows]))
        return vectors

    def decode(self, ids: Sequence[int]) -> str:
        return self._cutter.decode(ids)

    def close(self) -> None:
        self._transformer.close()


def plan_runs(lengths: Sequence[int], *, budget: int) -> Iterator[list[int]]:
    """Rows that run together, longest first, in ``budget`` tokens. A longer text runs alone, an empty one never.

    Attention works on a grid as wide as the longest text, so that very short texts do not join very long ones.
    """
    order = sorted((row for row, length in enumerate(lengths) if length), key=lambda row: -lengths[row])
    run: list[int] = []
    tokens = 0
    for row in order:
        slots = lengths[run[0]] * (len(run) + 1) if run else 0
        if run and (tokens + lengths[row] > budget or slots > _GRID_BUDGETS * budget):
            yield run
            run, tokens = [], 0
        run.append(row)
        tokens += lengths[row]
    if run:
        yield run

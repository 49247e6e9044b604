"""The contract between ``embedding`` and the runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from umekomi.models.card import ModelCard
from umekomi.types import Prepared, Truncation, Vectors


class Encoder(Protocol):
    """Texts to token ids, and token ids to vectors. Synchronous; knows nothing of roles.

    `prepare` and `run` may be called from several threads at once.
    """

    card: ModelCard

    lanes: int
    """How many threads should call `run` at once for the best throughput."""

    batch_tokens: int
    """Token budget of one `run` that this engine is fastest at; a longer text runs alone."""

    def prepare(self, texts: Sequence[str], *, prompt: str = "", truncation: Truncation = "end") -> list[Prepared]:
        """Token ids of ``prompt + text`` for each text, in order, cut to ``card.max_tokens``.

        ``truncation="start"`` keeps the prompt and cuts what follows it. Raises `InputTooLong` for a text over
        the context under ``truncation="error"``, and `InvalidInput` for a text that is not valid Unicode.
        """
        ...

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        """Vectors for ``batch``, in order: float32 ``(len(batch), card.dim)``, unit length if ``card.normalize``.

        A row depends on its own text only: batch size, padding and neighbours do not change it (to 1e-5 in fp32).
        Raises `EngineError`.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Text of the model's own token ids, special tokens left out. Raises `InvalidInput` for an unknown id."""
        ...

    def close(self) -> None:
        """Give back memory and threads; calling it twice is harmless."""
        ...

"""The few central types that every layer shares. A leaf: imports nothing of umekomi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Role: TypeAlias = Literal["query", "document", "raw"]
"""What a text is for. ``raw`` means that the text already carries its prompt (``"query: …"``)."""

Truncation: TypeAlias = Literal["error", "end", "start"]
"""What to do with a text longer than the model's context: refuse it, or cut its end or its start."""

Precision: TypeAlias = Literal["fp32", "int8"]
"""Number format of the linear layers while running; vectors are float32 in every precision."""

NumberFormat: TypeAlias = Literal["fp32", "int8", "bf16", "fp16"]
"""A precision, or what an engine chose on a GPU."""

Vectors: TypeAlias = NDArray[np.float32]
"""float32 ``(n, dim)``, C order; row *i* belongs to text *i*."""

TokenIds: TypeAlias = NDArray[np.int32]
"""int32 ``(length,)``, special tokens included."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One text as an engine runs it: token ids, and how many tokens there were before truncation."""

    ids: TokenIds
    total_tokens: int

    @property
    def tokens(self) -> int:
        """Tokens that will run, special tokens included."""
        return len(self.ids)

    @property
    def truncated(self) -> bool:
        return self.total_tokens > len(self.ids)


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """What every caller gets for ``n`` texts, in the order of the texts.

    vectors      float32 ``(n, dim)``
    tokens       int64 ``(n,)``: the model's own tokens that were run, prompt and special tokens included
    truncated    bool ``(n,)``: whether a text was cut to fit the model's context
    fingerprint  which vectors these are comparable with; equal fingerprints mean equal vectors
    """

    vectors: Vectors
    tokens: NDArray[np.int64]
    truncated: NDArray[np.bool_]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search: the row it is about, and a score where higher always means nearer."""

    index: int
    score: float

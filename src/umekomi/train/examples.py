"""What a model is trained on: pairs of texts, their splits, and the texts that negatives come from. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Objective: TypeAlias = Literal["ranking", "similarity"]
"""What pairs teach: that a query finds its text before others, or how alike two texts are by people's scores."""


@dataclass(frozen=True, slots=True)
class Example:
    """A query and the text that answers it; with ``score``, two texts and how alike they are.

    negatives    texts that do not answer it, hardest first
    score        how alike the two are, higher is more; None for a query and its answer
    chunk_id     of ``positive``; examples that share it never meet in a batch. Empty where unknown
    document_id  of ``positive``; what is resampled together in a proof. Empty where unknown
    source, page where ``positive`` was read; empty and None where unknown
    """

    id: str
    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    score: float | None = None
    chunk_id: str = ""
    document_id: str = ""
    source: str = ""
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Passage:
    """A text of the corpus: what queries search, and what negatives are mined from.

    start  its first character in its document, by which neighbours are told; None where unknown
    """

    id: str
    text: str
    document_id: str = ""
    start: int | None = None


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Everything that is read before training, in the order of its files.

    corpus    every text that a query may find, those of dev and test among them; ids are unique
    digests   file name to the SHA-256 of its content, hex
    skipped   reason to the number of rows that were left out for it
    notes     what a reader of the result must know about the data
    """

    objective: Objective
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    corpus: tuple[Passage, ...]
    digests: dict[str, str]
    skipped: dict[str, int]
    notes: tuple[str, ...] = ()

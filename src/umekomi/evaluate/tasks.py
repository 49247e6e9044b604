"""What a data set asks of a model: frozen data, told apart by what it holds. Nothing is read or computed here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

TaskKind: TypeAlias = Literal["labels", "pairs", "retrieval"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a task's texts come from, and what was done to them on the way.

    digest       SHA-256 over the texts and answers in order: equal digests mean the same task
    source       path or address as the user gave it
    licence      as the source states it, empty where it does not
    language     ISO 639-1 code, or empty where it was neither stated nor plain
    preparation  what was done to the texts, in that order ("lines joined", "first 512 characters")
    columns      which column was read as what ("text": "body")
    guessed      those of ``columns`` that were guessed rather than named
    skipped      reason to the number of rows left out for it
    """

    digest: str
    source: str
    licence: str = ""
    language: str = ""
    preparation: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class LabelTask:
    """Texts of known categories: a good model puts texts of one category side by side.

    texts, labels, ids  of one length, in the order of the source; ids are unique
    groups              items that belong together (articles of one source) and are resampled together; or None
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    ids: tuple[str, ...]
    origin: Origin
    groups: tuple[str, ...] | None = None

    kind: Literal["labels"] = "labels"

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True, eq=False)
class PairTask:
    """Pairs of texts with a score of their likeness by people (STS). ``scores`` is float64 ``(n,)``, any scale."""

    name: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: NDArray[np.float64]
    ids: tuple[str, ...]
    origin: Origin
    groups: tuple[str, ...] | None = None

    kind: Literal["pairs"] = "pairs"

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalTask:
    """Queries, a corpus, and which documents answer which query.

    relevant  for each query, in the order of ``queries``: row of the corpus to its gain (> 0); rows that are absent
              count as not relevant. Every query has at least one.
    groups    of the queries (queries about one document), resampled together
    """

    name: str
    queries: tuple[str, ...]
    query_ids: tuple[str, ...]
    corpus: tuple[str, ...]
    corpus_ids: tuple[str, ...]
    relevant: tuple[Mapping[int, float], ...]
    origin: Origin
    groups: tuple[str, ...] | None = None

    kind: Literal["retrieval"] = "retrieval"

    def __len__(self) -> int:
        return len(self.queries)


Task: TypeAlias = LabelTask | PairTask | RetrievalTask

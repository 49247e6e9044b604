"""What synthesis makes: pairs of a query and the chunk that answers it, and what became of each. Data only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, TypeAlias

Style: TypeAlias = Literal["question", "keyword", "claim"]
"""How a query is worded: as a question, as the words typed into a search box, as a statement to be checked."""

PairOrigin: TypeAlias = Literal["synthetic", "human", "log"]
"""Who wrote the query: the LLM, a person in review, or the users of a search (a log)."""

Split: TypeAlias = Literal["train", "dev", "test"]

STYLES: tuple[Style, ...] = ("question", "keyword", "claim")
SPLITS: tuple[Split, ...] = ("train", "dev", "test")

ID_LENGTH = 24
"""Hex digits of an identifier: 96 bits."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the text that answers it.

    id           the same on every machine for the same chunk, style, prompt, model and parameters
    positive     the chunk's text
    document_id  the document whose split this pair shares
    source       path of the document as it was read
    page         from 1; None where the format has none
    answer       an answer to the query in words, where answers were asked for
    """

    id: str
    query: str
    positive: str
    chunk_id: str
    document_id: str
    source: str
    page: int | None
    style: Style | Literal["log"]
    language: str
    origin: PairOrigin = "synthetic"
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A pair that a filter took out: which one, and what it saw."""

    pair: Pair
    filter: str
    evidence: str


def build_id(*parts: str) -> str:
    """An identifier from ``parts``: equal parts give equal identifiers, and no two lists of parts run together."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()[:ID_LENGTH]

"""`LlamaReranker`: scores from a GGUF reranker."""

from __future__ import annotations

import math
from collections.abc import Sequence

from umekomi.engines.llama_cpp.failures import too_long
from umekomi.engines.llama_cpp.server import LlamaServer
from umekomi.engines.llama_cpp.vocabulary import Vocabulary
from umekomi.errors import EngineError
from umekomi.models.card import ModelCard

_FRAME_TOKENS = 4
"""The most that llama.cpp adds around a pair: a start, one or two separators, and an end."""


class LlamaReranker:
    """See `umekomi.engines.base.Reranker`."""

    def __init__(self, server: LlamaServer, vocabulary: Vocabulary, card: ModelCard) -> None:
        self.card = card
        self._server = server
        self._vocabulary = vocabulary

    def score(self, query: str, documents: Sequence[str]) -> list[float]:
        if not documents:
            return []
        self._check_lengths(query, documents)
        body = {"query": query, "documents": list(documents)}
        rows = self._server.ask("/v1/rerank", body)["results"]
        scores = {row["index"]: row["relevance_score"] for row in rows}
        if set(scores) != set(range(len(documents))) or not all(_is_number(score) for score in scores.values()):
            raise EngineError(f"llama.cpp gave no score for some of {len(documents)} documents")
        return [float(scores[index]) for index in range(len(documents))]

    def close(self) -> None:
        self._server.close()

    def _check_lengths(self, query: str, documents: Sequence[str]) -> None:
        """The engine would refuse the whole request without saying which document it was."""
        query_tokens = len(self._vocabulary.tokenize(query))
        for index, document in enumerate(documents):
            tokens = query_tokens + len(self._vocabulary.tokenize(document)) + _FRAME_TOKENS
            if tokens > self.card.max_tokens:
                raise too_long(self.card.max_tokens, tokens, param=f"documents[{index}]")


def _is_number(score: object) -> bool:
    return isinstance(score, int | float) and math.isfinite(score)

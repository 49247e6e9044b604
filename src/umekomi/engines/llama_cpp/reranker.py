"""`LlamaReranker`: scores from a GGUF reranker."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

from umekomi.engines.base import Cancellation, Scores, admit_all
from umekomi.engines.llama_cpp.failures import too_long
from umekomi.engines.llama_cpp.server import LlamaServer
from umekomi.engines.llama_cpp.vocabulary import Vocabulary
from umekomi.errors import EngineError
from umekomi.models.card import ModelCard

_FRAME_TOKENS = 4
"""The most that llama.cpp adds around a pair: a start, one or two separators, and an end."""

_GUESSES = 4
"""Beginnings of a document to count by the tokens a character makes, before what is left is halved."""


@dataclass(frozen=True, slots=True)
class _Fitted:
    """A document as it is scored, and the tokens of its pair with the query."""

    text: str
    tokens: int
    cut: bool


class LlamaReranker:
    """See `umekomi.engines.base.Reranker`."""

    def __init__(self, server: LlamaServer, vocabulary: Vocabulary, card: ModelCard) -> None:
        self.card = card
        self._server = server
        self._vocabulary = vocabulary

    def score(
        self,
        query: str,
        documents: Sequence[str],
        *,
        cancel: Cancellation | None = None,
        admit: Callable[[int], None] = admit_all,
    ) -> Scores:
        if not documents:
            return Scores((), 0, 0)
        fitted = self._fit(query, documents, cancel or Cancellation())
        tokens = sum(each.tokens for each in fitted)
        admit(tokens)
        body = {"query": query, "documents": [each.text for each in fitted]}
        rows = self._server.ask("/v1/rerank", body, cancel=cancel)["results"]
        scores = {row["index"]: row["relevance_score"] for row in rows}
        if set(scores) != set(range(len(documents))) or not all(_is_number(score) for score in scores.values()):
            raise EngineError(f"llama.cpp gave no score for some of {len(documents)} documents")
        ordered = tuple(float(scores[index]) for index in range(len(documents)))
        return Scores(ordered, tokens, sum(each.cut for each in fitted))

    def close(self) -> None:
        self._server.close()

    def _fit(self, query: str, documents: Sequence[str], cancel: Cancellation) -> list[_Fitted]:
        """Documents cut to the room that the query leaves; the engine would refuse the whole request."""
        around = self._count(query) + _FRAME_TOKENS
        room = self.card.max_tokens - around
        if room < 1:
            raise too_long(self.card.max_tokens, around + 1, param="query")
        fitted = []
        for document in documents:
            if cancel.cancelled:
                raise CancelledError
            text, tokens = self._cut(document, room)
            fitted.append(_Fitted(text, around + tokens, cut=text != document))
        return fitted

    def _cut(self, document: str, room: int) -> tuple[str, int]:
        """The longest beginning of ``document`` that makes ``room`` tokens at most, and how many.

        Found by its characters, between one number that fits and one that does not: a token's text may be something
        else than what was tokenised. The longest one ends where a token ends, and not within a word.
        """
        fits, over = (0, 0), (len(document), self._count(document))
        if over[1] <= room:
            return document, over[1]
        guesses = 0
        while over[0] - fits[0] > 1:
            chars = (fits[0] + over[0]) // 2
            if guesses < _GUESSES:
                chars = fits[0] + (over[0] - fits[0]) * (room - fits[1]) // (over[1] - fits[1])
                chars = min(max(chars, fits[0] + 1), over[0] - 1)
            guesses += 1
            found = (chars, self._count(document[:chars]))
            fits, over = (fits, found) if found[1] > room else (found, over)
        return document[: fits[0]], fits[1]

    def _count(self, text: str) -> int:
        return len(self._vocabulary.tokenize(text, control=False))


def _is_number(score: object) -> bool:
    return isinstance(score, int | float) and math.isfinite(score)

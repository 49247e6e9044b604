"""`LlamaEncoder`: vectors from a GGUF file, of an embedding model or of a decoder with a pooling."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import numpy as np

from umekomi.engines.llama_cpp.failures import too_long
from umekomi.engines.llama_cpp.server import LlamaServer
from umekomi.engines.llama_cpp.vocabulary import Vocabulary
from umekomi.errors import EngineError, InvalidInput
from umekomi.models.card import ModelCard
from umekomi.types import Prepared, Truncation, Vectors


class LlamaEncoder:
    """See `umekomi.engines.base.Encoder`. The engine batches by itself, so one lane is enough."""

    lanes = 1

    def __init__(self, server: LlamaServer, vocabulary: Vocabulary, card: ModelCard, *, batch_tokens: int) -> None:
        self.card = card
        self.batch_tokens = batch_tokens
        self._server = server
        self._vocabulary = vocabulary

    def prepare(self, texts: Sequence[str], *, prompt: str = "", truncation: Truncation = "end") -> list[Prepared]:
        for index, text in enumerate(texts):
            _check_text(text, index)
        kept = len(self._vocabulary.tokenize(prompt)) if prompt and truncation == "start" else 0
        return [self._prepare(prompt + text, kept, truncation) for text in texts]

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        body = {"input": [text.ids.tolist() for text in batch], "encoding_format": "base64"}
        rows = sorted(self._server.ask("/v1/embeddings", body)["data"], key=lambda row: row["index"])
        vectors = np.frombuffer(b"".join(base64.b64decode(row["embedding"]) for row in rows), "<f4")
        if vectors.size != len(batch) * self.card.dim:
            raise EngineError(
                f"llama.cpp gave {vectors.size} numbers for {len(batch)} texts of dimension {self.card.dim}"
            )
        if not np.isfinite(vectors).all():
            raise EngineError("llama.cpp gave a vector that is infinite or not a number; the file may be damaged")
        return np.ascontiguousarray(vectors.reshape(len(batch), self.card.dim), dtype=np.float32)

    def decode(self, ids: Sequence[int]) -> str:
        return self._vocabulary.detokenize(ids, keep_control=False)

    def close(self) -> None:
        self._server.close()

    def _prepare(self, text: str, prompt_tokens: int, truncation: Truncation) -> Prepared:
        opening, closing = self._vocabulary.opening, self._vocabulary.closing
        body = self._vocabulary.tokenize(text)
        if not body and not opening and not closing:
            body = self._vocabulary.start
        total, limit = len(opening) + len(body) + len(closing), self.card.max_tokens
        if total > limit:
            if truncation == "error":
                raise too_long(limit, total, param="input")
            body = _cut(body, limit - len(opening) - len(closing), prompt_tokens, truncation)
        return Prepared(np.array([*opening, *body, *closing], np.int32), total)


def _cut(body: list[int], room: int, prompt_tokens: int, truncation: Truncation) -> list[int]:
    """The first ``room`` tokens; or those of the prompt, and of the rest the last."""
    if truncation == "end":
        return body[:room]
    kept = min(prompt_tokens, room)
    return body[:kept] + body[len(body) - (room - kept) :]


def _check_text(text: str, index: int) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"text {index} has a lone surrogate at position {error.start}; it was cut or decoded wrongly",
            param="input",
        ) from None

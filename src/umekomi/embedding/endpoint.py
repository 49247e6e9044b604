"""Vectors from a running server that speaks OpenAI's embeddings protocol, umekomi's own or another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Self

import numpy as np

from umekomi.embedding.texts import check_texts
from umekomi.engines.remote.answers import parse_vectors
from umekomi.engines.remote.blocking import BlockingClient
from umekomi.errors import UpstreamError
from umekomi.types import Role, Vectors

TEXTS_PER_REQUEST = 128


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """One request's vectors, float32 ``(n, dim)`` in order, and its tokens as the server counted them, or None."""

    vectors: Vectors
    tokens: int | None


class Endpoint:
    """A model behind ``base_url`` (which ends in ``/v1``). Close it, or use it in ``with``.

    The role travels as ``input_type``, which umekomi and some other servers understand; OpenAI's own ignores or
    refuses it, so ``raw`` sends none. Errors are `UpstreamError`, with the server's own message;
    `UpstreamRefusal` where another request may do.
    """

    def __init__(self, base_url: str, model: str, *, api_key: str | None = None, timeout_s: float = 120) -> None:
        self.model = model
        self._client = BlockingClient(base_url, api_key=api_key, timeout_s=timeout_s)

    @property
    def base_url(self) -> str:
        return self._client.base_url

    def embed(self, texts: Sequence[str], *, role: Role, dimensions: int | None = None) -> Vectors:
        """Vectors for ``texts``: float32 ``(n, dim)``, in order; as many requests as it takes."""
        check_texts(texts)
        source = iter(texts)
        parts: list[Vectors] = []
        while window := list(islice(source, TEXTS_PER_REQUEST)):
            vectors = self.ask(window, role=role, dimensions=dimensions).vectors
            if parts and vectors.shape[1] != parts[0].shape[1]:
                raise UpstreamError(
                    f"{self.base_url} changed from {parts[0].shape[1]} to {vectors.shape[1]} dimensions between "
                    "requests; does it serve several models under one name?"
                )
            parts.append(vectors)
        return np.concatenate(parts) if parts else np.empty((0, dimensions or 0), np.float32)

    def ask(self, texts: Sequence[str], *, role: Role, dimensions: int | None = None) -> Answer:
        """``texts`` in a single request, however many they are."""
        check_texts(texts)
        return self._request(list(texts), role, dimensions)

    def ask_ids(self, inputs: Sequence[Sequence[int]], *, role: Role) -> Answer:
        """Token ids instead of texts, as LangChain's client sends them; what they mean is the server's to say."""
        return self._request([list(ids) for ids in inputs], role, None)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _request(self, texts: list[str] | list[list[int]], role: Role, dimensions: int | None) -> Answer:
        body: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "base64"}
        if role != "raw":
            body["input_type"] = role
        if dimensions is not None:
            body["dimensions"] = dimensions
        with self._client.naming_failures():
            found = parse_vectors(self._client.post("embeddings", body), count=len(texts))
        return Answer(found.vectors, found.tokens or None)

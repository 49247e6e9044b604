"""Vectors from a running server that speaks OpenAI's embeddings protocol, umekomi's own or another's."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Self

import httpx
import numpy as np
from httpx import codes

from umekomi.embedding.texts import check_texts
from umekomi.errors import UpstreamError, UpstreamRefusal
from umekomi.types import Role, Vectors

TEXTS_PER_REQUEST = 128

_REFUSALS = {
    codes.BAD_REQUEST,
    codes.REQUEST_ENTITY_TOO_LARGE,
    codes.UNPROCESSABLE_ENTITY,
    codes.INTERNAL_SERVER_ERROR,  # what llama-server answers to a text over its physical batch
}

_ADD_V1 = "; base URLs mostly end in /v1, and this one does not"


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
        self.base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

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

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _request(self, texts: list[str], role: Role, dimensions: int | None) -> Answer:
        body: dict[str, Any] = {"model": self.model, "input": texts, "encoding_format": "base64"}
        if role != "raw":
            body["input_type"] = role
        if dimensions is not None:
            body["dimensions"] = dimensions
        try:
            response = self._client.post(f"{self.base_url}/embeddings", json=body)
        except httpx.InvalidURL as error:
            raise UpstreamError(f"{self.base_url}: not a valid address: {error}") from None
        except httpx.HTTPError as error:
            raise UpstreamError(
                f"{self.base_url}: no answer: {error or type(error).__name__}; does the server run there?"
            ) from None
        if response.status_code != codes.OK:
            hint = "" if response.status_code != codes.NOT_FOUND or self.base_url.endswith("/v1") else _ADD_V1
            kind = UpstreamRefusal if response.status_code in _REFUSALS else UpstreamError
            raise kind(f"{self.base_url} answered {response.status_code}: {_message(response)}{hint}")
        return Answer(self._vectors(response, len(texts)), _tokens(response))

    def _vectors(self, response: httpx.Response, count: int) -> Vectors:
        """The rows of a 200 answer, checked: every index once, one length, finite numbers."""
        try:
            data = sorted(response.json()["data"], key=lambda row: row["index"])
            rows = [_row(row["embedding"]) for row in data]
            indices = [row["index"] for row in data]
            vectors = np.stack(rows) if rows else np.empty((0, 0), np.float32)
        except (ValueError, TypeError, KeyError) as error:
            raise UpstreamError(
                f"{self.base_url} answered 200 with a body that holds no embeddings: {error}"
            ) from None
        if len(rows) != count:
            raise UpstreamError(f"{self.base_url} sent {len(rows)} vectors for {count} texts")
        if indices != list(range(count)):
            raise UpstreamError(
                f"{self.base_url} numbered its {count} vectors otherwise than 0 to {count - 1}, so nobody can tell "
                "which belongs to which text"
            )
        if not np.isfinite(vectors).all():
            raise UpstreamError(f"{self.base_url} sent a vector that is not finite")
        return vectors


def _row(embedding: Any) -> Any:
    if isinstance(embedding, str):
        return np.frombuffer(base64.b64decode(embedding, validate=True), "<f4").astype(np.float32)
    return np.asarray(embedding, np.float32)


def _tokens(response: httpx.Response) -> int | None:
    usage = response.json().get("usage")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return tokens if isinstance(tokens, int) and tokens > 0 else None


def _message(response: httpx.Response) -> str:
    """The server's own words where it sent OpenAI's error envelope, else the start of its body."""
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, TypeError, KeyError):
        return " ".join(response.text[:200].split()) or "an empty body"

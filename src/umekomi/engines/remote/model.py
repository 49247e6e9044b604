"""`RemoteModel`: a model that another server runs, asked by OpenAI's protocol."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeAlias, TypeVar

import orjson

from umekomi.engines.base import Answer, Body
from umekomi.engines.remote.answers import (
    RemoteScores,
    RemoteVectors,
    parse_generation,
    parse_scores,
    parse_text,
    parse_tokens,
    parse_vectors,
)
from umekomi.engines.remote.failures import Failure, WrongAnswer
from umekomi.engines.remote.replica import Exchange, Replica
from umekomi.engines.remote.stream import RemoteStream
from umekomi.engines.remote.upstream import Upstream
from umekomi.errors import InvalidInput, UmekomiError, UpstreamRefusal
from umekomi.models.card import FINGERPRINT_LENGTH, Capability

GenerationKind: TypeAlias = Literal["chat", "complete"]

PATHS: Mapping[GenerationKind, str] = {"chat": "chat/completions", "complete": "completions"}

MAX_ANSWER_BYTES = 32_000_000
MAX_VECTOR_BYTES = 131_072
"""Of one vector as JSON: 4,096 numbers of 32 characters."""

INLINE_BYTES = 65_536
"""Answers over this size are parsed in a thread."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RemoteCard:
    """What is known of a remote model; None for what its server has not told yet."""

    name: str
    fingerprint: str
    dim: int | None = None
    max_tokens: int | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """What an upstream made of some inputs; ``truncated`` and ``tokens`` are None where it did not say."""

    rows: RemoteVectors
    fingerprint: str
    truncated: int | None


class RemoteModel:
    """Belongs to one event loop, but for `close`. Raises what `Upstream.ask` raises."""

    def __init__(
        self, upstream: Upstream, *, capability: Capability | None, prompts: Mapping[str, str] | None = None
    ) -> None:
        """``prompts`` are those that the caller puts before texts, which makes other vectors of them."""
        self.upstream = upstream
        self._prompts = dict(prompts or {})
        self.capability = capability
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dim: int | None = None
        self._fingerprint = _digest("remote", upstream.name, upstream.replicas[0].model, self._prompts)
        self._shown = self._fingerprint
        self._tells_usage = True

    @property
    def card(self) -> RemoteCard:
        return RemoteCard(self.upstream.name, self._shown, self._dim)

    @property
    def ready(self) -> bool:
        """Always: another server's failures are no reason to send requests elsewhere than here."""
        return True

    async def embed(self, inputs: Sequence[Any], further: Body, *, dimensions: int | None) -> Embedded:
        """Vectors of ``inputs``, texts or token ids; ``further`` are other fields to send.

        They have ``dimensions`` components or more where that is given: not every server obeys it.
        """
        count = len(inputs)
        body = {"input": inputs, **further} | ({} if dimensions is None else {"dimensions": dimensions})

        async def read(exchange: Exchange) -> Embedded:
            content = await self._read_all(exchange, MAX_ANSWER_BYTES + count * MAX_VECTOR_BYTES)
            rows = await _parsed(content, lambda: parse_vectors(content, count=count))
            self._check_dim(rows.vectors.shape[1], dimensions)
            headers = exchange.head.headers
            self._shown = self._fingerprint_of(headers)
            return Embedded(rows, self._shown, _number(headers.get("x-umekomi-truncated")))

        return await self._ask("embeddings", body, read)

    async def generate(self, kind: GenerationKind, body: Body) -> Answer:
        """A whole answer."""
        return await self._whole(PATHS[kind], body, lambda content: parse_generation(content, kind=kind))

    async def stream(self, kind: GenerationKind, body: Body, *, needs_usage: bool) -> RemoteStream:
        """A streamed answer that has begun. Close it.

        The usage is asked for in any case, unless the server once refused to tell it and nobody needs it.
        """
        options = {"stream_options": {"include_usage": True}}
        if needs_usage or self._tells_usage:
            try:
                return await self._stream(kind, {**body, **options})
            except InvalidInput as error:
                if needs_usage or error.param != "stream_options":
                    raise
        stream = await self._stream(kind, body)
        self._tells_usage = False
        return stream

    async def _stream(self, kind: GenerationKind, body: Body) -> RemoteStream:
        async def read(exchange: Exchange) -> RemoteStream:
            stream = RemoteStream(
                exchange,
                stall_s=self.upstream.patience.stall_s,
                on_failure=lambda failure: self._failed(exchange.replica, failure),
            )
            await stream.begin()
            return stream

        return await self._ask(PATHS[kind], {**body, "stream": True}, read)

    async def score(self, query: str, documents: Sequence[str], *, top_n: int) -> RemoteScores:
        """Scores of the ``top_n`` documents that are nearest to ``query``, perhaps of more."""
        body = {"query": query, "documents": documents, "top_n": top_n, "return_documents": False}
        count = len(documents)
        return await self._whole("rerank", body, lambda content: parse_scores(content, count=count, top_n=top_n))

    async def tokenize(self, text: str, *, special: bool) -> Answer:
        """``tokens``, ``count``, perhaps ``max_model_len``. Raises `UpstreamRefusal` where no route gives them."""
        return await self._beside("tokenize", {"prompt": text, "add_special_tokens": special}, parse_tokens)

    async def detokenize(self, ids: Sequence[int]) -> Answer:
        """``prompt``. Raises as `tokenize` does."""
        return await self._beside("detokenize", {"tokens": ids}, parse_text)

    def close(self) -> None:
        """End the connections that are kept; from any thread."""
        if self._loop is None:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed, and its sockets with it
            self._loop.call_soon_threadsafe(self.upstream.close)

    async def _beside(self, route: str, body: Body, parse: Callable[[bytes], T]) -> T:
        """A route that OpenAI's protocol lacks: umekomi has it under ``/v1``, vLLM beside it."""
        try:
            return await self._whole(route, body, parse)
        except UpstreamRefusal:
            return await self._whole(f"../{route}", body, parse)

    async def _whole(self, path: str, body: Body, parse: Callable[[bytes], T]) -> T:
        async def read(exchange: Exchange) -> T:
            content = await self._read_all(exchange, MAX_ANSWER_BYTES)
            return await _parsed(content, lambda: parse(content))

        return await self._ask(path, body, read)

    async def _ask(self, path: str, body: Body, read: Callable[[Exchange], Awaitable[T]]) -> T:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        return await self.upstream.ask(path, lambda model: _encoded({**body, "model": model}), read)

    async def _read_all(self, exchange: Exchange, max_bytes: int) -> bytes:
        patience = self.upstream.patience
        content = await exchange.read_all(max_bytes=max_bytes, stall_s=patience.stall_s, whole_s=patience.whole_s)
        exchange.close()
        return content

    def _fingerprint_of(self, headers: Mapping[str, str]) -> str:
        """Another umekomi's own, so that vectors from there and through here can be compared; else one by names."""
        told = headers.get("x-umekomi-fingerprint", "")
        if len(told) != FINGERPRINT_LENGTH or not set(told) <= set("0123456789abcdef"):
            return self._fingerprint
        return _digest(told, self._prompts) if self._prompts else told

    def _check_dim(self, dim: int, asked: int | None) -> None:
        """A model's vectors have one length; a server that changes it has another model."""
        if asked is not None:
            if dim < asked:
                raise WrongAnswer(f"sent vectors of {dim} components where {asked} were asked for")
            return
        if self._dim is None:
            self._dim = dim
        elif dim != self._dim:
            raise WrongAnswer(
                f"sent vectors of {dim} components where it sent {self._dim} before; reload the configuration if "
                "its model was changed"
            )

    def _failed(self, replica: Replica, failure: Failure) -> UmekomiError:
        self.upstream.note(replica, failure)
        return failure.as_error(self.upstream.name, replica.address.base_url)


def _encoded(body: Body) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:  # it reads deeper than it writes
        raise InvalidInput(f"the request cannot be passed on: {error}") from None


async def _parsed(content: bytes, parse: Callable[[], T]) -> T:
    return await asyncio.to_thread(parse) if len(content) > INLINE_BYTES else parse()


def _digest(*parts: object) -> str:
    """A fingerprint. Never of an address, which could be guessed from it."""
    return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:FINGERPRINT_LENGTH]


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None

"""``POST /v1/embeddings``: from the body to vectors and back, off the event loop where it takes time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import Limits
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.vectors import check_dimensions, cut_dimensions
from umekomi.errors import Overloaded
from umekomi.serve.capabilities import lease_embedder
from umekomi.serve.disconnect import while_connected
from umekomi.serve.recording import record_of
from umekomi.serve.residency import Resident
from umekomi.serve.service import Service, service_of
from umekomi.serve.tokenising import prepare_texts, prepare_token_ids
from umekomi.serve.wire.body import parse_json_object, read_body
from umekomi.serve.wire.embeddings import EmbeddingsRequest, encode_answer, parse_request
from umekomi.types import Prepared, Vectors

INLINE_BYTES = 16_384
"""Bodies and answers up to this size are decoded and encoded on the event loop: cheaper than changing threads."""

T = TypeVar("T")


@dataclass(slots=True)
class Timing:
    """Milliseconds by stage, in order."""

    stages: dict[str, float]
    mark: float = field(default_factory=time.perf_counter)

    def end(self, stage: str) -> None:
        now = time.perf_counter()
        self.stages[stage] = round((now - self.mark) * 1000, 1)
        self.mark = now

    @property
    def header(self) -> str:
        """As the Server-Timing header shows them."""
        return ", ".join(f"{stage};dur={spent_ms}" for stage, spent_ms in self.stages.items())


async def create_embeddings(request: Request) -> Response:
    service = service_of(request)
    service.refuse_while_draining()
    body = await read_body(request, max_bytes=service.settings.limits.max_body_bytes)
    return await while_connected(request, _answer(request, service, body))


async def _answer(request: Request, service: Service, body: bytes) -> Response:
    asked = await _off_loop_if(
        len(body) > INLINE_BYTES,
        lambda: parse_request(parse_json_object(body), max_inputs=service.settings.limits.max_inputs),
    )
    record = record_of(request)
    resident = service.resolve(asked.model, record.key)
    facts = record.facts
    facts.update(model=resident.settings.name, inputs=asked.count)
    async with lease_embedder(service, resident) as embedder:
        check_dimensions(asked.dimensions, embedder.card.dim)
        timing = Timing(record.durations)
        prepared = await _prepare(asked, resident, embedder, service.settings.limits)
        timing.end("tokenise")
        tokens = sum(text.tokens for text in prepared)
        service.gate.spend(record.key, tokens)
        vectors = await run_prepared(embedder, prepared, service.settings.limits)
        timing.end("run")
        fingerprint = embedder.card.fingerprint
    truncated = sum(text.truncated for text in prepared)
    facts.update(tokens=tokens, truncated=truncated)
    service.metrics.count_inputs(resident.settings.name, len(prepared), tokens=tokens, truncated=truncated)
    encoded = await _off_loop_if(vectors.nbytes > INLINE_BYTES, lambda: _encode(asked, vectors, resident, tokens))
    timing.end("encode")
    headers = {
        "x-umekomi-fingerprint": fingerprint,
        "x-umekomi-truncated": str(truncated),
        "server-timing": timing.header,
    }
    return Response(encoded, headers=headers, media_type="application/json")


async def _prepare(
    asked: EmbeddingsRequest, resident: Resident, embedder: Embedder, limits: Limits
) -> list[Prepared]:
    settings = resident.settings
    role = asked.input_type or settings.role
    truncation = asked.truncation or settings.truncation
    if asked.texts is not None:
        return await prepare_texts(asked.texts, embedder, role=role, truncation=truncation, limits=limits)
    return await prepare_token_ids(
        asked.token_ids,
        embedder,
        vocabulary=settings.token_ids,
        role=role,
        truncation=truncation,
        limits=limits,
    )


async def run_prepared(embedder: Embedder, prepared: list[Prepared], limits: Limits) -> Vectors:
    """The vectors. Raises `Overloaded` at once where too much waits already; cancelling drops what has not run."""
    waiting = embedder.queued_tokens
    if waiting and waiting + sum(text.tokens for text in prepared) > limits.max_queued_tokens:
        raise Overloaded(
            f"{waiting} tokens are waiting for this model already, of {limits.max_queued_tokens} at most; "
            "try again in a moment."
        )
    return await asyncio.wrap_future(embedder.submit(prepared))


def _encode(asked: EmbeddingsRequest, vectors: Vectors, resident: Resident, tokens: int) -> bytes:
    return encode_answer(
        cut_dimensions(vectors, asked.dimensions),
        model=resident.settings.name,
        tokens=tokens,
        encoding=asked.encoding,
    )


async def _off_loop_if(large: bool, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if large else work()

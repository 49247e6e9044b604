"""``POST /v1/embeddings``: from the body to vectors and back, off the event loop where it takes time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import Limits
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.plan import Priority
from umekomi.embedding.vectors import check_dimensions, cut_dimensions
from umekomi.serve.capabilities import lease_embedder
from umekomi.serve.disconnect import while_connected
from umekomi.serve.fallbacks import first_answer
from umekomi.serve.intake.priority import HEADER, asked_priority
from umekomi.serve.intake.receiving import receive_body
from umekomi.serve.recording import record_of
from umekomi.serve.relay.embeddings import relay_embeddings
from umekomi.serve.residency import Resident
from umekomi.serve.running import run_prepared
from umekomi.serve.service import service_of
from umekomi.serve.tokenising import prepare_texts, prepare_token_ids
from umekomi.serve.wire.body import parse_json_object
from umekomi.serve.wire.embeddings import EmbeddingsRequest, Encoding, encode_answer, parse_request
from umekomi.types import Prepared, Vectors

INLINE_BYTES = 16_384
"""Bodies up to this size are decoded on the event loop: cheaper than changing threads."""

INLINE_VECTOR_BYTES: Mapping[Encoding, int] = {"float": 32_768, "base64": 131_072}
"""The same for vectors: so many take 0.2 ms to encode either way (2026-11-21)."""

T = TypeVar("T")


async def create_embeddings(request: Request) -> Response:
    body = await receive_body(request)
    return await while_connected(request, _answer(request, body))


async def _answer(request: Request, body: bytes) -> Response:
    service = service_of(request)
    priority = asked_priority(request)
    asked = await _off_loop_if(
        len(body) > INLINE_BYTES,
        lambda: parse_request(parse_json_object(body), max_inputs=service.settings.limits.max_inputs),
    )
    resident = service.resolve(asked.model, record_of(request).key)
    return await first_answer(request, resident, lambda each: _ask(request, each, asked, priority))


async def _ask(
    request: Request, resident: Resident, asked: EmbeddingsRequest, priority: Priority | None
) -> Response:
    service, record = service_of(request), record_of(request)
    facts, stages = record.facts, record.stages
    facts.update(inputs=asked.count)
    if resident.is_remote:
        return await relay_embeddings(request, resident, asked)
    async with lease_embedder(service, resident) as embedder:
        stages.end("load")
        check_dimensions(asked.dimensions, embedder.card.dim)
        prepared = await _prepare(asked, resident, embedder, service.settings.limits)
        vectors = await run_prepared(request, embedder, prepared, asked=priority)
        fingerprint = embedder.card.fingerprint
    tokens, truncated = record.number("tokens"), record.number("truncated")
    service.metrics.count_inputs(resident.settings.name, len(prepared), tokens=tokens, truncated=truncated)
    large = vectors.nbytes > INLINE_VECTOR_BYTES[asked.encoding]
    encoded = await _off_loop_if(large, lambda: _encode(asked, vectors, resident, tokens))
    stages.end("encode")
    headers = {
        "x-umekomi-fingerprint": fingerprint,
        "x-umekomi-truncated": str(truncated),
        HEADER: str(facts["priority"]),
        "server-timing": stages.header,
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


def _encode(asked: EmbeddingsRequest, vectors: Vectors, resident: Resident, tokens: int) -> bytes:
    return encode_answer(
        cut_dimensions(vectors, asked.dimensions),
        model=resident.settings.name,
        tokens=tokens,
        encoding=asked.encoding,
    )


async def _off_loop_if(large: bool, work: Callable[[], T]) -> T:
    return await asyncio.to_thread(work) if large else work()

"""``POST /v1/rerank``: by a reranker, or by vectors where the model makes those, which the answer says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import Limits
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.texts import check_texts
from umekomi.errors import InvalidInput
from umekomi.serve.capabilities import lease_any
from umekomi.serve.disconnect import while_connected
from umekomi.serve.recording import record_of
from umekomi.serve.routes.embeddings import run_prepared
from umekomi.serve.service import Service, service_of
from umekomi.serve.tokenising import prepare_texts
from umekomi.serve.wire.body import parse_json_object, read_body
from umekomi.serve.wire.rerank import Method, RerankRequest, parse_rerank, rerank_answer
from umekomi.serve.workers import RankModel
from umekomi.types import Prepared


async def rerank(request: Request) -> Response:
    service = service_of(request)
    service.refuse_while_draining()
    body = await read_body(request, max_bytes=service.settings.limits.max_body_bytes)
    return await while_connected(request, _answer(request, service, body))


async def _answer(request: Request, service: Service, body: bytes) -> Response:
    limits = service.settings.limits
    asked = await asyncio.to_thread(lambda: parse_rerank(parse_json_object(body), max_documents=limits.max_inputs))
    record = record_of(request)
    resident = service.resolve(asked.model, record.key)
    name = resident.settings.name
    record.facts.update(model=name, inputs=len(asked.documents))
    method: Method = "cross-encoder"
    async with lease_any(service, resident, "rerank", "embedding") as model:
        if isinstance(model, RankModel):
            with _naming("query"):
                check_texts([asked.query])
            with _naming("documents"):
                check_texts(asked.documents)
            scores = await model.score(asked.query, asked.documents)
        else:
            assert isinstance(model, Embedder)
            method = "bi-encoder"
            prepared = await _prepare(asked, model, limits)
            tokens = sum(text.tokens for text in prepared)
            service.gate.spend(record.key, tokens)
            record.facts.update(tokens=tokens, truncated=sum(text.truncated for text in prepared))
            scores = await _likeness(model, prepared, limits)
    answer = rerank_answer(asked, scores, name=name, method=method)
    return Response(
        orjson.dumps(answer), headers={"x-umekomi-rerank-method": method}, media_type="application/json"
    )


async def _prepare(asked: RerankRequest, embedder: Embedder, limits: Limits) -> list[Prepared]:
    """The query with its prompt first, then the documents with theirs."""
    with _naming("query"):
        query = await prepare_texts([asked.query], embedder, role="query", truncation="end", limits=limits)
    with _naming("documents"):
        documents = await prepare_texts(asked.documents, embedder, role="document", truncation="end", limits=limits)
    return query + documents


@contextmanager
def _naming(param: str) -> Iterator[None]:
    """Name the field that a text came from, which those who check it do not know."""
    try:
        yield
    except InvalidInput as error:
        error.param = param
        raise


async def _likeness(embedder: Embedder, prepared: list[Prepared], limits: Limits) -> list[float]:
    """The cosine of each document's vector with the query's."""
    vectors = (await run_prepared(embedder, prepared, limits)).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors[1:] @ vectors[0] / np.maximum(lengths[1:] * lengths[0], np.finfo(np.float64).tiny)
    return [float(cosine) for cosine in cosines]

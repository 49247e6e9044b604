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
from umekomi.embedding.plan import Priority
from umekomi.embedding.texts import check_texts
from umekomi.engines.base import Scores
from umekomi.errors import InvalidInput
from umekomi.serve.capabilities import lease_any
from umekomi.serve.disconnect import while_connected
from umekomi.serve.fallbacks import first_answer
from umekomi.serve.intake.priority import HEADER, asked_priority
from umekomi.serve.intake.receiving import receive_body
from umekomi.serve.recording import record_of
from umekomi.serve.relay.rerank import relay_rerank
from umekomi.serve.residency import Resident
from umekomi.serve.running import run_prepared
from umekomi.serve.service import service_of
from umekomi.serve.tokenising import prepare_texts
from umekomi.serve.wire.body import parse_json_object
from umekomi.serve.wire.rerank import Method, RerankRequest, parse_rerank, rerank_answer
from umekomi.serve.workers import RankModel
from umekomi.types import Prepared, Vectors


async def rerank(request: Request) -> Response:
    body = await receive_body(request)
    return await while_connected(request, _answer(request, body))


async def _answer(request: Request, body: bytes) -> Response:
    service, record = service_of(request), record_of(request)
    priority = asked_priority(request)
    limits = service.settings.limits
    asked = await asyncio.to_thread(lambda: parse_rerank(parse_json_object(body), max_documents=limits.max_inputs))
    resident = service.resolve(asked.model, record.key)
    record.facts.update(inputs=len(asked.documents))
    return await first_answer(request, resident, lambda each: _ask(request, each, asked, priority))


async def _ask(request: Request, resident: Resident, asked: RerankRequest, priority: Priority | None) -> Response:
    if resident.is_remote:
        return await relay_rerank(request, resident, asked)
    service, record = service_of(request), record_of(request)
    limits, name = service.settings.limits, resident.settings.name
    method: Method = "cross-encoder"
    async with lease_any(service, resident, "rerank", "embedding") as model:
        record.stages.end("load")
        if isinstance(model, RankModel):
            with _naming("query"):
                check_texts([asked.query])
            with _naming("documents"):
                check_texts(asked.documents)
            found = await _score(request, model, asked)
            scores, tokens, truncated = list(found.scores), found.tokens, found.truncated
        else:
            assert isinstance(model, Embedder)
            method = "bi-encoder"
            prepared = await _prepare(asked, model, limits)
            scores = _likeness(await run_prepared(request, model, prepared, asked=priority))
            tokens, truncated = (record.number(fact) for fact in ("tokens", "truncated"))
    answer = rerank_answer(asked, dict(enumerate(scores)), name=name, method=method, tokens=tokens)
    headers = {"x-umekomi-rerank-method": str(method), "x-umekomi-truncated": str(truncated)}
    if "priority" in record.facts:
        headers[HEADER] = str(record.facts["priority"])
    return Response(orjson.dumps(answer), headers=headers, media_type="application/json")


async def _score(request: Request, model: RankModel, asked: RerankRequest) -> Scores:
    """By a reranker, within the limits of a request and of its key. Notes the stages and the tokens."""
    service, record = service_of(request), record_of(request)

    def admit(tokens: int) -> None:  # in the thread that scores
        limit = service.settings.limits.max_request_tokens
        if tokens > limit:
            raise InvalidInput(
                f"Requested {tokens} tokens, the query again for each document, max {limit} tokens per request; "
                "send fewer documents at once.",
                param="documents",
            )
        service.gate.spend(record.key, tokens)

    try:
        found = await model.score(asked.query, asked.documents, admit=admit, on_start=record.stages.run_began)
    finally:
        record.stages.end_run()
    record.facts.update(tokens=found.tokens, truncated=found.truncated)
    return found


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


def _likeness(found: Vectors) -> list[float]:
    """The cosine of each document's vector with the query's, which is the first."""
    vectors = found.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = vectors[1:] @ vectors[0] / np.maximum(lengths[1:] * lengths[0], np.finfo(np.float64).tiny)
    return [float(cosine) for cosine in cosines]

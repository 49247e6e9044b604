"""``POST /v1/rerank`` on a remote model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import ModelSettings
from umekomi.engines.remote import RemoteModel
from umekomi.errors import InvalidInput
from umekomi.serve.capabilities import lease_remote
from umekomi.serve.recording import record_of
from umekomi.serve.residency import Resident
from umekomi.serve.service import service_of
from umekomi.serve.wire.embeddings import InputType
from umekomi.serve.wire.rerank import Method, RerankRequest, rerank_answer
from umekomi.types import Vectors


async def relay_rerank(request: Request, resident: Resident, asked: RerankRequest) -> Response:
    """By the upstream's own route; where umekomi.yaml says that the model makes embeddings, by their cosines."""
    service, record = service_of(request), record_of(request)
    name = resident.settings.name
    async with lease_remote(service, resident, "rerank", "embedding") as model:
        record.stages.end("load")
        service.gate.spend(record.key, 0)
        method: Method
        if model.capability == "embedding":
            method = "bi-encoder"
            scores, tokens = await _likeness(model, resident.settings, asked)
        else:
            ranked = await model.score(asked.query, asked.documents, top_n=asked.top_n)
            method = next((known for known in get_args(Method) if known == ranked.method), "unknown")
            scores, tokens = dict(ranked.scores), ranked.tokens or 0
    record.stages.end("upstream")
    service.gate.charge(record.key, tokens)
    record.facts.update(tokens=tokens)
    answer = rerank_answer(asked, scores, name=name, method=method, tokens=tokens or None)
    headers = {"x-umekomi-rerank-method": method}
    return Response(orjson.dumps(answer), headers=headers, media_type="application/json")


async def _likeness(
    model: RemoteModel, settings: ModelSettings, asked: RerankRequest
) -> tuple[dict[int, float], int]:
    """The cosine of each document's vector with the query's, by index, and the tokens of all."""
    query, query_tokens = await _vectors(model, settings, [asked.query], role="query")
    documents, tokens = await _vectors(model, settings, asked.documents, role="document")
    cosines = documents @ query[0]
    return {index: float(cosine) for index, cosine in enumerate(cosines)}, query_tokens + tokens


async def _vectors(
    model: RemoteModel, settings: ModelSettings, texts: Sequence[str], *, role: InputType
) -> tuple[Vectors, int]:
    """Vectors of unit length. Without prompts here, the role is told to the server, unless that refuses it."""
    inputs = [settings.prompts.get(role, "") + text for text in texts]
    further = {"encoding_format": "base64"}
    try:
        told = {} if settings.prompts else {"input_type": role}
        found = await model.embed(inputs, further | told, dimensions=None)
    except InvalidInput as error:
        if error.param != "input_type":
            raise
        found = await model.embed(inputs, further, dimensions=None)
    vectors = found.rows.vectors.astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float64).tiny), found.rows.tokens or 0

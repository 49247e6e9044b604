"""``POST /v1/embeddings`` on a remote model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import ModelSettings
from umekomi.embedding.texts import check_texts
from umekomi.embedding.vectors import cut_dimensions
from umekomi.engines.remote import RemoteModel
from umekomi.engines.remote.model import Embedded
from umekomi.models import openai_tokens
from umekomi.serve.capabilities import lease_remote
from umekomi.serve.recording import record_of
from umekomi.serve.residency import Resident
from umekomi.serve.service import service_of
from umekomi.serve.wire.embeddings import EmbeddingsRequest, encode_answer
from umekomi.types import Vectors

INLINE_BYTES = 65_536


async def relay_embeddings(request: Request, resident: Resident, asked: EmbeddingsRequest) -> Response:
    service, record = service_of(request), record_of(request)
    name = resident.settings.name
    async with lease_remote(service, resident, "embedding") as model:
        record.stages.end("load")
        service.gate.spend(record.key, 0)
        found = await _embed(model, resident.settings, asked)
    record.stages.end("upstream")
    tokens = found.rows.tokens or 0
    service.gate.charge(record.key, tokens)
    record.facts.update(tokens=tokens, truncated=found.truncated or 0)
    service.metrics.count_inputs(name, asked.count, tokens=tokens, truncated=found.truncated or 0)
    encoded = await _encode(found.rows.vectors, asked, name=name, tokens=tokens)
    record.stages.end("encode")
    headers = {"x-umekomi-fingerprint": found.fingerprint, "server-timing": record.stages.header}
    if found.truncated is not None:
        headers["x-umekomi-truncated"] = str(found.truncated)
    return Response(encoded, headers=headers, media_type="application/json")


async def _embed(model: RemoteModel, settings: ModelSettings, asked: EmbeddingsRequest) -> Embedded:
    """The prompts of umekomi.yaml are put before the texts here; without any, the role goes along."""
    further: dict[str, Any] = {**asked.further, "encoding_format": asked.encoding}
    role = asked.input_type or settings.role
    if role != "raw" and not settings.prompts:
        further["input_type"] = role
    if asked.truncation is not None:
        further["truncate"] = asked.truncation
    prompt = "" if role == "raw" else settings.prompts.get(role, "")
    return await model.embed(await _inputs(asked, settings, prompt), further, dimensions=asked.dimensions)


async def _inputs(asked: EmbeddingsRequest, settings: ModelSettings, prompt: str) -> Sequence[Any]:
    """Texts, or token ids where they are the model's own.

    Ids of OpenAI's vocabularies are decoded: most servers would take them for their own model's, and embed
    something else without a word.
    """
    texts = asked.texts
    if texts is None:
        vocabulary = settings.token_ids
        if vocabulary == "model":
            return asked.token_ids
        texts = await asyncio.to_thread(lambda: [openai_tokens.decode(vocabulary, ids) for ids in asked.token_ids])
    check_texts(texts)
    return [prompt + text for text in texts] if prompt else texts


async def _encode(vectors: Vectors, asked: EmbeddingsRequest, *, name: str, tokens: int) -> bytes:
    """Cut to the dimensions that were asked for, where the upstream did not."""

    def work() -> bytes:
        cut = asked.dimensions is not None and asked.dimensions < vectors.shape[1]
        rows = cut_dimensions(vectors, asked.dimensions) if cut else vectors
        return encode_answer(rows, model=name, tokens=tokens, encoding=asked.encoding)

    return await asyncio.to_thread(work) if vectors.nbytes > INLINE_BYTES else work()

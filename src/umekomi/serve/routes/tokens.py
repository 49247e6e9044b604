"""``POST /v1/tokenize`` and ``/v1/detokenize``: text to a model's own token ids and back."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.embedding.embedder import Embedder
from umekomi.errors import InvalidInput
from umekomi.serve.capabilities import lease_any
from umekomi.serve.disconnect import while_connected
from umekomi.serve.recording import record_of
from umekomi.serve.service import Service, service_of
from umekomi.serve.wire.body import parse_json_object, read_body
from umekomi.serve.wire.embeddings import parse_model
from umekomi.serve.wire.tokens import parse_ids, parse_text
from umekomi.serve.workers import ChatModel


async def tokenize(request: Request) -> Response:
    return await _create(request, turn_back=False)


async def detokenize(request: Request) -> Response:
    return await _create(request, turn_back=True)


async def _create(request: Request, *, turn_back: bool) -> Response:
    service = service_of(request)
    service.refuse_while_draining()
    body = await read_body(request, max_bytes=service.settings.limits.max_body_bytes)
    return await while_connected(request, _answer(request, service, body, turn_back=turn_back))


async def _answer(request: Request, service: Service, body: bytes, *, turn_back: bool) -> Response:
    asked = await asyncio.to_thread(parse_json_object, body)
    record = record_of(request)
    resident = service.resolve(parse_model(asked.get("model")), record.key)
    record.facts.update(model=resident.settings.name)
    async with lease_any(service, resident, "chat", "embedding") as model:
        assert isinstance(model, ChatModel | Embedder)
        work = _text_of if turn_back else _ids_of
        answer = await asyncio.to_thread(work, asked, model)
    content = {"model": resident.settings.name, **answer}
    return Response(orjson.dumps(content), media_type="application/json")


def _ids_of(asked: dict[str, Any], model: ChatModel | Embedder) -> dict[str, Any]:
    text, special = parse_text(asked)
    if isinstance(model, ChatModel):
        ids = model.generator.tokenize(text, special=special)
        limit = model.generator.context_tokens
    else:
        if not special:
            raise InvalidInput(
                "add_special_tokens is false, and an embedding model's tokens always have them; leave it out",
                param="add_special_tokens",
            )
        (prepared,) = model.prepare([text], role="raw", truncation="error")
        ids, limit = prepared.ids.tolist(), model.card.max_tokens
    return {"tokens": ids, "count": len(ids), "max_model_len": limit}


def _text_of(asked: dict[str, Any], model: ChatModel | Embedder) -> dict[str, Any]:
    ids = parse_ids(asked)
    try:
        text = model.generator.detokenize(ids) if isinstance(model, ChatModel) else model.decode(ids)
    except InvalidInput as error:
        error.param = "tokens"
        raise
    return {"prompt": text}

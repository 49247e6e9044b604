"""``POST /v1/tokenize`` and ``/v1/detokenize``: text to a model's own token ids and back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.config import Limits
from umekomi.embedding.embedder import Embedder
from umekomi.engines.base import Generator
from umekomi.errors import InvalidInput
from umekomi.serve.capabilities import lease_any
from umekomi.serve.disconnect import while_connected
from umekomi.serve.fallbacks import first_answer
from umekomi.serve.intake.receiving import receive_body
from umekomi.serve.recording import record_of
from umekomi.serve.relay.tokens import relay_tokens
from umekomi.serve.residency import Resident
from umekomi.serve.service import Service, service_of
from umekomi.serve.tokenising import Allowance, prepare_texts, refuse_hopeless_text
from umekomi.serve.wire.body import parse_json_object
from umekomi.serve.wire.embeddings import parse_model
from umekomi.serve.wire.tokens import parse_ids, parse_text
from umekomi.serve.workers import ChatModel


async def tokenize(request: Request) -> Response:
    return await _create(request, turn_back=False)


async def detokenize(request: Request) -> Response:
    return await _create(request, turn_back=True)


async def _create(request: Request, *, turn_back: bool) -> Response:
    service = service_of(request)
    body = await receive_body(request)
    return await while_connected(request, _answer(request, service, body, turn_back=turn_back))


async def _answer(request: Request, service: Service, body: bytes, *, turn_back: bool) -> Response:
    asked = await asyncio.to_thread(parse_json_object, body)
    record = record_of(request)
    resident = service.resolve(parse_model(asked.get("model")), record.key)
    ask = partial(_ask, request, asked=asked, turn_back=turn_back)
    return await first_answer(request, resident, ask)


async def _ask(request: Request, resident: Resident, *, asked: dict[str, Any], turn_back: bool) -> Response:
    service = service_of(request)
    if resident.is_remote:
        limits = service.settings.limits
        return await relay_tokens(
            request,
            resident,
            parse_ids(asked, max_ids=limits.max_request_tokens) if turn_back else parse_text(asked),
        )
    async with lease_any(service, resident, "chat", "embedding") as model:
        assert isinstance(model, ChatModel | Embedder)
        limits = service.settings.limits
        answer = await (_text_of if turn_back else _ids_of)(asked, model, limits)
    content = {"model": resident.settings.name, **answer}
    return Response(orjson.dumps(content), media_type="application/json")


async def _ids_of(asked: dict[str, Any], model: ChatModel | Embedder, limits: Limits) -> dict[str, Any]:
    text, special = parse_text(asked)
    with _naming("prompt"):
        if isinstance(model, ChatModel):
            ids = await _chat_ids(text, model.generator, limits, special=special)
            return _tokens(ids, model.generator.context_tokens)
        if not special:
            raise InvalidInput(
                "add_special_tokens is false, and an embedding model's tokens always have them; leave it out",
                param="add_special_tokens",
            )
        (prepared,) = await prepare_texts([text], model, role="raw", truncation="error", limits=limits)
    return _tokens(prepared.ids.tolist(), model.card.max_tokens)


async def _chat_ids(text: str, generator: Generator, limits: Limits, *, special: bool) -> list[int]:
    """A chat model's context may be far longer than ``max_input_tokens``, so only a request's limit counts."""
    limits = limits.model_copy(update={"max_input_tokens": limits.max_request_tokens})

    def count(window: str) -> int:
        return len(generator.tokenize(window, special=special))

    await refuse_hopeless_text(text, count, limits=limits)
    ids = await asyncio.to_thread(generator.tokenize, text, special=special)
    Allowance(limits).take([len(ids)])
    return ids


def _tokens(ids: list[int], limit: int) -> dict[str, Any]:
    return {"tokens": ids, "count": len(ids), "max_model_len": limit}


async def _text_of(asked: dict[str, Any], model: ChatModel | Embedder, limits: Limits) -> dict[str, Any]:
    ids = parse_ids(asked, max_ids=limits.max_request_tokens)
    turn_back = model.generator.detokenize if isinstance(model, ChatModel) else model.decode
    with _naming("tokens"):
        return {"prompt": await asyncio.to_thread(turn_back, ids)}


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """What the layers below say of ``input`` is said of ``field``, as this route calls it."""
    try:
        yield
    except InvalidInput as error:
        if error.param == "input":
            error.param = field
        raise

"""``POST /v1/chat/completions`` and ``/v1/completions``: whole answers and streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Literal, TypeAlias

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.engines.base import Answer, Cancellation, Chunks, Generator
from umekomi.errors import Unavailable
from umekomi.serve.books import Books
from umekomi.serve.capabilities import lease_chat
from umekomi.serve.disconnect import while_connected
from umekomi.serve.event_stream import EventStream
from umekomi.serve.fallbacks import first_answer
from umekomi.serve.intake.receiving import receive_body
from umekomi.serve.recording import Record, record_of
from umekomi.serve.relay.generation import relay_generation
from umekomi.serve.residency import Resident
from umekomi.serve.service import Service, service_of
from umekomi.serve.wire.body import parse_json_object
from umekomi.serve.wire.chat import DONE, KEEP_ALIVE, GenerationRequest, frame, parse_generation
from umekomi.serve.workers import ChatModel, ChunkStream

COMMIT_S = 15.0
"""How long the first chunk of a stream is waited for before the status is sent. A refusal comes sooner and gets its
status; a long prompt or a queue may take longer, and keeps its connection by keep-alive lines."""

KEEP_ALIVE_S = 10.0
"""Silence after which a keep-alive line is sent."""

INLINE_BYTES = 65_536

Kind: TypeAlias = Literal["chat", "complete"]


async def create_chat_completion(request: Request) -> Response:
    return await _create(request, "chat")


async def create_completion(request: Request) -> Response:
    return await _create(request, "complete")


async def _create(request: Request, kind: Kind) -> Response:
    service = service_of(request)
    body = await receive_body(request)
    return await while_connected(request, _answer(request, service, body, kind))


async def _answer(request: Request, service: Service, body: bytes, kind: Kind) -> Response:
    read: Callable[[], GenerationRequest] = lambda: parse_generation(parse_json_object(body))  # noqa: E731
    asked = await asyncio.to_thread(read) if len(body) > INLINE_BYTES else read()
    resident = service.resolve(asked.model, record_of(request).key)
    return await first_answer(request, resident, lambda each: _ask(request, each, kind, asked))


async def _ask(request: Request, resident: Resident, kind: Kind, asked: GenerationRequest) -> Response:
    if resident.is_remote:
        return await relay_generation(request, resident, kind, asked)
    service, record = service_of(request), record_of(request)
    name = resident.settings.name
    async with AsyncExitStack() as held:
        model = await held.enter_async_context(lease_chat(service, resident))
        record.stages.end("load")
        await _spend(service, record, model, asked.body)
        books = Books(service, record, name)
        if not asked.stream:
            answer = await model.whole(_whole(model.generator, kind, asked.body), on_start=record.stages.run_began)
            record.stages.end_run()
            books.count(answer.get("usage"))
            return Response(orjson.dumps({**answer, "model": name}), media_type="application/json")
        stream = model.stream(_streamed(model.generator, kind, asked.body), on_start=record.stages.run_began)
        held.callback(record.stages.end_run)
        held.callback(books.close)
        held.callback(stream.close)
        first = await _first(stream)
        frames = _frames(stream, first, asked=asked, books=books)
        return EventStream(frames, held.pop_all(), record)


def _whole(generator: Generator, kind: Kind, body: Mapping[str, Any]) -> Callable[[Cancellation], Answer]:
    ask = generator.chat if kind == "chat" else generator.complete
    return lambda cancel: ask(body, cancel=cancel)


def _streamed(generator: Generator, kind: Kind, body: Mapping[str, Any]) -> Callable[[Cancellation], Chunks]:
    ask = generator.stream_chat if kind == "chat" else generator.stream_complete
    return lambda cancel: ask(body, cancel=cancel)


async def _spend(service: Service, record: Record, model: ChatModel, body: Mapping[str, Any]) -> None:
    """Charge a key with limits for the prompt before it runs. What the template adds is not known yet."""
    if record.key is None:
        return
    text = orjson.dumps(body.get("messages", body.get("prompt"))).decode()
    tokens = await asyncio.to_thread(model.generator.tokenize, text)
    service.gate.spend(record.key, len(tokens))


async def _first(stream: ChunkStream) -> Answer | None:
    """The first chunk, so that a refusal has its status; None where it does not come soon."""
    try:
        first = await stream.next(timeout_s=COMMIT_S)
    except TimeoutError:
        return None
    if first is None:
        raise Unavailable("The model gave no answer; try again.", retry_after_s=1)
    return first


async def _frames(
    stream: ChunkStream, first: Answer | None, *, asked: GenerationRequest, books: Books
) -> AsyncIterator[bytes]:
    if first is None:
        yield KEEP_ALIVE
    elif (shown := _frame(first, asked, books)) is not None:
        yield shown
    while True:
        try:
            chunk = await stream.next(timeout_s=KEEP_ALIVE_S)
        except TimeoutError:
            yield KEEP_ALIVE
            continue
        if chunk is None:
            yield DONE
            return
        if (shown := _frame(chunk, asked, books)) is not None:
            yield shown


def _frame(chunk: Answer, asked: GenerationRequest, books: Books) -> bytes | None:
    """The event of a chunk; None for the one with the usage where the client did not ask for it."""
    if chunk["choices"]:
        books.see_chunk()
    else:
        books.count(chunk.get("usage"))
        if not asked.include_usage:
            return None
    return frame({**chunk, "model": books.model})

"""``POST /v1/chat/completions`` and ``/v1/completions`` on a remote model, whole and streamed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import orjson
from starlette.requests import Request
from starlette.responses import Response

from umekomi.engines.base import Answer
from umekomi.engines.remote.answers import Usage, usage_of
from umekomi.engines.remote.model import GenerationKind
from umekomi.engines.remote.stream import RemoteStream
from umekomi.errors import UpstreamError
from umekomi.serve.books import Books
from umekomi.serve.capabilities import lease_remote
from umekomi.serve.event_stream import EventStream
from umekomi.serve.recording import Record, record_of
from umekomi.serve.residency import Resident
from umekomi.serve.service import Service, service_of
from umekomi.serve.wire.chat import DONE, KEEP_ALIVE, GenerationRequest, event

KEEP_ALIVE_S = 10.0
"""Silence after which a keep-alive line is sent."""


async def relay_generation(
    request: Request, resident: Resident, kind: GenerationKind, asked: GenerationRequest
) -> Response:
    """A stream is answered once its first chunk is there: until then, its failure has a status, and a fallback."""
    service, record = service_of(request), record_of(request)
    name = resident.settings.name
    async with AsyncExitStack() as held:
        model = await held.enter_async_context(lease_remote(service, resident, "chat"))
        record.stages.end("load")
        service.gate.spend(record.key, 0)
        body = {**asked.further, **asked.body}
        books = _RemoteBooks(service, record, name)
        if not asked.stream:
            answer = await model.generate(kind, body)
            record.stages.end("upstream")
            books.see_usage(answer)
            books.close()
            return Response(_encoded(answer, name), media_type="application/json")
        body.pop("stream_options", None)  # the engine asks for the usage
        stream = await model.stream(kind, body, needs_usage=asked.include_usage)
        held.callback(lambda: record.stages.end("upstream"))
        held.callback(books.close)
        held.callback(stream.close)
        return EventStream(_frames(stream, asked, books), held.pop_all(), record)


class _RemoteBooks:
    """As `Books`, for a server that counts in its own time: the last usage that it sends is the right one."""

    def __init__(self, service: Service, record: Record, model: str) -> None:
        self.books = Books(service, record, model)
        self._service = service
        self._record = record
        self._usage: Usage | None = None

    def see_usage(self, answer: Answer) -> None:
        if answer.get("usage"):
            self._usage = usage_of(answer)

    def close(self) -> None:
        usage, self._usage = self._usage, None
        if usage is not None:
            tokens = usage.prompt_tokens or 0
            self._service.gate.charge(self._record.key, tokens)
            self.books.count({"prompt_tokens": tokens, "completion_tokens": usage.completion_tokens or 0})
        self.books.close()


async def _frames(stream: RemoteStream, asked: GenerationRequest, books: _RemoteBooks) -> AsyncIterator[bytes]:
    """What has come, as soon as it has come; events that came together leave together."""
    while True:
        try:
            chunks = await stream.next(timeout_s=KEEP_ALIVE_S)
        except TimeoutError:
            yield KEEP_ALIVE
            continue
        if not chunks:
            yield DONE
            return
        frames = b"".join(_frame(chunk, asked, books) for chunk in chunks)
        if frames:
            yield frames


def _frame(chunk: Answer, asked: GenerationRequest, books: _RemoteBooks) -> bytes:
    """The event of a chunk; nothing for a usage that the client did not ask for."""
    books.see_usage(chunk)
    if chunk["choices"]:
        books.books.see_chunk()
    elif "usage" in chunk and not asked.include_usage:
        return b""
    if not asked.include_usage:
        chunk.pop("usage", None)
    return event(_encoded(chunk, books.books.model))


def _encoded(answer: Answer, model: str) -> bytes:
    """With our name of the model. Raises `UpstreamError` for what can be read and not be written again."""
    try:
        return orjson.dumps({**answer, "model": model})
    except orjson.JSONEncodeError as error:
        told = f"The upstream of model `{model}` sent an answer that cannot be passed on."
        raise UpstreamError(f"model={model}: {error}", public=told) from None

"""A streamed answer: server-sent events as the chunks come, for as long as the client is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from umekomi.errors import Unavailable
from umekomi.serve.disconnect import while_connected
from umekomi.serve.recording import Record, log_failure
from umekomi.serve.status import failure_envelope
from umekomi.serve.wire.chat import event

_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",  # nginx gathers answers otherwise
}
_GOODBYE_S = 1.0
"""How long a stopping server waits for a client to take the last event."""


class EventStream(Response):
    """``frames`` one by one, and ``held`` given back at the end, also where the client went away.

    A failure becomes an event that holds ``error``; a status is past by then.
    """

    def __init__(self, frames: AsyncIterator[bytes], held: AsyncExitStack, record: Record) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._frames = frames
        self._held = held
        self._record = record
        self._ended = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._held:
            try:
                await while_connected(Request(scope, receive), self._send(send))
            except asyncio.CancelledError:
                if not self._ended:
                    raise

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            async for frame in self._frames:
                await send({"type": "http.response.body", "body": frame, "more_body": True})
        except asyncio.CancelledError:
            # The client went, which then hears nothing, or the server stops, and the body must still have an end.
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._fail(send, Unavailable("The server was stopped before the answer was whole."))
            raise
        except Exception as error:
            log_failure(self._record, error)
            await self._fail(send, error)
        else:
            await send({"type": "http.response.body", "body": b""})

    async def _fail(self, send: Send, error: Exception) -> None:
        await send({"type": "http.response.body", "body": event(failure_envelope(error))})
        self._ended = True

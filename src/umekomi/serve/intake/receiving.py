"""A request's body on its way in, within what the settings allow one request and all of them together."""

from __future__ import annotations

from starlette.requests import Request

from umekomi.serve.recording import record_of
from umekomi.serve.service import service_of
from umekomi.serve.wire.body import read_body


async def receive_body(request: Request) -> bytes:
    """The whole body. Raises `Unavailable` once the server was told to stop, `Overloaded` where other requests'
    bodies leave no room, and as `read_body` does."""
    service = service_of(request)
    service.refuse_while_draining()
    limits = service.settings.limits
    share = service.bodies.share(limits.bodies_bytes)
    record = record_of(request)
    record.held.callback(share.release)  # at the request's end, however that comes
    body = await read_body(request, max_bytes=limits.max_body_bytes, grow=share.grow)
    record.stages.end("receive")
    return body

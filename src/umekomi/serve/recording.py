"""What surrounds every request: its id, its time, its line in the log, its metrics, and the last net for errors."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from dataclasses import dataclass, field
from typing import cast

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from umekomi.errors import Unavailable
from umekomi.serve.service import Service
from umekomi.serve.status import CLIENT_CLOSED_REQUEST, error_response, status_of

_log = logging.getLogger("umekomi.serve")

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_POLLED = frozenset({"/healthz", "/readyz", "/metrics"})
_UNMATCHED = "unmatched"


@dataclass(slots=True)
class Record:
    """One request as the log and the metrics see it. A route adds what it knows; never any text."""

    id: str
    started: float = field(default_factory=time.perf_counter)
    status: int | None = None
    facts: dict[str, int | str] = field(default_factory=dict)

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000


def record_of(request: Request) -> Record:
    return cast(Record, request.scope["umekomi.record"])


class Recording:
    """ASGI middleware around the router."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = Record(_request_id(Headers(scope=scope)))
        scope["umekomi.record"] = record

        async def send_recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = record.id
                headers["openai-processing-ms"] = str(round(record.elapsed_ms))
            await send(message)

        self._service.in_flight += 1
        self._service.metrics.in_flight.inc()
        try:
            await self._answer(scope, receive, send_recorded, record)
        finally:
            self._service.in_flight -= 1
            self._service.metrics.in_flight.dec()
            self._finish(scope, record)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Run the request; whatever was raised and not answered yet becomes the envelope."""
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            record.status = CLIENT_CLOSED_REQUEST
        except asyncio.CancelledError:
            # Only a drain that ran out of time cancels a request. Once begun, the answer cannot be mended.
            if record.status is not None:
                raise
            await error_response(Unavailable("The server was stopped before the answer was ready."))(
                scope, receive, send
            )
        except Exception as error:
            log_failure(record, error)
            if record.status is not None:
                raise
            await error_response(error)(scope, receive, send)

    def _finish(self, scope: Scope, record: Record) -> None:
        path = getattr(scope.get("route"), "path_format", _UNMATCHED)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = record.status or CLIENT_CLOSED_REQUEST
        metrics = self._service.metrics
        metrics.requests.labels(path, method, str(status)).inc()
        metrics.seconds.labels(path).observe(record.elapsed_ms / 1000)
        level = logging.DEBUG if path in _POLLED else logging.INFO
        if _log.isEnabledFor(level):
            facts = "".join(f" {name}={value}" for name, value in record.facts.items())
            _log.log(
                level, "%s %s status=%d ms=%.1f id=%s%s", method, path, status, record.elapsed_ms, record.id, facts
            )


def log_failure(record: Record, error: Exception) -> None:
    """Log what the client is not told; an error that nobody raised on purpose with its traceback."""
    status = status_of(error)
    if not status.public:
        expected = status_of(error).code != "internal_error"
        _log.error("failed id=%s: %s", record.id, error, exc_info=None if expected else error)


def _request_id(headers: Headers) -> str:
    """The client's own id where it is sane, else a new one."""
    sent = headers.get("x-request-id", "")
    return sent if _SANE_ID.fullmatch(sent) else f"req_{uuid.uuid4().hex}"

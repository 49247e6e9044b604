"""What surrounds every request: its id, its key, its time, its lines in the logs, and the last net for errors."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import cast

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from umekomi.errors import Unavailable
from umekomi.serve.access.keys import Key
from umekomi.serve.capture import Capture
from umekomi.serve.intake.cross_origin import CrossOrigin
from umekomi.serve.intake.framing import check_framing
from umekomi.serve.request_log import Line
from umekomi.serve.service import Service
from umekomi.serve.stages import Stages
from umekomi.serve.status import CLIENT_CLOSED_REQUEST, error_response, status_of
from umekomi.serve.tracing import RequestSpan

_log = logging.getLogger("umekomi.serve")

_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_POLLED = frozenset({"/healthz", "/readyz", "/metrics"})
_OPEN = frozenset({"/healthz", "/readyz"})
"""Paths that need no key, ever. Metrics do: they name the models and tell how busy they are."""

_UNMATCHED = "unmatched"


@dataclass(slots=True)
class Record:
    """One request as the logs, the metrics and the usage see it. A route adds what it knows; never any text.

    key        None where none is needed
    facts      for the line in the log. ``model`` (a served model's own name), ``tokens``, ``output_tokens`` and
               ``truncated`` reach the request log and, once there is a ``model``, the usage.
    stages     what its time went into
    held       given back at the end of the request, also where the client went away
    """

    id: str
    started: float = field(default_factory=time.perf_counter)
    status: int | None = None
    key: Key | None = None
    facts: dict[str, int | str] = field(default_factory=dict)
    stages: Stages = field(default_factory=Stages)
    held: ExitStack = field(default_factory=ExitStack)

    @property
    def elapsed_ms(self) -> float:
        return (time.perf_counter() - self.started) * 1000

    @property
    def model(self) -> str | None:
        return str(self.facts["model"]) if "model" in self.facts else None

    def number(self, fact: str) -> int:
        """A fact that is a number; 0 where it is not known."""
        return int(self.facts.get(fact, 0))


def record_of(request: Request) -> Record:
    return cast(Record, request.scope["umekomi.record"])


class Recording:
    """ASGI middleware around the router."""

    def __init__(self, app: ASGIApp, *, service: Service) -> None:
        self._app = app
        self._service = service
        self._cross_origin = CrossOrigin(service.settings.server.cors_origins)

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
                headers.update(self._service.gate.headers(record.key))
                if self._cross_origin:
                    self._cross_origin.allow(Headers(scope=scope).get("origin"), headers)
            await send(message)

        answer: Send = send_recorded
        log = self._service.request_log
        capture = Capture() if log is not None and log.capturing else None
        if capture is not None:
            receive, answer = capture.of_request(receive), capture.of_answer(send_recorded)

        span = self._begin_span(scope, record)
        self._service.in_flight += 1
        self._service.metrics.in_flight.inc()
        try:
            await self._answer(scope, receive, answer, record)
        finally:
            record.held.close()
            self._service.in_flight -= 1
            self._service.metrics.in_flight.dec()
            self._finish(scope, record, capture, span)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, record: Record) -> None:
        """Run the request; whatever was raised and not answered yet becomes the envelope."""
        try:
            check_framing(scope)
            if self._cross_origin and (preflight := self._cross_origin.preflight(scope)) is not None:
                await preflight(scope, receive, send)
                return
            self._let_in(scope, record)
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

    def _let_in(self, scope: Scope, record: Record) -> None:
        """Before anything else is looked at. Raises `InvalidKey`, or `Overloaded` at a key's limit."""
        if scope["path"] not in _OPEN:
            gate = self._service.gate
            record.key = gate.identify(Headers(scope=scope).get("authorization"))
            gate.admit(record.key)

    def _begin_span(self, scope: Scope, record: Record) -> RequestSpan | None:
        if self._service.tracing is None or scope["path"] in _POLLED:
            return None
        span = self._service.tracing.begin(scope, request_id=record.id, started=record.started)
        record.facts["trace"] = span.trace_id
        return span

    def _finish(self, scope: Scope, record: Record, capture: Capture | None, span: RequestSpan | None) -> None:
        path = _path(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = record.status or CLIENT_CLOSED_REQUEST
        if span is not None:
            span.end(path, method, status, facts=record.facts, stages=record.stages.done)
        metrics = self._service.metrics
        metrics.requests.labels(path, method, str(status)).inc()
        metrics.seconds.labels(path).observe(record.elapsed_ms / 1000)
        if record.model is not None:
            self._count(record, record.model, failed=status >= 400)
            if "priority" in record.facts and (waited := record.stages.find("queue")) is not None:
                metrics.waited.labels(record.model, str(record.facts["priority"])).observe(waited.seconds)
        if path not in _POLLED:
            self._write_line(_line(scope, record, route=path, status=status), capture)
        level = logging.DEBUG if path in _POLLED else logging.INFO
        if _log.isEnabledFor(level):
            facts = "".join(f" {name}={value}" for name, value in record.facts.items())
            if record.key is not None:
                facts = f" key={record.key.prefix}{facts}"
            _log.log(
                level, "%s %s status=%d ms=%.1f id=%s%s", method, path, status, record.elapsed_ms, record.id, facts
            )

    def _count(self, record: Record, model: str, *, failed: bool) -> None:
        self._service.gate.count(
            record.key,
            model=model,
            input_tokens=record.number("tokens"),
            output_tokens=record.number("output_tokens"),
            failed=failed,
        )

    def _write_line(self, line: Line, capture: Capture | None) -> None:
        if (log := self._service.request_log) is not None:
            log.write(line, captured=capture.texts() if capture else None)


def _line(scope: Scope, record: Record, *, route: str, status: int) -> Line:
    return Line(
        request_id=record.id,
        route=route,
        status=status,
        duration_ms=round(record.elapsed_ms, 1),
        key=record.key.prefix if record.key else None,
        key_name=record.key.name if record.key else None,
        model=record.model,
        input_tokens=record.number("tokens"),
        output_tokens=record.number("output_tokens"),
        truncated=record.number("truncated"),
        durations=record.stages.durations,
        client=scope["client"][0] if scope.get("client") else None,
    )


def _path(scope: Scope) -> str:
    """The route's pattern, also of a request that was refused before it was routed."""
    route = scope.get("route") or next(
        (r for r in scope["app"].routes if r.matches(scope)[0] is not Match.NONE), None
    )
    return getattr(route, "path_format", _UNMATCHED)


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

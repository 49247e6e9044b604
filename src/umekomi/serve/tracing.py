"""OpenTelemetry: a span for each request, and one below it for each of its stages. Off unless configured.

Spans are made after the fact, from what a request's `Record` knows: without tracing, nothing here runs or is even
imported. No span holds a text, a query, a path that a client wrote, or an address. Attributes are those of the
semantic conventions for HTTP servers and, where they have one, for generative AI.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import Token
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers
from starlette.types import Scope

from umekomi import __version__
from umekomi.config import TracingSettings
from umekomi.engines.base import handed_on
from umekomi.extras import require
from umekomi.serve.stages import Stage

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import Tracer, TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Span

EXTRA = "otel"
FLUSH_S = 5.0
"""How long a stopping server waits for the last spans to be taken."""

_OPERATIONS = {
    "/v1/embeddings": "embeddings",
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
}


class RequestSpan:
    """The span of one request, and the context that it hands on to other servers."""

    def __init__(self, span: Span, carrier: Mapping[str, str], tracer: Tracer, *, epoch_ns: int) -> None:
        self._span = span
        self._tracer = tracer
        self._epoch_ns = epoch_ns
        self._token: Token[Mapping[str, str]] = handed_on.set(carrier)

    @property
    def trace_id(self) -> str:
        """For the log: 32 hexadecimal digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def end(self, route: str, method: str, status: int, *, facts: Mapping[str, Any], stages: list[Stage]) -> None:
        """Add what the request has turned out to be, and its stages."""
        from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

        handed_on.reset(self._token)
        span = self._span
        if span.is_recording():
            span.update_name(f"{method} {route}")
            span.set_attributes(_attributes(route, method, status, facts))
            if status >= 500:
                span.set_status(StatusCode.ERROR)
            context = set_span_in_context(span)
            for stage in stages:
                kind = SpanKind.CLIENT if stage.name == "upstream" else SpanKind.INTERNAL
                child = self._tracer.start_span(
                    stage.name, context=context, kind=kind, start_time=self._epoch_ns + _ns(stage.began)
                )
                child.end(end_time=self._epoch_ns + _ns(stage.ended))
        span.end(end_time=self._epoch_ns + _ns(time.perf_counter()))


class Tracing:
    """Begins a span for each request and sends them on in a thread of its own. Close it."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("umekomi", __version__)  # type: ignore[assignment]
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, scope: Scope, *, request_id: str, started: float) -> RequestSpan:
        """A span below the one that the client names by ``traceparent``, if any.

        ``started`` is on the clock of `time.perf_counter`, which tells the span's end and its stages too: by two
        clocks, a stage could stick out of its request where the machine is busy.
        """
        from opentelemetry.trace import SpanKind, set_span_in_context

        epoch_ns = time.time_ns() - _ns(time.perf_counter())
        headers = Headers(scope=scope)
        sent = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        span = self._tracer.start_span(
            scope["type"],
            context=self._propagator.extract(sent),
            kind=SpanKind.SERVER,
            attributes={"umekomi.request_id": request_id, "url.scheme": scope["scheme"]},
            start_time=epoch_ns + _ns(started),
        )
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, set_span_in_context(span))
        return RequestSpan(span, carrier, self._tracer, epoch_ns=epoch_ns)

    def close(self) -> None:
        """Send what is left, for up to `FLUSH_S`."""
        self._provider.force_flush(int(FLUSH_S * 1000))
        self._provider.shutdown()


def open_tracing(settings: TracingSettings) -> Tracing | None:
    """Tracing as configured; None where no endpoint is. Raises `MissingExtra` where its packages are missing."""
    if settings.endpoint is None:
        return None
    exporters = require("opentelemetry.exporter.otlp.proto.http.trace_exporter", extra=EXTRA)
    return Tracing(
        build_provider(settings, exporters.OTLPSpanExporter(endpoint=settings.endpoint, timeout=FLUSH_S))
    )


def build_provider(settings: TracingSettings, exporter: SpanExporter) -> TracerProvider:
    """A provider of the server's own; the one that other libraries of the process share is left alone."""
    sdk = require("opentelemetry.sdk.trace", extra=EXTRA)
    export = require("opentelemetry.sdk.trace.export", extra=EXTRA)
    sampling = require("opentelemetry.sdk.trace.sampling", extra=EXTRA)
    resources = require("opentelemetry.sdk.resources", extra=EXTRA)
    provider: TracerProvider = sdk.TracerProvider(
        sampler=sampling.ParentBased(sampling.TraceIdRatioBased(settings.sample_ratio)),
        resource=resources.Resource.create({"service.name": settings.service_name, "service.version": __version__}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return provider


def _ns(seconds: float) -> int:
    return int(seconds * 1e9)


def _attributes(route: str, method: str, status: int, facts: Mapping[str, Any]) -> dict[str, str | int]:
    """What may be told of a request; ``facts`` hold figures and names of the server's own."""
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "http.route": route,
        "http.response.status_code": status,
    }
    if status >= 500:
        attributes["error.type"] = str(status)
    if "model" in facts:
        attributes["gen_ai.request.model"] = facts["model"]
        attributes["gen_ai.operation.name"] = _OPERATIONS.get(route, route.rpartition("/")[2])
    names = {"tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens"}
    for fact, value in facts.items():
        if fact not in ("model", "trace"):
            attributes[names.get(fact, f"umekomi.{fact}")] = value
    return attributes

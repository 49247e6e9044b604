"""The models that are asked for one request: the one that the client named, then its fallbacks in their order."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from umekomi.errors import (
    EngineError,
    Overloaded,
    RateLimited,
    UmekomiError,
    Unavailable,
    UnknownModel,
    UpstreamError,
)
from umekomi.serve.access.keys import Key
from umekomi.serve.recording import record_of
from umekomi.serve.residency import Resident
from umekomi.serve.service import Service, service_of

MODEL_HEADER = "x-umekomi-model"
"""Whose answer this is: a served model's own name, percent-encoded where a header could not carry it."""

FALLBACK_HEADER = "x-umekomi-fallback-for"
"""The model that was asked for and failed; only where another one answers."""

_FAILURES = (UpstreamError, Unavailable, Overloaded, EngineError)
"""What another model may do better. Everything else is the request's own mistake or this server's."""

_log = logging.getLogger("umekomi.serve")

Ask = Callable[[Resident], Awaitable[Response]]


async def first_answer(request: Request, resident: Resident, ask: Ask) -> Response:
    """The answer of ``resident`` or, where it fails before that has begun, of the first fallback that does not.

    A fallback that cannot do what is asked counts as failed. Where all of them fail, raises what the first raised:
    it is the one that the client knows.
    """
    record_of(request).facts.update(model=resident.settings.name)
    try:
        response = await ask(resident)
    except _FAILURES as failure:
        if isinstance(failure, RateLimited) or not resident.settings.fallbacks:
            raise
        return await _fall_back(request, resident, ask, failure)
    response.headers[MODEL_HEADER] = _header_value(resident.settings.name)
    return response


async def _fall_back(request: Request, resident: Resident, ask: Ask, failure: UmekomiError) -> Response:
    service, record = service_of(request), record_of(request)
    asked, failed, why = resident.settings.name, resident.settings.name, failure
    for fallback in _fallbacks(service, resident, record.key):
        name = fallback.settings.name
        _log.warning("falling back id=%s model=%s on=%s: %s", record.id, failed, name, why)
        record.facts.update(model=name)
        record.stages.end("failed")
        try:
            response = await ask(fallback)
        except RateLimited:
            raise
        except UmekomiError as error:
            failed, why = name, error
            continue
        record.facts.update(fallback_for=asked)
        service.metrics.fallbacks.labels(asked, name).inc()
        response.headers[MODEL_HEADER] = _header_value(name)
        response.headers[FALLBACK_HEADER] = _header_value(asked)
        return response
    record.facts.update(model=asked)
    if failed != asked:
        _log.warning("no fallback left id=%s model=%s: %s", record.id, failed, why)
    raise failure


def _fallbacks(service: Service, resident: Resident, key: Key | None) -> Iterator[Resident]:
    """In order, but for those that the key may not use."""
    for name in resident.settings.fallbacks:
        try:
            yield service.resolve(name, key)
        except UnknownModel:
            _log.info("fallback skipped model=%s on=%s: not for this key", resident.settings.name, name)


def _header_value(name: str) -> str:
    return quote(name, safe="!#$&'()*+,/:;=?@[]^`{|}~\"<>\\")

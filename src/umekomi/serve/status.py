"""Errors to HTTP answers: one table, and the one envelope that every failing request gets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus

import orjson
from starlette.exceptions import HTTPException
from starlette.responses import Response

from umekomi import errors

CLIENT_CLOSED_REQUEST = 499
"""Logged and counted, never sent: the client went away before its answer was ready (nginx's number)."""

INVALID_REQUEST = "invalid_request_error"
SERVER_ERROR = "server_error"
SERVICE_UNAVAILABLE = "service_unavailable"

_MAX_MESSAGE = 1000


@dataclass(frozen=True, slots=True)
class Status:
    """How one kind of failure is answered.

    type, code   as in OpenAI's envelope
    retry        whether the very same request may succeed later; decides ``x-should-retry`` on 5xx
    public       whether the message is for the client; otherwise only the log has it
    """

    status: int
    type: str
    code: str | None = None
    retry: bool = False
    public: bool = True


_INTERNAL = Status(500, SERVER_ERROR, "internal_error", public=False)

STATUSES: dict[type[errors.UmekomiError], Status] = {
    errors.UmekomiError: _INTERNAL,
    errors.UserError: Status(400, INVALID_REQUEST),
    errors.ConfigError: _INTERNAL,
    errors.InvalidInput: Status(400, INVALID_REQUEST),
    errors.InputTooLong: Status(400, INVALID_REQUEST, "context_length_exceeded"),
    errors.InvalidKey: Status(401, INVALID_REQUEST, "invalid_api_key"),
    errors.UnknownModel: Status(404, INVALID_REQUEST, "model_not_found"),
    errors.UnsupportedModel: Status(400, INVALID_REQUEST, "unsupported_model"),
    errors.UnsupportedCapability: Status(400, INVALID_REQUEST, "unsupported_capability"),
    errors.BrokenModel: _INTERNAL,
    errors.MissingExtra: _INTERNAL,
    errors.SourceUnavailable: Status(503, SERVICE_UNAVAILABLE, SERVICE_UNAVAILABLE, retry=True, public=False),
    errors.StoreError: _INTERNAL,
    errors.Overloaded: Status(429, "rate_limit_exceeded", "rate_limit_exceeded", retry=True),
    errors.Unavailable: Status(503, SERVICE_UNAVAILABLE, SERVICE_UNAVAILABLE, retry=True),
    errors.EngineError: _INTERNAL,
    errors.UpstreamError: Status(502, "upstream_error", "upstream_error", retry=True, public=False),
    errors.UpstreamTimeout: Status(504, "upstream_error", "upstream_timeout", retry=True, public=False),
}
"""The nearest class in an error's ancestry counts. A model's broken files are no fault of the client's."""

_HTTP_STATUSES: dict[int, Status] = {
    400: Status(400, INVALID_REQUEST, "invalid_http"),
    404: Status(404, INVALID_REQUEST, "unknown_url"),
    405: Status(405, INVALID_REQUEST, "method_not_allowed"),
    408: Status(408, INVALID_REQUEST, "request_timeout"),
    413: Status(413, "request_too_large", "request_too_large"),
    415: Status(415, INVALID_REQUEST, "unsupported_content_encoding"),
    431: Status(431, INVALID_REQUEST, "request_header_fields_too_large"),
}
"""Failures of HTTP itself, raised as Starlette's `HTTPException`."""


def status_of(error: BaseException) -> Status:
    """The row for ``error``; anything that nobody raised on purpose is an internal error."""
    if isinstance(error, HTTPException):
        return _HTTP_STATUSES.get(error.status_code, Status(error.status_code, INVALID_REQUEST))
    for kind in type(error).__mro__:
        if kind in STATUSES:
            return STATUSES[kind]
    return _INTERNAL


def error_response(error: BaseException) -> Response:
    """The answer to a request that failed with ``error``."""
    status = status_of(error)
    headers = _headers(error, status)
    return Response(failure_envelope(error), status.status, headers=headers, media_type="application/json")


def failure_envelope(error: BaseException) -> bytes:
    """The envelope for ``error``, as an answer or in the middle of a stream."""
    status = status_of(error)
    param = error.param if isinstance(error, errors.InvalidInput) else None
    if isinstance(error, errors.UnknownModel):
        param = "model"
    return envelope(_message(error, status), type=status.type, param=param, code=status.code)


def envelope(message: str, *, type: str, param: str | None = None, code: str | None = None) -> bytes:
    """``{"error": {"message", "type", "param", "code"}}`` as JSON."""
    if len(message) > _MAX_MESSAGE:
        message = message[: _MAX_MESSAGE - 1] + "…"
    message = message.encode("utf-8", "replace").decode()  # a lone surrogate has no JSON
    return orjson.dumps({"error": {"message": message, "type": type, "param": param, "code": code}})


def _message(error: BaseException, status: Status) -> str:
    if isinstance(error, errors.UpstreamError) and error.public is not None:
        return error.public
    if not status.public:
        return "The server could not do this; its log tells why under this request's x-request-id."
    if isinstance(error, HTTPException):
        return error.detail
    return str(error) or HTTPStatus(status.status).phrase


def _headers(error: BaseException, status: Status) -> dict[str, str]:
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if isinstance(error, (errors.Overloaded, errors.Unavailable)):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    would_repeat = not status.retry or isinstance(error.__cause__, errors.UserError)
    would_repeat = would_repeat or (isinstance(error, errors.UpstreamError) and not error.may_pass)
    if status.status >= 500 and would_repeat:
        headers["x-should-retry"] = "false"  # OpenAI's clients repeat a 5xx twice unless told
    return headers

"""HTTP/1.1 connections: what uvicorn leaves to others about slow, oversized and malformed requests."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from umekomi.serve.intake.framing import MAX_HEADER_BYTES
from umekomi.serve.status import INVALID_REQUEST, envelope

HEADER_TIMEOUT_S = 20.0
"""How long a client may take to the end of its headers, from connecting or from its next request's first byte."""

LINGER_S = 5.0
LINGER_BYTES = 64_000_000
"""How long, and how much of, a refused body is read and thrown away. Closing at once would reset the connection,
and the client, still sending, might never see why it was refused."""


class Connection(H11Protocol):
    """uvicorn's connection, with a time limit on headers, the error envelope, and a goodbye to big bodies."""

    _deadline: asyncio.TimerHandle | None = None
    _lingering: bool = False  # the answer is out, but the request's body still comes
    _refused: bool = False  # our side has ended; whatever still comes is thrown away
    _discarded: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            self._discard(len(data))
            return
        super().data_received(data)
        if self._refused or self.transport.is_closing():
            return
        if self._lingering and self.conn.their_state is h11.SEND_BODY:
            self._discard(len(data))
            return
        self._lingering = False  # if it was, the body is over and the connection as good as new
        if self.conn.their_state is not h11.IDLE:
            self._cancel_deadline()
        elif self._deadline is None and self.conn.trailing_data[0]:
            self._expect_headers()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.SEND_BODY and not self.transport.is_closing():
            self._lingering = True
            self._linger()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP request. Only too many header bytes have a status of their own."""
        if getattr(sys.exc_info()[1], "error_status_hint", None) == 431:  # uvicorn calls this while handling h11's
            message = f"The request's headers are larger than {MAX_HEADER_BYTES} bytes."
            self._refuse(431, message, "request_header_fields_too_large")
        else:
            self._refuse(400, "This is not a valid HTTP/1.1 request.", "invalid_http")

    def _expect_headers(self) -> None:
        self._start_deadline(HEADER_TIMEOUT_S, self._headers_overdue)

    def _headers_overdue(self) -> None:
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            self._refuse(408, f"The request's headers took longer than {HEADER_TIMEOUT_S:g} s.", "request_timeout")
        else:
            self.transport.close()

    def _refuse(self, status: int, message: str, code: str) -> None:
        """One answer in the envelope, and the end of the connection."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.close()
            return
        body = envelope(message, type=INVALID_REQUEST, code=code)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        response = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
        for event in (response, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.write_eof()
        self._refused = True
        self._linger()

    def _linger(self) -> None:
        self._discarded = 0
        self._unset_keepalive_if_required()
        self._start_deadline(LINGER_S, self.transport.close)

    def _discard(self, size: int) -> None:
        self._discarded += size
        if self._discarded > LINGER_BYTES:
            self.transport.close()

    def _start_deadline(self, seconds: float, act: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = self.loop.call_later(seconds, act)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

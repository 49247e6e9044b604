"""One HTTP/1.1 connection to an upstream: h11 on asyncio, one request at a time, no hidden behaviour.

No redirect, proxy, cookie or decompression. Time limits are the caller's; sizes of heads are limited here.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import h11

from umekomi.engines.remote.address import Address
from umekomi.engines.remote.failures import Failure

MAX_HEAD_BYTES = 65_536
HIGH_WATER_BYTES = 262_144
"""Unread bytes over which the upstream is kept waiting: a client that reads slowly must not fill our memory."""

MAX_INTERIM = 16
"""Answers with a status of 1xx before the real one."""

_RESOLVERS = ThreadPoolExecutor(2, thread_name_prefix="umekomi-resolve")
"""Threads of their own for looking up names: a broken name server must not hold up those that tokenise."""


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of an answer, names in small letters."""

    status: int
    headers: Mapping[str, str]


class Connection(asyncio.Protocol):
    """A connection that is open, busy with one request, or lost. Belongs to one event loop.

    answered  whether any byte came back for the current request
    """

    def __init__(self) -> None:
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._unread = 0
        self._paused = False
        self._busy = False
        self._ended = False
        self.answered = False

    @property
    def usable(self) -> bool:
        """Whether another request may go over it."""
        return not self._ended and not self._busy and self._transport is not None

    def send(self, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole request. What the upstream does not take at once waits in memory."""
        assert self._transport is not None
        self._busy, self.answered = True, False
        request = h11.Request(method=b"POST", target=target, headers=headers)
        parts = (self._http.send(event) for event in (request, h11.Data(data=body), h11.EndOfMessage()))
        self._transport.write(b"".join(part for part in parts if part))

    async def head(self) -> Head:
        """The answer's head. Raises `Failure`."""
        for _ in range(MAX_INTERIM):
            event = await self._next()
            if isinstance(event, h11.Response):
                headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
                return Head(event.status_code, headers)
            if not isinstance(event, h11.InformationalResponse):
                break
        raise Failure("wrong", "sent no valid HTTP answer")

    async def read(self) -> bytes:
        """The next piece of the answer's body, in whatever size it came; empty at its end. Raises `Failure`.

        May be cancelled and called again.
        """
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
                return b""
            else:
                raise Failure("wrong", "sent no valid HTTP answer")

    def close(self) -> None:
        """Cut the connection: whatever runs on the other side should stop."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._busy:  # nothing was asked: what comes now must not become the next request's answer
            self.close()
            return
        self.answered = True
        self._unread += len(data)
        self._http.receive_data(data)
        if self._unread > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._http.receive_data(b"")
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _next(self) -> Any:
        """h11's next event."""
        while True:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                if self._ended:
                    raise self._lost() from None
                raise Failure("wrong", "sent no valid HTTP answer", str(error)) from None
            if event is not h11.NEED_DATA:
                if isinstance(event, h11.ConnectionClosed):
                    raise self._lost()
                return event
            self._unread = 0
            if self._ended:
                raise self._lost()
            if self._paused and self._transport is not None:
                self._paused = False
                self._transport.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _lost(self) -> Failure:
        if self.answered:
            return Failure("cut", "ended its answer too early")
        return Failure("unreachable", "closed the connection before it answered")

    def _finish(self) -> None:
        """The answer is whole: make the connection ready for the next request, or end it."""
        self._busy = False
        done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if done and not self._ended and not self._http.trailing_data[0]:
            self._http.start_next_cycle()
        else:
            self.close()


async def open_connection(address: Address) -> Connection:
    """Raises `Failure` where there is none to be had; the time is the caller's to limit."""
    loop = asyncio.get_running_loop()
    problem = "no address"
    try:
        found = await loop.run_in_executor(_RESOLVERS, _resolve, address)
    except (OSError, UnicodeError) as error:
        raise Failure("unreachable", "could not be reached", str(error)) from None
    for host, port in found:
        try:
            _, connection = await loop.create_connection(
                Connection, host, port, ssl=address.tls, server_hostname=address.host if address.tls else None
            )
        except OSError as error:
            problem = str(error)
        else:
            return connection
    raise Failure("unreachable", "could not be reached", problem)


def _resolve(address: Address) -> list[tuple[str, int]]:
    """The addresses that the host's name stands for, in the system's order."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(place[0]), int(place[1])) for *_, place in found))

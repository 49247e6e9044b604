"""One server of a remote model: its connections kept alive, what runs on it, and whether it rests."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from umekomi.engines.base import handed_on
from umekomi.engines.remote.address import Address
from umekomi.engines.remote.circuit import Circuit
from umekomi.engines.remote.connection import Connection, Head, open_connection
from umekomi.engines.remote.failures import Failure

CONNECT_S = 10.0
MAX_IDLE = 64
IDLE_S = 20.0
"""How many unused connections are kept, and for how long. One that the server closed meanwhile is found out."""


@dataclass(slots=True, eq=False)
class Replica:
    """A server, by its number in the configuration, with the model's name there.

    in_flight  requests that it is working on
    outcomes   attempts by how they ended: ``ok``, ``refused`` (the client's mistake), ``given_up``, or an `Outcome`
    """

    number: int
    address: Address
    model: str
    key: str | None = field(repr=False)
    circuit: Circuit = field(default_factory=Circuit)
    in_flight: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    clock: Callable[[], float] = time.monotonic
    closed: bool = False
    _idle: list[tuple[float, Connection]] = field(default_factory=list)

    async def open(self, path: str, body: bytes, *, begin_s: float) -> Exchange:
        """Send a request and wait for the head of its answer. Raises `Failure`.

        A kept connection that turns out to be dead, before a byte came back, is replaced by a new one: that it was
        closed while idle says nothing about the server.
        """
        deadline = asyncio.get_running_loop().time() + begin_s
        self.in_flight += 1
        try:
            return await self._open(path, body, deadline=deadline, begin_s=begin_s)
        except BaseException:
            self.in_flight -= 1
            raise

    async def _open(self, path: str, body: bytes, *, deadline: float, begin_s: float) -> Exchange:
        while (kept := self._kept()) is not None:
            try:
                return await self._ask(kept, path, body, deadline=deadline, begin_s=begin_s)
            except Failure as failure:
                if failure.outcome != "unreachable":
                    raise
        try:
            async with asyncio.timeout(min(CONNECT_S, begin_s)):
                connection = await open_connection(self.address)
        except TimeoutError:
            raise Failure("unreachable", "could not be reached", "connecting took too long") from None
        return await self._ask(connection, path, body, deadline=deadline, begin_s=begin_s)

    def keep(self, connection: Connection) -> None:
        """Take back a connection whose answer was read to its end."""
        if self.closed or not connection.usable or len(self._idle) >= MAX_IDLE:
            connection.close()
        else:
            now = self.clock()
            while self._idle and self._idle[0][0] < now - IDLE_S:
                self._idle.pop(0)[1].close()
            self._idle.append((now, connection))

    def close(self) -> None:
        self.closed = True
        while self._idle:
            self._idle.pop()[1].close()

    def _kept(self) -> Connection | None:
        """The connection used last that is still good."""
        oldest = self.clock() - IDLE_S
        while self._idle:
            since, connection = self._idle.pop()
            if since >= oldest and connection.usable:
                return connection
            connection.close()
        return None

    async def _ask(
        self, connection: Connection, path: str, body: bytes, *, deadline: float, begin_s: float
    ) -> Exchange:
        along = [(name.encode("ascii"), value.encode("latin-1")) for name, value in handed_on.get().items()]
        headers = [*self.address.headers, *along, (b"content-length", b"%d" % len(body))]
        try:
            async with asyncio.timeout_at(deadline):
                connection.send(self.address.target(path), headers, body)
                head = await connection.head()
        except TimeoutError:
            connection.close()
            raise Failure("timeout", f"did not begin its answer within {begin_s:g} s") from None
        except BaseException:
            connection.close()
            raise
        return Exchange(self, connection, head, begin_by=deadline)


class Exchange:
    """A request whose answer has begun. Close it: the connection is kept where the answer was read to its end.

    ``begin_by`` is when its first content is due, on the event loop's clock.
    """

    def __init__(self, replica: Replica, connection: Connection, head: Head, *, begin_by: float) -> None:
        self.replica = replica
        self.head = head
        self.begin_by = begin_by
        self._connection = connection
        self._whole = False
        self._closed = False

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end. Raises `Failure`; may be cancelled and called again."""
        if self._whole:
            return b""
        piece = await self._connection.read()
        self._whole = not piece
        return piece

    async def read_all(self, *, max_bytes: int, stall_s: float, whole_s: float) -> bytes:
        """The rest of the body. Raises `Failure` for one that is too large, stalls, or takes too long."""
        parts: list[bytes] = []
        size = 0
        clock = asyncio.get_running_loop().time
        end = clock() + whole_s
        while True:
            try:
                async with asyncio.timeout_at(min(end, clock() + stall_s)):
                    piece = await self.read()
            except TimeoutError:
                limit = f"nothing for {stall_s:g} s" if clock() < end else f"its answer for more than {whole_s:g} s"
                raise Failure("timeout", f"sent {limit}") from None
            if not piece:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            parts.append(piece)
            size += len(piece)
            if size > max_bytes:
                raise Failure("wrong", f"sent a body of more than {max_bytes} bytes")

    def close(self) -> None:
        """Twice is harmless. Where the answer is not whole, its connection is cut."""
        if self._closed:
            return
        self._closed = True
        self.replica.in_flight -= 1
        if self._whole:
            self.replica.keep(self._connection)
        else:
            self._connection.close()

"""A streamed answer of an upstream: chunks as they come, each checked."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from umekomi.engines.base import Answer
from umekomi.engines.remote.events import DONE, EventReader, parse_chunk
from umekomi.engines.remote.failures import Failure, WrongAnswer, plain
from umekomi.engines.remote.replica import Exchange
from umekomi.errors import UmekomiError

_END_S = 0.2
"""How long the end of the body is waited for after the last event, so that the connection can be kept."""


class RemoteStream:
    """The chunks of one answer. Close it; where the answer is not at its end, the upstream is cut off.

    ``on_failure`` takes note of a failure in mid-answer and says what to raise.
    """

    def __init__(
        self, exchange: Exchange, *, stall_s: float, on_failure: Callable[[Failure], UmekomiError]
    ) -> None:
        self._exchange = exchange
        self._stall_s = stall_s
        self._on_failure = on_failure
        self._reader = EventReader()
        self._chunks: list[Answer] = []
        self._done = False
        self._failure: Failure | None = None
        self._clock = asyncio.get_running_loop().time
        self._last_line = self._clock()

    async def begin(self) -> None:
        """Wait for the first chunk, which `next` gives again. Raises `Failure`."""
        kind = self._exchange.head.headers.get("content-type", "")
        if not kind.lower().startswith("text/event-stream"):
            raise Failure("wrong", "sent no stream of events", kind[:80])
        while not self._chunks:
            try:
                async with asyncio.timeout_at(self._exchange.begin_by):
                    await self._read()
            except TimeoutError:
                raise Failure("timeout", "did not begin its answer in time") from None
            if self._done and not self._chunks:
                raise Failure("wrong", "ended its answer without a word")
            if self._failure is not None and not self._chunks:
                raise self._failure

    async def next(self, *, timeout_s: float) -> list[Answer]:
        """The chunks that have come, at least one; none at the end.

        Raises `TimeoutError`, after which it may be called again, and `UpstreamError`.
        """
        try:
            while not self._chunks and not self._done:
                if self._failure is not None:
                    raise self._failure
                await self._read_within(timeout_s)
        except Failure as failure:
            raise self._on_failure(failure) from None
        chunks, self._chunks = self._chunks, []
        return chunks

    def close(self) -> None:
        self._exchange.close()

    async def _read_within(self, timeout_s: float) -> None:
        """A line must come to its end now and then: bytes that drip are no life."""
        stalled_at = self._last_line + self._stall_s
        try:
            async with asyncio.timeout_at(min(self._clock() + timeout_s, stalled_at)):
                await self._read()
        except TimeoutError:
            if self._clock() >= stalled_at:
                raise Failure("timeout", f"sent nothing for {self._stall_s:g} s in mid-answer") from None
            raise

    async def _read(self) -> None:
        """Take in the next piece. What goes wrong behind good chunks is kept until those are given."""
        try:
            piece = await self._exchange.read()
            if not piece:
                raise Failure("cut", "ended its answer too early")
            events, lines = self._reader.feed(piece)
            if lines:
                self._last_line = self._clock()
            for event in events:
                if event.strip() == DONE:
                    self._done = True
                    await self._read_end()
                    return
                self._chunks.append(parse_chunk(event))
        except WrongAnswer as error:
            secret = self._exchange.replica.key
            self._failure = Failure("wrong", error.what, plain(error.excerpt, secret=secret))
        except Failure as failure:
            self._failure = failure

    async def _read_end(self) -> None:
        with contextlib.suppress(Failure, TimeoutError):
            async with asyncio.timeout(_END_S):
                while await self._exchange.read():
                    pass

"""The servers of one model: which of them to ask, and when to ask again. Knows nothing of what is asked."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from umekomi.engines.remote.failures import Failure, WrongAnswer, failure_of_status, plain, words_of
from umekomi.engines.remote.refusals import REFUSALS, refusal
from umekomi.engines.remote.replica import Exchange, Replica
from umekomi.errors import Overloaded, UmekomiError, Unavailable, UserError

MAX_IN_FLIGHT = 1024
"""Requests on one remote model at a time; each holds its body."""

WHOLE_S = 600.0
"""How long the body of an answer may take after it began, where it is not streamed."""

BACKOFF_S = 0.5
LONGEST_BACKOFF_S = 8.0
LONGEST_WAIT_S = 10.0
"""An upstream that asks for a longer wait than this is not waited for; the client is told."""

_MAX_REFUSAL_BYTES = 65_536

_log = logging.getLogger("umekomi")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: for an answer to begin, for its next part, for the whole of one that is not streamed."""

    begin_s: float
    stall_s: float
    whole_s: float = WHOLE_S


class Upstream:
    """The replicas of the model that is served as ``name``."""

    def __init__(
        self,
        name: str,
        replicas: Sequence[Replica],
        *,
        patience: Patience,
        max_retries: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.replicas = tuple(replicas)
        self.patience = patience
        self._max_retries = max_retries
        self._clock = clock
        self._next = 0

    async def ask(self, path: str, encode: Callable[[str], bytes], read: Callable[[Exchange], Awaitable[T]]) -> T:
        """What ``read`` makes of the answer, which it closes unless it fails.

        ``encode`` gives the body, by the model's name at the server that is asked. Raises `UpstreamError`,
        `Overloaded`, `Unavailable`, and `InvalidInput` where the upstream blames the request.
        """
        tried: set[int] = set()
        failure: Failure | None = None
        last = self.replicas[0]
        for turn in range(self._max_retries + 1):
            replica = self._choose(tried) if failure is None else await self._choose_again(tried, failure, turn)
            if replica is None:
                break
            if failure is not None:
                _log.warning(
                    "upstream model=%s %s; trying again", self.name, failure.describe(last.address.base_url)
                )
            try:
                return await self._ask_once(replica, path, encode(replica.model), read)
            except Failure as new:
                failure, last = new, replica
                tried.add(replica.number)
        if failure is None:
            raise self._resting()
        if failure.outcome == "busy":  # of the others, the error itself tells the log
            _log.warning("upstream model=%s %s", self.name, failure.describe(last.address.base_url))
        raise failure.as_error(self.name, last.address.base_url)

    def note(self, replica: Replica, failure: Failure | None) -> None:
        """Take note of how an answer ended; None where it was right."""
        replica.outcomes[failure.outcome if failure else "ok"] += 1
        if failure is None:
            replica.circuit.succeed()
        elif failure.tells_of_server:
            replica.circuit.fail(self._clock(), rest_s=failure.retry_after_s)
        else:
            replica.circuit.end()

    def close(self) -> None:
        for replica in self.replicas:
            replica.close()

    async def _ask_once(
        self, replica: Replica, path: str, body: bytes, read: Callable[[Exchange], Awaitable[T]]
    ) -> T:
        replica.circuit.begin()
        try:
            result = await self._exchange(replica, path, body, read)
        except Failure as failure:
            self.note(replica, failure)
            raise
        except UserError:
            replica.outcomes["refused"] += 1
            replica.circuit.succeed()
            raise
        except BaseException:  # cancelled: the client went away
            replica.outcomes["given_up"] += 1
            replica.circuit.end()
            raise
        self.note(replica, None)
        return result

    async def _exchange(
        self, replica: Replica, path: str, body: bytes, read: Callable[[Exchange], Awaitable[T]]
    ) -> T:
        exchange = await replica.open(path, body, begin_s=self.patience.begin_s)
        try:
            await self._check_head(exchange)
            return await read(exchange)
        except WrongAnswer as error:
            exchange.close()
            raise Failure("wrong", error.what, plain(error.excerpt, secret=replica.key)) from None
        except BaseException:
            exchange.close()
            raise

    async def _check_head(self, exchange: Exchange) -> None:
        head = exchange.head
        if head.status == 200:
            encoding = head.headers.get("content-encoding", "identity").strip().lower()
            if encoding not in ("", "identity"):
                raise Failure("wrong", "sent a compressed answer, which was not asked for", encoding[:40])
            return
        content = await self._read_refusal(exchange)
        if head.status in REFUSALS:
            raise refusal(content, exchange.replica, model=self.name)
        raise failure_of_status(head.status, head.headers, words_of(content, secret=exchange.replica.key))

    async def _read_refusal(self, exchange: Exchange) -> bytes:
        """The body of an answer that is none, as far as it is worth waiting for."""
        try:
            return await exchange.read_all(max_bytes=_MAX_REFUSAL_BYTES, stall_s=1.0, whole_s=5.0)
        except Failure:
            return b""

    def _choose(self, tried: set[int]) -> Replica | None:
        """The least busy replica that does not rest, one that was not tried yet before the others."""
        if sum(replica.in_flight for replica in self.replicas) >= MAX_IN_FLIGHT:
            raise Overloaded(
                f"{MAX_IN_FLIGHT} requests are at the upstream of model `{self.name}`; try again in a moment."
            )
        now = self._clock()
        awake = [replica for replica in self.replicas if replica.circuit.allows(now)]
        if not awake:
            return None
        self._next += 1
        count = len(self.replicas)
        return min(
            awake, key=lambda each: (each.number in tried, each.in_flight, (each.number - self._next) % count)
        )

    async def _choose_again(self, tried: set[int], failure: Failure, turn: int) -> Replica | None:
        """Whom to ask after a failure: another server at once, or the same one after a wait; None for nobody."""
        if failure.outcome == "timeout":  # the work may still run there, and would run twice
            return None
        replica = self._choose(tried)
        if replica is not None and replica.number not in tried:
            return replica
        if not failure.passes or (wait_s := _wait_s(failure, turn)) is None:
            return None
        await asyncio.sleep(wait_s)
        return self._choose(tried)

    def _resting(self) -> UmekomiError:
        left_s = max(1.0, min(replica.circuit.left_s(self._clock()) for replica in self.replicas))
        return Unavailable(
            f"The upstream of model `{self.name}` has failed lately and is left alone for a moment; try again.",
            retry_after_s=left_s,
        )


def _wait_s(failure: Failure, turn: int) -> float | None:
    """How long to wait before the same server is asked again: doubling, with jitter, and what it asked for."""
    backoff_s = min(LONGEST_BACKOFF_S, BACKOFF_S * 2 ** (turn - 1)) * random.uniform(0.5, 1.0)  # noqa: S311
    asked_s = failure.retry_after_s or 0.0
    return None if asked_s > LONGEST_WAIT_S else max(backoff_s, asked_s)

"""A reranker behind a thread: a request whose client goes away stops, and one whose model is closed is told so."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError

import pytest

from kit.server import PATIENCE_S
from umekomi.engines.base import Cancellation, Scores, admit_all
from umekomi.engines.hashing import hashing_bundle
from umekomi.errors import Unavailable
from umekomi.serve.workers import RankModel


class SlowReranker:
    """Scores until it is cancelled."""

    card = hashing_bundle("hashing:8").card

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.stopped = threading.Event()
        self._closed = Cancellation()

    def score(
        self,
        query: str,
        documents: Sequence[str],
        *,
        cancel: Cancellation | None = None,
        admit: Callable[[int], None] = admit_all,
    ) -> Scores:
        admit(len(documents))
        self.entered.set()
        assert cancel is not None
        cancel.on_cancel(self.stopped.set)
        self._closed.on_cancel(self.stopped.set)
        assert self.stopped.wait(PATIENCE_S)
        raise CancelledError

    def close(self) -> None:
        self._closed.cancel()


def test_a_request_that_is_called_off_stops() -> None:
    async def run() -> None:
        reranker = SlowReranker()
        model = RankModel(reranker)
        task = asyncio.ensure_future(model.score("q", ["d"]))
        await asyncio.to_thread(reranker.entered.wait, PATIENCE_S)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(reranker.stopped.wait, PATIENCE_S)
        model.close()

    asyncio.run(run())


def test_a_model_that_is_closed_under_a_request_says_so() -> None:
    async def run() -> None:
        reranker = SlowReranker()
        model = RankModel(reranker)
        task = asyncio.ensure_future(model.score("q", ["d"]))
        await asyncio.to_thread(reranker.entered.wait, PATIENCE_S)
        model.close()
        with pytest.raises(Unavailable, match="unloaded"):
            await task

    asyncio.run(run())


def test_what_is_not_admitted_never_runs() -> None:
    async def run() -> None:
        reranker = SlowReranker()
        model = RankModel(reranker)

        def refuse(tokens: int) -> None:
            raise Unavailable(f"{tokens} are too many")

        with pytest.raises(Unavailable, match="2 are too many"):
            await model.score("q", ["d", "e"], admit=refuse)
        assert not reranker.entered.is_set()
        model.close()

    asyncio.run(run())

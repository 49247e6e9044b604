"""Generators and rerankers behind threads of their own: whole and streamed answers for the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import TypeVar

from umekomi.engines.base import Answer, Cancellation, Chunks, Generator, Reranker, Scores, admit_all
from umekomi.errors import Overloaded, Unavailable
from umekomi.models.card import ModelCard

MAX_WAITING = 256
"""Requests that may wait for one model; each holds its body, and no thread."""

T = TypeVar("T")


class Workers:
    """As many threads as a model runs requests at once. What waits for one holds no thread."""

    def __init__(self, count: int) -> None:
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="umekomi-generate")
        self._lock = threading.Lock()
        self._count = count
        self._pending = 0
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def waiting(self) -> int:
        """Requests that no thread has taken yet."""
        return max(0, self._pending - self._count)

    @property
    def busy(self) -> int:
        """Requests that a thread works on."""
        return min(self._pending, self._count)

    def submit(self, work: Callable[[], T], *, on_start: Callable[[], None] = lambda: None) -> Future[T]:
        """The outcome of ``work``; ``on_start`` is called first, in its thread.

        Raises `Overloaded` where `MAX_WAITING` requests wait already.
        """
        with self._lock:
            if self._closed:
                raise Unavailable("The model is being unloaded; try again in a moment.", retry_after_s=1)
            waiting = self._pending - self._count
            if waiting >= MAX_WAITING:
                raise Overloaded(
                    f"{waiting} requests are waiting for this model already, of {MAX_WAITING} at most; "
                    "try again in a moment."
                )
            self._pending += 1
            future = self._threads.submit(_started, on_start, work)
        future.add_done_callback(self._done)
        return future

    async def whole(self, ask: Callable[[Cancellation], T], *, on_start: Callable[[], None]) -> T:
        """What ``ask`` gives. Cancelling the task drops it, or stops it where it runs; raises as `submit` does."""
        cancel = Cancellation()

        def work() -> T:
            try:
                return ask(cancel)
            except CancelledError:
                raise _stopped() from None

        try:
            return await asyncio.wrap_future(self.submit(work, on_start=on_start))
        except asyncio.CancelledError:
            cancel.cancel()
            raise

    def close(self) -> None:
        """Drop what waits. What runs is for its owner to stop."""
        with self._lock:
            self._closed = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _done(self, _future: Future[T]) -> None:
        with self._lock:
            self._pending -= 1


class ChatModel:
    """An open generator as the routes use it; see `umekomi.engines.base.Generator`."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self._workers = Workers(generator.parallel)

    @property
    def card(self) -> ModelCard:
        return self.generator.card

    @property
    def ready(self) -> bool:
        return not self._workers.closed

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn; their tokens nobody knows before they run."""
        return self._workers.waiting

    @property
    def busy(self) -> int:
        """Requests that are being answered."""
        return self._workers.busy

    async def whole(
        self, ask: Callable[[Cancellation], Answer], *, on_start: Callable[[], None] = lambda: None
    ) -> Answer:
        """What ``ask`` gives, in a thread, which calls ``on_start`` first. Cancelling the task stops it."""
        return await self._workers.whole(ask, on_start=on_start)

    def stream(
        self, ask: Callable[[Cancellation], Chunks], *, on_start: Callable[[], None] = lambda: None
    ) -> ChunkStream:
        """The chunks that ``ask`` gives, as they come. Close it. Raises `Overloaded`."""
        stream = ChunkStream(asyncio.get_running_loop())
        stream.run_in(self._workers, ask, on_start=on_start)
        return stream

    def close(self) -> None:
        """Stop what runs, drop what waits, and give back memory and threads."""
        self._workers.close()
        self.generator.close()


class RankModel:
    """An open reranker as the routes use it; see `umekomi.engines.base.Reranker`."""

    def __init__(self, reranker: Reranker) -> None:
        self._reranker = reranker
        self._workers = Workers(1)

    @property
    def card(self) -> ModelCard:
        return self._reranker.card

    @property
    def ready(self) -> bool:
        return not self._workers.closed

    @property
    def waiting(self) -> int:
        """Requests that wait for their turn."""
        return self._workers.waiting

    async def score(
        self,
        query: str,
        documents: Sequence[str],
        *,
        admit: Callable[[int], None] = admit_all,
        on_start: Callable[[], None] = lambda: None,
    ) -> Scores:
        """As `Reranker.score`, in a thread, where ``admit`` is called too. Cancelling the task stops it."""
        return await self._workers.whole(
            lambda cancel: self._reranker.score(query, documents, cancel=cancel, admit=admit), on_start=on_start
        )

    def close(self) -> None:
        self._workers.close()
        self._reranker.close()


class ChunkStream:
    """The chunks of one answer on their way from a thread to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._cancel = Cancellation()
        self._items: asyncio.Queue[Answer | Exception | None] = asyncio.Queue()
        self._future: Future[None] | None = None

    def run_in(
        self, workers: Workers, ask: Callable[[Cancellation], Chunks], *, on_start: Callable[[], None]
    ) -> None:
        self._future = workers.submit(lambda: self._pump(ask), on_start=on_start)
        self._future.add_done_callback(self._dropped)

    async def next(self, *, timeout_s: float) -> Answer | None:
        """The next chunk; None at the end. Raises `TimeoutError`, after which it may be called again, and what the
        generation raised."""
        async with asyncio.timeout(timeout_s):
            item = await self._items.get()
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        """Stop the generation; twice is harmless."""
        if self._future is not None:
            self._future.cancel()
        self._cancel.cancel()

    def _pump(self, ask: Callable[[Cancellation], Chunks]) -> None:
        try:
            chunks = ask(self._cancel)
            with contextlib.closing(chunks):
                for chunk in chunks:
                    self._post(chunk)
                # Chunks end without an error where the model was closed under them, and the answer is not whole.
                self._post(_stopped() if self._cancel.cancelled else None)
        except Exception as error:
            self._post(_stopped() if self._cancel.cancelled else error)

    def _dropped(self, future: Future[None]) -> None:
        if future.cancelled():
            self._post(_stopped())

    def _post(self, item: Answer | Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has been closed: nobody reads
            self._loop.call_soon_threadsafe(self._items.put_nowait, item)


def _started(on_start: Callable[[], None], work: Callable[[], T]) -> T:
    on_start()
    return work()


def _stopped() -> Unavailable:
    return Unavailable("The model was unloaded in mid-answer; try again.", retry_after_s=1)

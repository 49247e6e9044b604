"""The lanes' promises to their callers: isolation, cancellation, failure, closing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from kit.server import wait_until
from umekomi.embedding.embedder import Embedder
from umekomi.embedding.lanes import LEAST_BATCH_TOKENS
from umekomi.engines.hashing import HashingEncoder, hashing_bundle
from umekomi.errors import EngineError, Unavailable
from umekomi.types import Prepared, Vectors


class GatedEncoder(HashingEncoder):
    """A hashing encoder whose runs wait for a gate, count their texts, and fail or go mad where asked."""

    def __init__(self, lanes: int = 1) -> None:
        super().__init__(hashing_bundle("hashing:16").card, lanes=lanes)
        self.gate = threading.Event()
        self.started = threading.Event()
        self.ran: list[str] = []

    def run(self, batch: Sequence[Prepared]) -> Vectors:
        self.started.set()
        assert self.gate.wait(20)
        texts = [self.decode([int(i) for i in text.ids[1:]]) for text in batch]
        self.ran += texts
        if any("poison" in text for text in texts):
            raise RuntimeError("the runtime fell over")
        if any("crash" in text for text in texts):
            raise SystemExit("the thread is lost")
        vectors = super().run(batch)
        vectors[["nan" in text for text in texts]] = np.nan
        return vectors


def test_a_cancelled_submission_is_not_computed_and_leaves_others_right() -> None:
    encoder = GatedEncoder()
    with Embedder(encoder) as embedder:
        blocker = embedder.submit(embedder.prepare(["first"], role="raw"))
        encoder.started.wait(20)
        cancelled = embedder.submit(embedder.prepare(["gone1", "gone2"], role="raw"))
        kept = embedder.submit(embedder.prepare(["kept1"], role="raw"))
        assert cancelled.cancel()
        encoder.gate.set()
        assert blocker.result(20).shape == (1, 16)
        alone = embedder.embed(["kept1"], role="raw").vectors
        assert np.array_equal(kept.result(20), alone)
        assert not {"gone1", "gone2"} & set(encoder.ran)
        assert embedder.queued_tokens == 0


def test_a_failing_batch_fails_its_own_submissions_only() -> None:
    encoder = GatedEncoder()
    encoder.gate.set()
    with Embedder(encoder) as embedder:
        with pytest.raises(EngineError, match="fell over"):
            embedder.embed(["poison"], role="raw")
        with pytest.raises(EngineError, match="not finite"):
            embedder.embed(["nan"], role="raw")
        assert embedder.embed(["well"], role="raw").vectors.shape == (1, 16)


def test_a_lost_lane_fails_its_own_batch_and_is_replaced() -> None:
    encoder = GatedEncoder()
    encoder.gate.set()
    with Embedder(encoder) as embedder:
        assert embedder.ready
        for _ in range(3):
            with pytest.raises(EngineError, match="the engine stopped"):
                embedder.embed(["crash"], role="raw")
            assert embedder.embed(["well"], role="raw").vectors.shape == (1, 16)
        assert embedder.ready
    assert not embedder.ready


def test_a_query_does_not_wait_for_the_bulk_work_before_it() -> None:
    encoder = GatedEncoder()
    with Embedder(encoder) as embedder:
        bulk = embedder.submit(embedder.prepare(["b" * 500] * 200, role="raw"))
        encoder.started.wait(20)
        query = embedder.submit(embedder.prepare(["query"], role="raw"))
        encoder.gate.set()
        query.result(20)
        bulk.result(20)
    assert encoder.ran.index("query") < 200 * 0.2


def test_closing_fails_what_waits_and_lets_running_finish() -> None:
    encoder = GatedEncoder()
    embedder = Embedder(encoder)
    running = embedder.submit(embedder.prepare(["running"], role="raw"))
    encoder.started.wait(20)
    waiting = embedder.submit(embedder.prepare(["waiting, of another length"], role="raw"))
    closer = threading.Thread(target=embedder.close)
    closer.start()
    wait_until(lambda: not embedder.ready, what="the beginning of the end")  # or the lane might take what waits
    encoder.gate.set()
    closer.join(20)
    assert running.result(20).shape == (1, 16)
    with pytest.raises(Unavailable, match="closed"):
        waiting.result(20)
    with pytest.raises(Unavailable, match="closed"):
        embedder.embed(["late"], role="raw")
    embedder.close()


def test_many_threads_get_their_own_vectors() -> None:
    encoder = HashingEncoder(hashing_bundle("hashing:32").card, lanes=3)
    with Embedder(encoder) as embedder, ThreadPoolExecutor(16) as pool:
        texts = [f"caller {i} says {'x' * (i % 7)}" for i in range(400)]
        expected = embedder.embed(texts, role="query").vectors
        results = list(pool.map(lambda text: embedder.embed([text], role="query").vectors[0], texts))
    assert np.array_equal(np.stack(results), expected)


def test_a_short_queue_is_shared_between_the_lanes() -> None:
    encoder = GatedEncoder(lanes=2)
    encoder.gate.set()
    sizes: list[int] = []
    run = encoder.run

    def counting(batch: Sequence[Prepared]) -> Vectors:
        sizes.append(sum(text.tokens for text in batch))
        return run(batch)

    encoder.run = counting  # type: ignore[method-assign]
    with Embedder(encoder) as embedder:
        prepared = embedder.prepare([f"text {number:02}" for number in range(25)], role="raw")
        tokens = sum(text.tokens for text in prepared)
        assert LEAST_BATCH_TOKENS < tokens < encoder.batch_tokens
        embedder.submit(prepared).result(20)
    assert sum(sizes) == tokens
    assert max(sizes) <= max(LEAST_BATCH_TOKENS, tokens / 2)

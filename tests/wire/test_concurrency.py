"""Many clients at once: everyone gets the vectors of their own texts, and the loop stays awake."""

from __future__ import annotations

import asyncio
import queue
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from kit.server import MODEL, PATIENCE_S, LocalServer, reference_vectors, serving
from umekomi.config import ModelSettings
from umekomi.embedding.embedder import Embedder
from umekomi.engines.hashing import HashingEncoder, hashing_bundle
from umekomi.models import openai_tokens
from umekomi.serve.routes import embeddings as route

CLIENTS = 50
REQUESTS = 6


def test_fifty_clients_get_their_own_vectors(server: LocalServer) -> None:
    async def converse(number: int) -> None:
        random_ = random.Random(number)
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=PATIENCE_S) as client:
            for turn in range(REQUESTS):
                count = random_.randint(1, 20)
                texts = [f"client {number} turn {turn} " + "果" * random_.randint(0, 300) for _ in range(count)]
                answer = await client.embeddings.create(model=MODEL, input=texts)
                got = np.array([item.embedding for item in answer.data], np.float32)
                np.testing.assert_array_equal(got, reference_vectors(texts))

    async def all_of_them() -> None:
        await asyncio.gather(*(converse(number) for number in range(CLIENTS)))

    asyncio.run(all_of_them())


def test_cancelled_requests_leave_their_neighbours_right(server: LocalServer) -> None:
    async def main() -> None:
        limits = httpx.Limits(max_connections=100)
        async with httpx.AsyncClient(base_url=server.url, timeout=PATIENCE_S, limits=limits) as client:

            async def ask(number: int) -> None:
                texts = [f"{number} {index}" for index in range(200)]
                request = client.post("/v1/embeddings", json={"model": MODEL, "input": texts})
                if number % 2:
                    task = asyncio.ensure_future(request)
                    await asyncio.sleep(random.Random(number).random() * 0.05)
                    task.cancel()
                    return
                rows = (await request).json()["data"]
                got = np.array([row["embedding"] for row in rows], np.float32)
                np.testing.assert_array_equal(got, reference_vectors(texts))

            await asyncio.gather(*(ask(number) for number in range(40)))

    asyncio.run(main())


def test_a_large_request_does_not_keep_small_ones_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Health is answered in the middle of everything that a large body goes through: none of it is on the loop."""
    reached: queue.Queue[str] = queue.Queue()
    stages = {stage: threading.Event() for stage in ("read", "decode", "tokenise", "run", "encode")}

    def held(stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """As ``work``, but it waits until the test lets the stage go on."""

        def wait_and_work(*given: Any, **options: Any) -> Any:
            if not stages[stage].is_set():
                reached.put(stage)
                assert stages[stage].wait(PATIENCE_S)
            return work(*given, **options)

        return wait_and_work

    encoder = HashingEncoder(hashing_bundle(MODEL).card, lanes=1)
    monkeypatch.setattr(route, "parse_json_object", held("read", route.parse_json_object))
    monkeypatch.setattr(openai_tokens, "decode", held("decode", openai_tokens.decode))
    monkeypatch.setattr(encoder, "prepare", held("tokenise", encoder.prepare))
    monkeypatch.setattr(encoder, "run", held("run", encoder.run))
    monkeypatch.setattr(route, "encode_answer", held("encode", route.encode_answer))
    large = {"model": MODEL, "input": [[1000 + index for index in range(50)] for _ in range(256)]}
    with (
        serving(ModelSettings(name=MODEL), open_model=lambda _: Embedder(encoder)) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(server.post, large)
        for stage, go_on in stages.items():
            assert reached.get(timeout=PATIENCE_S) == stage
            assert server.get("/healthz").status_code == 200
            go_on.set()
        assert answer.result().status_code == 200

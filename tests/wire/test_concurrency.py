"""Many clients at once: everyone gets the vectors of their own texts, and the loop stays awake."""

from __future__ import annotations

import asyncio
import random
import time

import httpx
import numpy as np
import openai

from kit.server import MODEL, LocalServer, reference_vectors

CLIENTS = 50
REQUESTS = 6


def test_fifty_clients_get_their_own_vectors(server: LocalServer) -> None:
    async def converse(number: int) -> None:
        random_ = random.Random(number)
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=60) as client:
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
        async with httpx.AsyncClient(base_url=server.url, timeout=60, limits=limits) as client:

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


def test_a_large_request_does_not_keep_small_ones_waiting(server: LocalServer) -> None:
    """Health is answered while a body of several MB is decoded, tokenised and encoded."""
    large = {"model": MODEL, "input": [[index % 90_000 for index in range(145)] for _ in range(2048)]}

    async def main() -> list[float]:
        waits = []
        async with httpx.AsyncClient(base_url=server.url, timeout=120) as client:
            task = asyncio.ensure_future(client.post("/v1/embeddings", json=large))
            while not task.done():
                started = time.perf_counter()
                assert (await client.get("/healthz")).status_code == 200
                waits.append(time.perf_counter() - started)
                await asyncio.sleep(0.01)
            assert (await task).status_code == 200
        return waits

    waits = asyncio.run(main())
    assert len(waits) >= 3
    assert np.median(waits) < 0.5

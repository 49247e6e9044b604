"""Puts a real server under load from many clients, and tells how long queries take with and without bulk work.

A quarter of the clients ask short queries, each after a pause; the others send up to 64 texts at once, first not
at all, then as fast as they are answered. Fails where any answer is neither 200 nor 429, or where memory grows.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from sample_texts import paragraphs, short_sentences
from served import Connection, Served, request_bytes, serve

BULK_SIZES = (4, 16, 64)
BULK = "x-umekomi-priority: bulk\r\n"
PAUSE_S = 0.5
"""Mean time for which a client reads what its query has found."""

GROWTH_SHARE, GROWTH_BYTES = 0.1, 60_000_000
"""Memory after the load may be more than after the warm-up by the larger of these: allocators keep some."""


@dataclass(slots=True)
class Phase:
    """What the queries of one phase have seen."""

    name: str
    queries: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bulk_texts: int = 0

    def line(self) -> str:
        cuts = [time_s * 1000 for time_s in statistics.quantiles(self.queries, n=100, method="inclusive")]
        counts = " ".join(f"{status}:{count}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.name:<22} {len(self.queries):>7} {cuts[49]:>8.0f} {cuts[94]:>8.0f} {cuts[98]:>8.0f} "
            f"{self.bulk_texts:>10}   {counts}"
        )


def main() -> None:
    options = _parse()
    arguments = ["--precision", "int8"] if not options.model.startswith("hashing:") else []
    with serve(options.model, *arguments) as served:
        sys.exit(asyncio.run(_run(options, served)))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="multilingual-e5-small", help="what `umekomi serve` takes; int8")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="of both phases together, warm-up not included")
    return parser.parse_args()


async def _run(options: argparse.Namespace, served: Served) -> int:
    queriers = max(1, options.clients // 4)
    await _load(options, served, Phase("warm-up"), queriers=queriers, seconds=max(2.0, options.seconds / 10))
    before = served.memory_bytes()
    quiet = await _load(
        options, served, Phase("queries alone"), queriers=queriers, seconds=options.seconds / 3, bulk=False
    )
    busy = await _load(
        options, served, Phase("with bulk behind them"), queriers=queriers, seconds=options.seconds * 2 / 3
    )
    after = served.memory_bytes()
    print(f"{options.model}: {queriers} clients with queries, {options.clients - queriers} with bulk work")
    print(f"{'':<22} {'queries':>7} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'bulk texts':>10}   statuses")
    print(quiet.line(), busy.line(), sep="\n")
    print(f"memory: {before / 1e6:.0f} MB after the warm-up, {after / 1e6:.0f} MB at the end")
    return _verdict(quiet.statuses + busy.statuses, before, after)


def _verdict(statuses: Counter[int], before: int, after: int) -> int:
    """The exit code; says what was wrong."""
    if wrong := {status: count for status, count in statuses.items() if status not in (200, 429)}:
        print(f"FAILED: answers other than 200 and 429: {wrong}")
        return 1
    if after - before > max(before * GROWTH_SHARE, GROWTH_BYTES):
        print(f"FAILED: memory grew by {(after - before) / 1e6:.0f} MB")
        return 1
    print("no error but 429, and memory stayed")
    return 0


async def _load(
    options: argparse.Namespace, served: Served, phase: Phase, *, queriers: int, seconds: float, bulk: bool = True
) -> Phase:
    end = time.perf_counter() + seconds
    indexers = range(options.clients - queriers if bulk else 0)
    indexing = [asyncio.create_task(_index(options, served, phase, number)) for number in indexers]
    await asyncio.gather(*(_query(options, served, phase, end, number) for number in range(queriers)))
    for task in indexing:
        task.cancel()  # what they still wait for goes with their connections
    for outcome in await asyncio.gather(*indexing, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
    return phase


async def _query(options: argparse.Namespace, served: Served, phase: Phase, end: float, number: int) -> None:
    """Short queries, each after a pause; at least one, however slow the machine."""
    chance = random.Random(number)
    texts = short_sentences(200).texts
    connection = await Connection.open(served.port)
    while True:
        await asyncio.sleep(chance.expovariate(1 / PAUSE_S))
        request = _request(options.model, [chance.choice(texts)], "query")
        began = time.perf_counter()
        status, _ = await connection.ask(request)
        phase.queries.append(time.perf_counter() - began)
        phase.statuses[status] += 1
        if time.perf_counter() >= end:
            break
    connection.close()


async def _index(options: argparse.Namespace, served: Served, phase: Phase, number: int) -> None:
    """Bulk requests of several sizes, the next as soon as one is answered, until cancelled."""
    chance = random.Random(1000 + number)
    texts = paragraphs(200).texts
    connection = await Connection.open(served.port)
    try:
        while True:
            chosen = chance.choices(texts, k=chance.choice(BULK_SIZES))
            status, _ = await connection.ask(_request(options.model, chosen, "document", headers=BULK))
            phase.statuses[status] += 1
            phase.bulk_texts += len(chosen) if status == 200 else 0
            if status == 429:
                await asyncio.sleep(chance.random())
    finally:
        connection.close()


def _request(model: str, texts: list[str], role: str, *, headers: str = "") -> bytes:
    content = {"model": model, "input": texts, "input_type": role, "encoding_format": "base64"}
    return request_bytes("/v1/embeddings", content, headers=headers)


if __name__ == "__main__":
    main()

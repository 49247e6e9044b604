"""The child process that sends requests: bare HTTP on kept connections, so that it costs little itself.

Reads one order a line on standard input (``port``, ``path``, ``body``, ``key``, ``clients``, ``seconds``) and
answers each with a line: ``requests``, ``seconds``, ``p50_ms``, ``p95_ms``.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from typing import Any


def main() -> None:
    for line in sys.stdin:
        sys.stdout.write(json.dumps(asyncio.run(_run(json.loads(line)))) + "\n")
        sys.stdout.flush()


async def _run(order: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps(order["body"]).encode()
    head = f"POST {order['path']} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {order['key']}\r\ncontent-length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(order["clients"]):
        _, client = await loop.create_connection(_Client, "127.0.0.1", order["port"])
        clients.append(client)
    began = time.perf_counter()
    times = await asyncio.gather(*(client.ask_until(request, began + order["seconds"]) for client in clients))
    seconds = time.perf_counter() - began
    every = sorted(each for some in times for each in some)
    cuts = statistics.quantiles(every, n=20, method="inclusive")
    return {"requests": len(every), "seconds": seconds, "p50_ms": cuts[9] * 1000, "p95_ms": cuts[18] * 1000}


class _Client(asyncio.Protocol):
    """One connection. Any status but 200 ends the benchmark."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = bytearray()
        self._whole: asyncio.Future[None] | None = None

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._is_whole() and self._whole is not None and not self._whole.done():
            self._whole.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(ConnectionError("the server closed the connection"))

    async def ask_until(self, request: bytes, end: float) -> list[float]:
        """Seconds of each request, one after the other until ``end``; two at least."""
        times: list[float] = []
        while len(times) < 2 or time.perf_counter() < end:
            began = time.perf_counter()
            self._whole = asyncio.get_running_loop().create_future()
            self._transport.write(request)
            await self._whole
            times.append(time.perf_counter() - began)
            if not self._received.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(self._received[:500].decode("utf-8", "replace"))
            self._received.clear()
        self._transport.close()
        return times

    def _is_whole(self) -> bool:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end]).lower()
        if b"transfer-encoding: chunked" in head:
            return self._received.endswith(b"0\r\n\r\n")
        length = int(head.partition(b"\ncontent-length:")[2].partition(b"\r\n")[0])
        return len(self._received) >= end + 4 + length


if __name__ == "__main__":
    main()

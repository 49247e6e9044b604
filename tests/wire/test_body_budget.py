"""Bodies of all connections share one budget, which comes back however a request ends; memory stays flat."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import httpx
import psutil

from kit.server import MODEL, PATIENCE_S, GatedEncoder, LocalServer, serve_process, serving, wait_until
from umekomi.config import Limits, ModelSettings

BODY = 400_000
LIMITS = Limits(max_body_bytes=500_000, max_bodies_bytes=1_000_000)


def send_head(server: LocalServer, length: int) -> socket.socket:
    connection = server.connect()
    connection.sendall(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length)
    return connection


def held(server: LocalServer) -> int:
    return server.service.bodies.held_bytes


def test_what_is_over_the_budget_gets_429_and_room_comes_back_when_clients_leave() -> None:
    with serving(limits=LIMITS) as server:
        stalling = [send_head(server, BODY) for _ in range(2)]
        for connection in stalling:
            connection.sendall(b" " * (BODY - 1))
        wait_until(lambda: held(server) == 2 * (BODY - 65_536 - 1), what="both bodies")
        big = json.dumps({"model": MODEL, "input": "x"}).encode() + b" " * (BODY - 50)
        refused = server.post(big)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) >= 1
        assert server.post({"model": MODEL, "input": "x"}).status_code == 200  # a query is too small to count
        for connection in stalling:
            connection.close()
        wait_until(lambda: held(server) == 0, what="the end of both")
        assert server.post(big).status_code == 200
        wait_until(lambda: held(server) == 0, what="the end of the request, which may come after its answer")


def test_a_body_counts_until_its_answer_is_out() -> None:
    encoder = GatedEncoder()
    with serving(ModelSettings(name=MODEL), limits=LIMITS, open_model=encoder.open) as server:
        body = json.dumps({"model": MODEL, "input": "x"}).encode() + b" " * (BODY - 50)
        with send_head(server, len(body)) as connection:
            connection.sendall(body)
            assert encoder.entered.wait(PATIENCE_S)
            assert held(server) == len(body) - 65_536
            encoder.gate.set()
            assert connection.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: held(server) == 0)


def test_refused_bodies_leave_no_memory_behind(tmp_path: Path) -> None:
    with (
        serve_process(tmp_path, MODEL, environment={"UMEKOMI_HOME": str(tmp_path)}) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client,
    ):
        memory = psutil.Process(server.process.pid).memory_info
        too_large, malformed = b" " * 20_000_000, b"{" + b" " * 14_000_000

        def refuse(body: bytes, status: int, times: int) -> None:
            for _ in range(times):
                assert client.post("/v1/embeddings", content=body).status_code == status

        before = memory().rss
        refuse(too_large, 413, 15)
        assert memory().rss - before < 10_000_000  # read and thrown away
        refuse(malformed, 400, 30)
        assert memory().rss - before < 6 * len(malformed)  # what the allocator keeps of the last few

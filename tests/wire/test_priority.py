"""Who waits behind whom, as a request asks for it, and what the server says about its queues and batches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from kit.server import MODEL, PATIENCE_S, GatedEncoder, LocalServer, serving, wait_until
from umekomi.config import Limits, ModelSettings

BULK = {"x-umekomi-priority": "bulk"}
INTERACTIVE = {"x-umekomi-priority": "interactive"}


def ask(server: LocalServer, text: str = "x", *, headers: dict[str, str] | None = None, count: int = 1) -> str:
    """The priority that the request got."""
    answer = server.post({"model": MODEL, "input": [text] * count}, headers=headers or {})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-umekomi-priority"]


def test_a_request_gets_the_priority_it_asks_for_else_one_by_its_size(server: LocalServer) -> None:
    assert ask(server) == "interactive"
    assert ask(server, "x" * 500, count=10) == "bulk"
    assert ask(server, headers=BULK) == "bulk"
    assert ask(server, "x" * 500, count=10, headers={"x-umekomi-priority": "Interactive"}) == "interactive"


def test_nobody_jumps_the_queue_with_more_than_the_limit() -> None:
    with serving(limits=Limits(max_interactive_tokens=20)) as server:
        assert ask(server, "x" * 19, headers=INTERACTIVE) == "interactive"
        assert ask(server, "x" * 20, headers=INTERACTIVE) == "bulk"
        assert ask(server, "x" * 20) == "interactive"  # by its size: the limit is for those who ask


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/rerank"])
def test_a_priority_that_is_none_names_those_that_are(server: LocalServer, path: str) -> None:
    body = {"model": MODEL, "input": "x", "query": "x", "documents": ["x"]}
    answer = server.client.post(path, json=body, headers={"x-umekomi-priority": "urgent"})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "x-umekomi-priority")
    assert "'urgent'; use one of interactive, bulk" in error["message"]


def test_interactive_texts_pass_bulk_ones_and_the_figures_tell() -> None:
    encoder = GatedEncoder()
    with (
        serving(ModelSettings(name=MODEL), open_model=encoder.open) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        running = [pool.submit(ask, server, "f", headers=INTERACTIVE)]
        assert encoder.entered.wait(PATIENCE_S)
        running += [pool.submit(ask, server, text, headers=BULK) for text in "bc"]
        wait_until(lambda: server.metric("umekomi_queued_tokens", model=MODEL, priority="bulk") == 4)
        running.append(pool.submit(ask, server, "q", headers=INTERACTIVE))
        wait_until(lambda: server.metric("umekomi_queued_tokens", model=MODEL, priority="interactive") == 2)
        encoder.gate.set()
        for each in running:
            each.result()
        assert [chr(prepared.ids[-1]) for prepared in encoder.runs[:2]] == ["f", "q"]
        assert server.metric("umekomi_queue_seconds_count", model=MODEL, priority="bulk") == 2
        assert server.metric("umekomi_queue_seconds_count", model=MODEL, priority="interactive") == 2


def test_batches_are_counted_in_texts_tokens_and_seconds() -> None:
    with serving() as server:
        for count in (1, 5):
            ask(server, "x" * 9, count=count)
        assert server.metric("umekomi_batch_texts_sum", model=MODEL) == 6
        assert server.metric("umekomi_batch_tokens_sum", model=MODEL) == 60
        batches = server.metric("umekomi_batch_texts_count", model=MODEL)
        assert batches == server.metric("umekomi_batch_seconds_count", model=MODEL) >= 2
        assert server.metric("umekomi_batch_seconds_sum", model=MODEL) > 0

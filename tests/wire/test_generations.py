"""Generations that fail, stall or are cut off, by a scripted generator: nothing half is passed on as whole."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from kit.generators import ScriptedGenerator
from kit.server import MODEL, PATIENCE_S, LocalServer, serving, wait_until
from umekomi.config import ModelSettings
from umekomi.errors import EngineError, InvalidInput
from umekomi.serve import workers
from umekomi.serve.access.keys import KeyStore
from umekomi.serve.routes import chat as route

BODY: dict[str, Any] = {"model": "x", "messages": [{"role": "user", "content": "hi"}]}
STREAM = {**BODY, "stream": True}


@contextmanager
def talking(generator: ScriptedGenerator, **options: Any) -> Iterator[LocalServer]:
    with serving(ModelSettings(name="x", kind="chat"), open_model=generator.open, **options) as server:
        yield server


def frames(answer: httpx.Response) -> Iterator[str]:
    return (line for line in answer.iter_lines() if line)


def test_a_failure_in_mid_stream_is_an_event_and_ends_it() -> None:
    generator = ScriptedGenerator(EngineError("the secret of the server"))
    generator.gate.set()
    with talking(generator) as server:
        answer = server.client.post("/v1/chat/completions", json=STREAM)
        assert answer.status_code == 200
        assert "[DONE]" not in answer.text
        last = answer.text.rstrip().rpartition("data: ")[2]
        assert list(json.loads(last)) == ["error"]
        assert "secret" not in answer.text
        failed = server.client.post("/v1/chat/completions", json=BODY)
        assert failed.status_code == 500
        assert server.metric("umekomi_requests_in_flight") == 1


def test_a_refusal_before_the_first_chunk_has_its_status() -> None:
    generator = ScriptedGenerator()
    generator.stream_chat = lambda body, *, cancel=None: (_ for _ in ()).throw(InvalidInput("no", param="stop"))  # type: ignore[method-assign]
    with talking(generator) as server:
        answer = server.client.post("/v1/chat/completions", json=STREAM)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stop")


def test_chunks_arrive_as_they_come_and_silence_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr(route, "COMMIT_S", 0.05)
    generator = ScriptedGenerator()
    generator.before.clear()
    with (
        talking(generator) as server,
        server.client.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
    ):
        assert answer.status_code == 200
        lines = frames(answer)
        assert [next(lines), next(lines)] == [": keep-alive"] * 2
        generator.before.set()
        events = (line for line in lines if not line.startswith(":"))
        assert '"role":"assistant"' in next(events)
        assert '"content":"a"' in next(events)  # while the generation still runs
        assert next(lines) == ": keep-alive"
        generator.gate.set()
        assert '"finish_reason":"stop"' in next(events)
        assert list(events) == ["data: [DONE]"]


def test_a_client_that_leaves_stops_the_generation() -> None:
    generator = ScriptedGenerator()
    with talking(generator) as server:
        with server.client.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
            next(frames(answer))
        assert generator.stopped.wait(PATIENCE_S)
        wait_until(lambda: server.service.in_flight == 0)
        assert server.metric("umekomi_requests_total", status="499") == 1


def test_a_model_closed_under_its_stream_is_a_failure() -> None:
    generator = ScriptedGenerator()
    with talking(generator) as server:
        with server.client.stream("POST", "/v1/chat/completions", json=STREAM) as answer:
            lines = frames(answer)
            next(lines)
            model: Any = server.service.residency.resolve("x").model
            generator.failure = EngineError("the model was closed")
            model.close()
            rest = list(lines)
        assert "[DONE]" not in "".join(rest)
        assert "error" in rest[-1]


def test_too_many_waiting_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MAX_WAITING", 0)
    generator = ScriptedGenerator()
    with talking(generator) as server:
        first = server.client.stream("POST", "/v1/chat/completions", json=STREAM)
        second = server.client.stream("POST", "/v1/chat/completions", json=STREAM)
        with first, second:
            refused = server.client.post("/v1/chat/completions", json=STREAM)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            generator.gate.set()


def test_stopping_the_server_lets_a_stream_finish() -> None:
    generator = ScriptedGenerator()
    with (
        talking(generator) as server,
        server.client.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
    ):
        lines = frames(answer)
        next(lines)
        server.server.handle_exit(signal.SIGTERM, None)
        threading.Timer(0.3, generator.gate.set).start()
        assert list(lines)[-1] == "data: [DONE]"


def test_a_stream_longer_than_the_drain_still_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    generator = ScriptedGenerator()
    with (
        talking(generator, drain_s=0.2) as server,
        server.client.stream("POST", "/v1/chat/completions", json=STREAM) as answer,
    ):
        lines = frames(answer)
        next(lines)
        server.server.handle_exit(signal.SIGTERM, None)
        assert "error" in list(lines)[-1]  # a body that was cut off would raise here
    assert "Traceback" not in caplog.text


def test_a_key_pays_for_its_prompt_before_it_runs_and_for_its_answer_after() -> None:
    generator = ScriptedGenerator()
    generator.gate.set()
    with talking(generator) as server:
        with contextlib.closing(KeyStore(server.service.settings.keys.database)) as keys:
            key = keys.create("talker", tokens_per_minute=100)
        headers = {"authorization": f"Bearer {key.secret}"}
        answer = server.client.post("/v1/chat/completions", json=STREAM, headers=headers)
        assert answer.status_code == 200
        after = server.client.get("/v1/models", headers=headers).headers
        prompt = len(json.dumps(BODY["messages"], separators=(",", ":")))
        chunks = answer.text.count("data: {")
        assert int(after["x-ratelimit-remaining-tokens"]) == 100 - prompt - chunks
        again = {**STREAM, "messages": [{"role": "user", "content": "x" * 60}]}
        assert server.client.post("/v1/chat/completions", json=again, headers=headers).status_code == 429
        assert server.client.post("/v1/chat/completions", json=STREAM).status_code == 401


def test_without_the_engine_the_client_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("umekomi.serve.capabilities.is_installed", lambda module: False)
    with serving(ModelSettings(name=MODEL), ModelSettings(name="x", kind="chat", preload=False)) as server:
        answer = server.client.post("/v1/chat/completions", json=BODY)
        assert answer.status_code == 400
        assert "umekomi[llm]" in answer.json()["error"]["message"]

"""Loading, readiness, overload, failure and drain, with models that do what the test says."""

from __future__ import annotations

import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest

from kit.server import (
    MODEL,
    PATIENCE_S,
    FailingEncoder,
    GatedEncoder,
    LocalServer,
    reference_vectors,
    serving,
    wait_until,
)
from umekomi.config import Limits, ModelSettings
from umekomi.embedding.embedder import Embedder, open_embedder
from umekomi.errors import BrokenModel, EngineError, SourceUnavailable

ASK = {"model": MODEL, "input": ["text"]}


def error_code(response: httpx.Response) -> str:
    return response.json()["error"]["code"]


class SlowOpening:
    """Opens the hashing model once the test lets it; counts how often it was asked to."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.count = 0

    def __call__(self, settings: ModelSettings) -> Embedder:
        self.count += 1
        self.started.set()
        assert self.gate.wait(PATIENCE_S)
        return open_embedder(MODEL)


def test_a_model_that_is_not_preloaded_is_loaded_once_however_many_ask() -> None:
    opening = SlowOpening()
    with (
        serving(ModelSettings(name=MODEL, preload=False), open_model=opening) as server,
        ThreadPoolExecutor(8) as pool,
    ):
        entry = server.get(f"/v1/models/{MODEL}").json()
        assert (entry["state"], entry["dim"], entry["fingerprint"]) == ("unloaded", None, None)
        assert server.get("/readyz").status_code == 200
        assert opening.count == 0
        answers = [pool.submit(server.post, ASK) for _ in range(8)]
        assert opening.started.wait(PATIENCE_S)
        with server.connect() as impatient:
            body = b'{"model": "hashing:64", "input": "x"}'
            impatient.sendall(
                b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            wait_until(lambda: server.service.in_flight == 9, what="the request of the impatient")
        wait_until(lambda: server.service.in_flight == 8, what="its end")  # and the load goes on for the others
        assert server.get(f"/v1/models/{MODEL}").json()["state"] == "loading"
        opening.gate.set()
        assert {answer.result().status_code for answer in answers} == {200}
        assert opening.count == 1
        entry = server.get(f"/v1/models/{MODEL}").json()
        assert (entry["state"], entry["dim"], entry["max_tokens"]) == ("loaded", 64, 512)
        assert server.metric("umekomi_model_load_seconds", model=MODEL) > 0


def test_an_unknown_name_is_answered_at_once_and_starts_nothing() -> None:
    opening = SlowOpening()
    with serving(ModelSettings(name=MODEL, preload=False), open_model=opening) as server:
        assert server.post({"model": "other", "input": "x"}).status_code == 404
        assert server.get("/v1/models/other").status_code == 404
        assert opening.count == 0
        assert 'model="other"' not in server.get("/metrics").text


@pytest.mark.parametrize(
    ("error", "may_retry"),
    [
        (BrokenModel("/secret/folder/model.safetensors is cut short"), False),
        (SourceUnavailable("the hub cannot be reached"), True),
        (ZeroDivisionError("oops"), True),
    ],
)
def test_a_failed_load_is_not_tried_again_for_a_while_and_disturbs_nobody(
    error: Exception, may_retry: bool, caplog: pytest.LogCaptureFixture
) -> None:
    loads = []

    def open_model(settings: ModelSettings) -> Embedder:
        loads.append(settings.name)
        if settings.name == "broken" and loads.count("broken") <= 2:
            raise error
        return open_embedder(MODEL)

    with serving(ModelSettings(name=MODEL), ModelSettings(name="broken"), open_model=open_model) as server:
        assert server.get("/readyz").status_code == 200  # the other model works
        failed = server.service.residency.resolve("broken").cooldown
        now = failed.until - 10  # and there it stays, however long the requests take
        server.service.residency._clock = lambda: now
        ask = {"model": "broken", "input": "x"}
        for _ in range(3):
            response = server.post(ask)
            assert (response.status_code, error_code(response)) == (503, "service_unavailable")
            assert int(response.headers["retry-after"]) == 10
            assert ("x-should-retry" in response.headers) is not may_retry
            assert "secret" not in response.text
        assert str(error) in caplog.text
        assert loads == [MODEL, "broken"]
        assert server.get("/v1/models/broken").json()["state"] == "failed"
        now += 10
        assert server.post(ask).status_code == 503
        now += 19
        assert server.post(ask).status_code == 503
        assert loads == [MODEL, "broken", "broken"]
        now += 1
        assert server.post(ask).status_code == 200
        assert loads == [MODEL, "broken", "broken", "broken"]
        assert server.post(ASK).status_code == 200


def test_not_ready_while_the_models_of_the_start_load() -> None:
    opening = SlowOpening()
    with serving(ModelSettings(name=MODEL), open_model=opening, wait=False) as server:
        assert opening.started.wait(PATIENCE_S)
        readiness = server.get("/readyz")
        assert (readiness.status_code, error_code(readiness)) == (503, "service_unavailable")
        assert readiness.headers["retry-after"]
        assert server.get("/healthz").status_code == server.get("/v1/models").status_code == 200
        opening.gate.set()
        wait_until(lambda: server.get("/readyz").status_code == 200, what="readiness")
        assert server.get("/readyz").json() == {"status": "ready"}


def test_a_full_queue_refuses_at_once_and_recovers() -> None:
    encoder = GatedEncoder()
    limits = Limits(max_queued_tokens=100)
    with (
        serving(ModelSettings(name=MODEL), limits=limits, open_model=encoder.open) as server,
        ThreadPoolExecutor(4) as pool,
    ):
        # A request larger than the queue may pass when nothing waits: it could never run otherwise.
        first = pool.submit(server.post, {"model": MODEL, "input": ["x" * 40] * 5})
        assert encoder.entered.wait(PATIENCE_S)
        wait_until(lambda: server.metric("umekomi_queued_tokens", model=MODEL) == 4 * 41, what="the queue")
        refused = server.post(ASK)
        assert (refused.status_code, error_code(refused)) == (429, "rate_limit_exceeded")
        assert int(refused.headers["retry-after"]) >= 1
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0)
        with client, pytest.raises(openai.RateLimitError):
            client.embeddings.create(**ASK)  # type: ignore[arg-type]
        encoder.gate.set()
        assert first.result().status_code == 200
        assert server.post(ASK).status_code == 200


def test_an_unexpected_error_tells_the_client_nothing_and_the_log_everything(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serving(ModelSettings(name=MODEL), open_model=FailingEncoder().open) as server:
        response = server.post(ASK, headers={"x-request-id": "find-me"})
        assert (response.status_code, error_code(response)) == (500, "internal_error")
        assert "secret" not in response.text
        assert response.headers["x-should-retry"] == "false"
        record = next(record for record in caplog.records if "find-me" in record.message and record.exc_info)
        assert "the secret of the server" in str(record.exc_info)
        assert server.get("/healthz").status_code == 200
        assert server.metric("umekomi_requests_total", route="/v1/embeddings", status="500") == 1


def test_an_engines_failure_fails_its_request_only() -> None:
    class Crashing(GatedEncoder):
        def run(self, batch):  # type: ignore[no-untyped-def]
            if any(text.tokens == 13 for text in batch):
                raise EngineError("node MatMul_17: out of memory")
            return super().run(batch)

    encoder = Crashing()
    encoder.gate.set()
    with serving(ModelSettings(name=MODEL), open_model=encoder.open) as server:
        response = server.post({"model": MODEL, "input": "x" * 12})
        assert (response.status_code, error_code(response)) == (500, "internal_error")
        assert "MatMul" not in response.text
        assert server.post(ASK).status_code == 200


def drain(server: LocalServer) -> None:
    server.server.handle_exit(signal.SIGTERM, None)


def test_a_stopping_server_finishes_what_it_has_and_takes_nothing_new() -> None:
    encoder = GatedEncoder()
    with (
        serving(ModelSettings(name=MODEL), open_model=encoder.open) as server,
        ThreadPoolExecutor(2) as pool,
        httpx.Client(base_url=server.url, timeout=PATIENCE_S) as other,
    ):
        assert other.get("/readyz").status_code == 200
        running = pool.submit(server.post, {"model": MODEL, "input": ["one", "two", "three"]})
        assert encoder.entered.wait(PATIENCE_S)
        drain(server)
        wait_until(lambda: other.get("/readyz").status_code == 503, what="unreadiness")
        assert other.get("/healthz").status_code == 200
        refused = other.post("/v1/embeddings", json=ASK)
        assert (refused.status_code, error_code(refused)) == (503, "service_unavailable")
        assert refused.headers["retry-after"]
        encoder.gate.set()
        answer = running.result()
        assert answer.status_code == 200
        for row, expected in zip(answer.json()["data"], reference_vectors(["one", "two", "three"]), strict=True):
            assert row["embedding"] == pytest.approx(expected)
        with pytest.raises(httpx.TransportError):
            wait_until(lambda: server.get("/healthz").status_code != 200, what="the end of the server")


def test_a_stopping_server_cuts_what_takes_too_long_and_says_so() -> None:
    encoder = GatedEncoder()
    with (
        serving(ModelSettings(name=MODEL), open_model=encoder.open, drain_s=0.3) as server,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(server.post, ASK)
        assert encoder.entered.wait(PATIENCE_S)
        drain(server)
        answer = running.result()
        assert (answer.status_code, error_code(answer)) == (503, "service_unavailable")
        encoder.gate.set()


def test_stopping_does_not_wait_for_a_load() -> None:
    opening = SlowOpening()
    with (
        ThreadPoolExecutor(1) as pool,
        serving(ModelSettings(name=MODEL), open_model=opening, wait=False, drain_s=0.3) as server,
    ):
        waiting = pool.submit(server.post, ASK)
        wait_until(lambda: server.service.in_flight == 1, what="the request")
        drain(server)
        assert waiting.result().status_code == 503
    opening.gate.set()  # only now does the load end, and the server has stopped


def test_stopping_waits_for_the_bytes_of_a_slow_reader() -> None:
    with serving() as server:
        texts = [f"text {index}" for index in range(2048)]
        body = httpx.Request("POST", "http://x", json={"model": MODEL, "input": texts}).content
        with server.connect() as slow:
            slow.sendall(
                b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            received = bytearray(slow.recv(1000))
            drain(server)
            time.sleep(0.3)
            while chunk := slow.recv(20_000):
                received += chunk
                time.sleep(0.001)
        head, _, content = bytes(received).partition(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        assert len(content) == int(length.split(b":")[1])


def test_the_log_has_a_line_for_each_request_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="umekomi")
    with serving() as server:
        server.post({"model": MODEL, "input": "a very private text", "user": "somebody"})
        server.post(b'{"model": "hashing:64", "input": "a very private text"')
        server.get("/a%20very%20private%20path?with=a-private-query")
        server.post({"model": "a-private-model", "input": "x"})
        metrics = server.get("/metrics").text
    lines = [record.getMessage() for record in caplog.records if record.name == "umekomi.serve"]
    told = "\n".join(lines) + metrics
    assert "private" not in told
    assert "somebody" not in told
    line = next(line for line in lines if line.startswith("POST /v1/embeddings status=200"))
    assert "model=hashing:64 inputs=1 priority=interactive tokens=20 truncated=0" in line
    assert any(line.startswith("GET unmatched status=404") for line in lines)

"""Spans of requests as a collector gets them: below the client's, with the stages below, and without any text."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kit.collector import Collector, attributes, collecting
from kit.server import MODEL, LocalServer, serving
from umekomi.config import ModelSettings, RemoteSettings, Settings, TracingSettings
from umekomi.errors import MissingExtra
from umekomi.serve.service import open_service

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stopping server waits for a slow collector, so that no span is lost."""
    monkeypatch.setattr("umekomi.serve.tracing.FLUSH_S", 60.0)


def traced(collector: Collector, **settings: object) -> TracingSettings:
    return TracingSettings.model_validate({"endpoint": collector.url, **settings})


def ask(server: LocalServer, text: str = "a private text", **headers: str) -> int:
    return server.post({"model": MODEL, "input": text}, headers=headers).status_code


def test_a_request_and_its_stages_below_the_clients_span() -> None:
    with collecting() as collector:
        with serving(tracing=traced(collector, service_name="検索")) as server:
            assert ask(server, **SAMPLED, **{"x-request-id": "find-me"}) == 200
            server.get("/healthz")
        root = collector.named("POST /v1/embeddings")
        assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, PARENT)
        assert attributes(root) == {
            "umekomi.request_id": "find-me",
            "url.scheme": "http",
            "http.request.method": "POST",
            "http.route": "/v1/embeddings",
            "http.response.status_code": 200,
            "gen_ai.operation.name": "embeddings",
            "gen_ai.request.model": MODEL,
            "gen_ai.usage.input_tokens": 15,
            "umekomi.inputs": 1,
            "umekomi.truncated": 0,
            "umekomi.priority": "interactive",
        }
        below = [span for span in collector.spans if span.parent_span_id == root.span_id]
        assert [span.name for span in below] == ["receive", "load", "tokenise", "queue", "run", "encode"]
        moments = [moment for span in below for moment in (span.start_time_unix_nano, span.end_time_unix_nano)]
        assert moments == sorted(moments)
        assert root.start_time_unix_nano <= moments[0]
        assert moments[-1] <= root.end_time_unix_nano
        assert len(collector.spans) == 7  # and none of /healthz
        assert collector.resources[0]["service.name"] == "検索"


def test_no_span_holds_what_a_client_wrote() -> None:
    with collecting() as collector:
        with serving(tracing=traced(collector)) as server:
            ask(server)
            server.post({"model": "a-private-model", "input": "x"})
            server.get("/a-private-path?with=a-private-query", headers={"user-agent": "private"})
            server.get("/v1/models/a-private-name")
        assert len(collector.spans) >= 4
        assert b"private" not in collector.sent
        assert {span.name for span in collector.spans if span.kind == span.SPAN_KIND_SERVER} == {
            "POST /v1/embeddings",
            "GET unmatched",
            "GET /v1/models/{name}",
        }


def test_the_client_decides_what_is_traced_and_else_the_share_does() -> None:
    with collecting() as collector:
        with serving(tracing=traced(collector, sample_ratio=0)) as server:
            ask(server)
            ask(server, traceparent=f"00-{TRACE}-{PARENT}-00")
            ask(server, traceparent="nonsense")
            ask(server, **SAMPLED)
        assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
        assert len(collector.spans) == 7


def test_the_trace_goes_on_at_another_server() -> None:
    with collecting() as collector:
        with serving(tracing=traced(collector, service_name="behind")) as behind:
            remote = RemoteSettings(base_url=f"{behind.url}/v1", model=MODEL)
            front = ModelSettings(name="front", kind="embedding", remote=remote)
            with serving(front, tracing=traced(collector)) as server:
                answer = server.post({"model": "front", "input": "x"}, headers=SAMPLED)
                assert answer.status_code == 200, answer.text
        roots = {span.span_id: span for span in collector.spans if span.kind == span.SPAN_KIND_SERVER}
        first, second = (
            next(span for span in roots.values() if attributes(span)["gen_ai.request.model"] == name)
            for name in ("front", MODEL)
        )
        assert second.parent_span_id == first.span_id
        assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
        assert collector.named("upstream").parent_span_id == first.span_id


def test_a_collector_that_is_away_costs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # nobody waits for one that never comes
    with serving(tracing=TracingSettings(endpoint="http://127.0.0.1:9/v1/traces")) as server:
        assert [ask(server) for _ in range(5)] == [200] * 5


def test_a_missing_extra_is_told_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    settings = Settings(
        models=(ModelSettings(name=MODEL),), tracing=TracingSettings(endpoint="http://127.0.0.1:4318/v1/traces")
    )
    with pytest.raises(MissingExtra, match=r"pip install 'umekomi\[otel\]'"):
        open_service(settings)


def test_without_tracing_nothing_of_it_is_imported() -> None:
    code = (
        "import sys; from umekomi.config import Settings; from umekomi.serve.app import build_app; "
        "from umekomi.serve.service import open_service; build_app(open_service(Settings().with_defaults())); "
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=240).returncode == 0

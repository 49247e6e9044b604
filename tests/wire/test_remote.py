"""umekomi in front of umekomi, asked with the official client; and what keys, usage and metrics make of it."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

from kit.server import MODEL, PATIENCE_S, LocalServer, reference_vectors, serve_process, serving, wait_until
from kit.upstream import Asked, chat, chunk, talk, upstream, vectors
from umekomi.config import ModelSettings, RemoteSettings, RequestLogSettings
from umekomi.engines.base import handed_on
from umekomi.engines.remote import RemoteModel, open_remote
from umekomi.serve.access.keys import KeyStore
from umekomi.serve.access.usage import read_usage
from umekomi.serve.wire.schema import ModelList

CHAT = "smollm2-135m-instruct"
HELLO: list[Any] = [{"role": "user", "content": "Say hello in one short sentence."}]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of a server with both kinds of models, and of one in front of it, as users run them."""
    behind, before = tmp_path_factory.mktemp("behind"), tmp_path_factory.mktemp("before")
    (behind / "umekomi.yaml").write_text(
        f"models:\n- {{name: '{MODEL}'}}\n"
        f"- {{name: {CHAT}, preload: false, llama: {{ctx_size: 1024, threads: 1}}}}\n"
    )
    with serve_process(behind, "--config", str(behind / "umekomi.yaml")) as back:
        (before / "umekomi.yaml").write_text(
            "models:\n"
            f"- {{name: words, kind: embedding, remote: {{base_url: '{back.url}/v1', model: '{MODEL}'}}}}\n"
            f"- {{name: talk, kind: chat, remote: {{base_url: '{back.url}/v1', model: {CHAT}}}}}\n"
        )
        with serve_process(before, "--config", str(before / "umekomi.yaml")) as front:
            yield f"{back.url}/v1", f"{front.url}/v1"


def test_vectors_are_those_of_the_server_behind(chain: tuple[str, str]) -> None:
    texts = ["緑の果物", "one two", "🍋" * 40]
    with openai.OpenAI(base_url=chain[1], api_key="any", max_retries=0) as client:
        raw = client.embeddings.with_raw_response.create(model="text-embedding-3-small", input=texts)
        answer = raw.parse()
        found = np.array([row.embedding for row in answer.data], np.float32)
        cut = client.embeddings.create(model="words", input=texts[0], dimensions=8, encoding_format="float")
        asked = client.embeddings.create(model="words", input=[[9906, 1917]], extra_body={"input_type": "query"})
    np.testing.assert_array_equal(found, reference_vectors(texts))
    assert answer.model == raw.headers["x-umekomi-model"] == "words"
    assert answer.usage.prompt_tokens > 0
    assert len(cut.data[0].embedding) == 8
    np.testing.assert_array_equal([asked.data[0].embedding], reference_vectors(["query: Hello world"]))
    direct = httpx.post(f"{chain[0]}/embeddings", json={"model": MODEL, "input": "x"}, timeout=60).headers
    remote, prompts = RemoteSettings(base_url=chain[0], model=MODEL), {"query": "Q: "}
    with serving(ModelSettings(name="prompting", prompts=prompts, remote=remote)) as other:  # type: ignore[arg-type]
        fingerprint = other.post({"model": "prompting", "input": "x"}).headers["x-umekomi-fingerprint"]
        assert fingerprint != direct["x-umekomi-fingerprint"]
    assert raw.headers["x-umekomi-fingerprint"] == direct["x-umekomi-fingerprint"]


@pytest.mark.starter
def test_chat_is_that_of_the_server_behind(chain: tuple[str, str]) -> None:
    asked: dict[str, Any] = {"messages": HELLO, "max_tokens": 12, "temperature": 0, "seed": 1}
    with openai.OpenAI(base_url=chain[0], api_key="any", timeout=120) as client:
        direct = client.chat.completions.create(model=CHAT, **asked)
    with openai.OpenAI(base_url=chain[1], api_key="any", max_retries=0) as client:
        whole = client.chat.completions.create(model="gpt-4o-mini", **asked)
        options: Any = {"include_usage": True}
        chunks = list(client.chat.completions.create(model="talk", stream=True, stream_options=options, **asked))
        completion = client.completions.create(model="talk", prompt="One, two,", max_tokens=3)
        with pytest.raises(openai.BadRequestError, match="The upstream of model `talk` refused") as refused:
            client.chat.completions.create(model="talk", messages=HELLO, temperature=9)
    said = direct.choices[0].message.content
    assert whole.choices[0].message.content == said
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == said
    assert {chunk.model for chunk in chunks} == {"talk"}
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage == whole.usage == direct.usage or chunks[-1].usage is not None
    assert completion.object == "text_completion"
    assert refused.value.param == "temperature"


@pytest.mark.starter
def test_the_async_client_streams(chain: tuple[str, str]) -> None:
    async def read() -> list[str]:
        async with openai.AsyncOpenAI(base_url=chain[1], api_key="any") as client:
            asked = client.chat.completions.create(model="talk", messages=HELLO, max_tokens=4, stream=True)
            return [chunk.choices[0].delta.content or "" async for chunk in await asked]

    assert "".join(asyncio.run(read()))


def test_capabilities_are_the_settings_or_else_the_upstreams_to_know(chain: tuple[str, str]) -> None:
    with openai.OpenAI(base_url=chain[1], api_key="any", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="generates text") as wrong:
            client.embeddings.create(model="talk", input="x")
        assert wrong.value.code == "unsupported_capability"
    listed = httpx.get(f"{chain[1]}/models", timeout=60)
    ModelList.model_validate_json(listed.content, strict=True)
    entries = {entry["id"]: entry for entry in listed.json()["data"]}
    assert entries["talk"]["capabilities"] == ["chat"]
    assert (entries["talk"]["owned_by"], entries["talk"]["precision"]) == ("upstream", None)
    remote = RemoteSettings(base_url=chain[0], model=MODEL)
    with serving(ModelSettings(name="any", remote=remote)) as front:
        assert front.post({"model": "any", "input": "x"}).status_code == 200
        talked = front.client.post("/v1/chat/completions", json={"model": "any", "messages": HELLO})
        assert (talked.status_code, talked.json()["error"]["code"]) == (400, "unsupported_capability")
        assert front.get("/v1/models/any").json()["capabilities"] is None


def test_rerank_and_tokens(chain: tuple[str, str]) -> None:
    documents = ["green fruit", "red car", "fruit"]
    body = {"query": "green fruit", "documents": documents, "top_n": 2, "return_documents": True}
    direct = httpx.post(f"{chain[0]}/rerank", json={"model": MODEL, **body}, timeout=60).json()
    remote = RemoteSettings(base_url=chain[0], model=MODEL)
    models = (
        ModelSettings(name="asking", remote=remote),
        ModelSettings(name="embedding", kind="embedding", remote=remote),
    )
    with serving(*models) as front:
        for name in ("asking", "embedding"):
            ranked = front.client.post("/v1/rerank", json={"model": name, **body})
            assert ranked.headers["x-umekomi-rerank-method"] == "bi-encoder"
            results = ranked.json()["results"]
            assert [result["document"]["text"] for result in results] == ["green fruit", "fruit"]
            for result, expected in zip(results, direct["results"], strict=True):
                assert result["relevance_score"] == pytest.approx(expected["relevance_score"], abs=1e-6)
        tokens = front.client.post("/v1/tokenize", json={"model": "asking", "prompt": "abc"}).json()
        assert (tokens["count"], tokens["max_model_len"]) == (4, 512)
        back = front.client.post("/v1/detokenize", json={"model": "asking", "tokens": tokens["tokens"]})
        assert back.json() == {"model": "asking", "prompt": "abc"}


def test_an_upstream_without_such_routes() -> None:
    def behave(asked: Asked) -> None:
        ranked = {"results": [{"index": 1, "score": 2}, {"index": 0, "score": 2.0}]}
        asked.json(ranked if asked.path.endswith("rerank") else {}, status=200 if "rerank" in asked.path else 404)

    with upstream(behave) as back, serving(ModelSettings(name="far", remote=back.remote())) as front:
        answer = front.client.post("/v1/tokenize", json={"model": "far", "prompt": "x"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unsupported_capability")
        assert [asked.path for asked in back.asked] == ["/v1/tokenize", "/tokenize"]  # the second is vLLM's
        ranked = front.client.post("/v1/rerank", json={"model": "far", "query": "q", "documents": ["a", "b"]})
        assert ranked.json()["method"] == "unknown"
        assert [result["index"] for result in ranked.json()["results"]] == [0, 1]
        front.service.reread = lambda: front.service.settings
        one = {"index": 0, "score": 1}
        for results in ([], [one], [one, one], [one, {"index": 1}], [one, {"index": 2, "score": 1}]):
            assert front.client.post("/api/reload").status_code == 200  # or it would be left alone after three
            back.behave = lambda asked, results=results: asked.json({"results": results})  # type: ignore[misc]
            answer = front.client.post("/v1/rerank", json={"model": "far", "query": "q", "documents": ["a", "b"]})
            assert answer.status_code == 502


def test_a_server_that_knows_no_roles_still_ranks_by_vectors() -> None:
    def behave(asked: Asked) -> None:
        if "input_type" in asked.body:
            message = "Unrecognized request argument supplied: input_type"
            asked.json({"error": {"message": message, "param": None}}, status=400)
        else:
            asked.json(vectors(*[[1.0, float(len(text))] for text in asked.body["input"]]))

    with (
        upstream(behave) as back,
        serving(ModelSettings(name="far", kind="embedding", remote=back.remote())) as front,
    ):
        body = {"model": "far", "query": "aa", "documents": ["aaaaaa", "aa"]}
        ranked = front.client.post("/v1/rerank", json=body).json()
        assert (ranked["method"], [result["index"] for result in ranked["results"]]) == ("bi-encoder", [1, 0])


def test_prompts_token_ids_and_what_is_passed_on() -> None:
    with upstream(lambda asked: asked.json(vectors([1.0]))) as back:
        prompts: Any = {"query": "Q: ", "document": "D: "}
        models = (
            ModelSettings(name="plain", role="document", remote=back.remote()),
            ModelSettings(name="prompting", role="document", prompts=prompts, remote=back.remote()),
            ModelSettings(name="ids", token_ids="model", remote=back.remote()),
        )
        with serving(*models) as front:

            def sent(**body: object) -> dict[str, Any]:
                assert front.post(body).status_code == 200
                return back.asked[-1].body

            assert sent(model="plain", input="x", user="u", store=None) == {
                "model": "theirs",
                "input": ["x"],
                "encoding_format": "float",
                "input_type": "document",
                "user": "u",
            }
            query = sent(model="prompting", input="x", input_type="query", truncate="start")
            assert (query["input"], query["truncate"], "input_type" in query) == (["Q: x"], "start", False)
            assert sent(model="prompting", input="x")["input"] == ["D: x"]
            assert sent(model="plain", input=[9906])["input"] == ["Hello"]
            assert sent(model="ids", input=[9906])["input"] == [[9906]]
            assert front.post({"model": "plain", "input": "a\0b"}).status_code == 400
        header = front_headers = back.asked[-1].headers
        assert header["accept-encoding"] == "identity"
        assert "authorization" not in front_headers


def test_keys_pay_what_the_upstream_counts_and_usage_has_it(tmp_path: Path) -> None:
    database = tmp_path / "server.sqlite"
    store = KeyStore(database)
    secret = store.create("someone", tokens_per_minute=10).secret
    store.close()
    log = tmp_path / "requests.jsonl"
    with (
        upstream(talk("Hello")) as back,
        serving(
            ModelSettings(name="far", remote=back.remote()), keys=database, request_log=RequestLogSettings(file=log)
        ) as front,
    ):
        front.client.headers["authorization"] = f"Bearer {secret}"

        def ask(**fields: object) -> httpx.Response:
            body = {"model": "far", "messages": HELLO, **fields}
            return front.client.post("/v1/chat/completions", json=body)

        assert ask().headers["x-ratelimit-remaining-tokens"] == "5"
        assert ask(stream=True).status_code == 200
        refused = ask()
        assert (refused.status_code, refused.json()["error"]["type"]) == (429, "rate_limit_exceeded")
        assert len(back.asked) == 2
        assert all(asked.headers.get("authorization") is None for asked in back.asked)
        assert front.metric("umekomi_generated_tokens_total", model="far") == 4
    (row,) = read_usage(database, by="model")
    assert (row.model, row.requests, row.input_tokens, row.output_tokens, row.errors) == ("far", 3, 10, 4, 1)
    assert "Say hello" not in log.read_text("utf-8")


def test_a_missing_key_of_an_upstream_is_a_failed_load(caplog: pytest.LogCaptureFixture) -> None:
    with upstream(lambda asked: asked.json(chat())) as back:
        models = (
            ModelSettings(name="keyless", remote=back.remote(api_key_env="UMEKOMI_NO_SUCH_KEY")),
            ModelSettings(name="far", remote=back.remote()),
        )
        with serving(*models) as front:
            answer = front.client.post("/v1/chat/completions", json={"model": "keyless", "messages": HELLO})
            assert answer.status_code == 503
            assert "UMEKOMI_NO_SUCH_KEY" not in answer.text
            assert "the environment variable UMEKOMI_NO_SUCH_KEY is not set" in caplog.text
            assert front.get("/readyz").status_code == 200
            assert not back.asked


def test_a_reload_ends_the_connections_of_a_model_that_goes_after_its_last_answer() -> None:
    def behave(asked: Asked) -> None:
        asked.json(chat())
        if asked.body["messages"] == "wait":
            asked.wait_until_left()

    with (
        upstream(behave) as back,
        serving(
            ModelSettings(name="far", remote=back.remote()), ModelSettings(name="stays", source=MODEL)
        ) as front,
    ):
        settings = front.service.settings
        front.service.reread = lambda: settings.model_copy(update={"models": settings.models[1:]})
        answer = front.client.post("/v1/chat/completions", json={"model": "far", "messages": "wait"})
        assert answer.status_code == 200
        assert front.client.post("/api/reload").json()["models"]["removed"] == ["far"]
        wait_until(lambda: all(asked.left.is_set() for asked in back.asked), what="the end of the connections")
        answer = front.client.post("/v1/chat/completions", json={"model": "far", "messages": HELLO})
        assert answer.status_code == 404


def test_a_stream_on_a_model_that_goes_with_a_signal_comes_to_its_end(tmp_path: Path) -> None:
    go_on = threading.Event()

    def behave(asked: Asked) -> None:
        asked.begin_stream()
        asked.event(chunk("one"))
        assert go_on.wait(PATIENCE_S)
        asked.event(chunk("two"))
        asked.end_stream()
        asked.wait_until_left()

    config = tmp_path / "umekomi.yaml"
    near = f"- {{name: near, source: '{MODEL}'}}\n"
    with upstream(behave) as back:
        config.write_text(f"models:\n{near}- {{name: far, remote: {{base_url: '{back.url}'}}}}\n")
        with serve_process(tmp_path, "--config", str(config)) as front:
            body = {"model": "far", "messages": HELLO, "stream": True}
            with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as answer:
                pieces = answer.iter_text()
                assert "one" in next(pieces)
                config.write_text(f"models:\n{near}")
                front.process.send_signal(signal.SIGHUP)
                wait_until(
                    lambda: "far" not in httpx.get(f"{front.url}/v1/models", timeout=60).text, what="the new list"
                )
                go_on.set()
                assert "".join(pieces).endswith("data: [DONE]\n\n")
            wait_until(back.asked[0].left.is_set, what="the end of the connection")


def test_it_takes_no_memory_and_makes_no_room(tmp_path: Path) -> None:
    with upstream(lambda asked: asked.json(vectors([1.0]))) as back:
        config = tmp_path / "umekomi.yaml"
        config.write_text(
            "single_active: true\n"
            f"models:\n- {{name: near, source: '{MODEL}'}}\n"
            f"- {{name: far, keep_alive_s: 0, remote: {{base_url: '{back.url}'}}}}\n"
        )
        with serve_process(tmp_path, "--config", str(config)) as front:
            for name in ("far", "near", "far"):
                body = {"model": name, "input": "x"}
                assert httpx.post(f"{front.url}/v1/embeddings", json=body, timeout=60).status_code == 200
            entries = httpx.get(f"{front.url}/v1/models", timeout=60).json()["data"]
            assert {entry["state"] for entry in entries} == {"loaded"}
            assert 'umekomi_model_resident{model="far"}' not in httpx.get(f"{front.url}/metrics", timeout=60).text
            assert back.connections == 1


def test_the_headers_of_a_trace_go_along() -> None:
    sent = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}

    async def ask(model: RemoteModel) -> None:
        handed_on.set(sent)
        await model.generate("chat", {"messages": HELLO})
        model.close()
        await asyncio.sleep(0.01)

    with upstream(lambda asked: asked.json(chat())) as back:
        asyncio.run(ask(open_remote(ModelSettings(name="far", remote=back.remote()))))
        assert back.asked[0].headers["traceparent"] == sent["traceparent"]


def waiting_in(front: LocalServer) -> float:
    return front.metric("umekomi_upstream_in_flight", model="far", replica="0")


def test_a_drain_lets_a_stream_come_to_its_end() -> None:
    with upstream(talk(*"Hello there")) as back, serving(ModelSettings(name="far", remote=back.remote())) as front:
        body = {"model": "far", "messages": HELLO, "stream": True}
        with front.client.stream("POST", "/v1/chat/completions", json=body) as answer:
            front.service.draining = True
            assert answer.read().endswith(b"data: [DONE]\n\n")
        front.service.draining = False
        assert waiting_in(front) == 0

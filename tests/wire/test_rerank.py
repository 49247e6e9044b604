"""``POST /v1/rerank``: a reranker in llama.cpp, an embedding model in its place, and what clients send wrong."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kit.gguf_files import RANK, write_bert
from kit.server import MODEL, LocalServer, serving
from kit.tiny_models import save_tiny_reranker
from umekomi.config import Limits, LlamaSettings, ModelSettings, TorchSettings
from umekomi.serve.wire.generation_schema import RerankAnswer

DOCUMENTS = ["red apple", "green kiwi", "fast train", "green apple"]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with serving(ModelSettings(name=MODEL), limits=Limits(max_inputs=8)) as running:
        yield running


@pytest.fixture(scope="module")
def ranking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("llama.cpp is not installed")
    file = tmp_path_factory.mktemp("ranker") / "ranker.gguf"
    write_bert(file, ["red", "green", "apple", "kiwi", "fast", "train"], pooling=RANK)
    with serving(ModelSettings(name="ranker", source=str(file), llama=LlamaSettings(threads=1))) as running:
        yield running


@pytest.fixture(scope="module")
def crossing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """Cross-encoders from safetensors: one by ONNX in both precisions, one that only torch runs."""
    folder = tmp_path_factory.mktemp("models")
    built = str(save_tiny_reranker(folder / "xlm-roberta", "xlm-roberta"))
    other = str(save_tiny_reranker(folder / "mpnet", "mpnet"))
    with serving(
        ModelSettings(name="built", source=built, preload=False),
        ModelSettings(name="int8", source=built, precision="int8", preload=False),
        ModelSettings(name="other", source=other, torch=TorchSettings(device="cpu"), preload=False),
        limits=Limits(max_input_tokens=100, max_request_tokens=150),
    ) as running:
        yield running


def rerank(server: LocalServer, model: str = MODEL, **fields: Any) -> httpx.Response:
    body = {"model": model, "query": "green apple", "documents": DOCUMENTS, **fields}
    return server.client.post("/v1/rerank", json=body)


def scores_by_index(answer: httpx.Response) -> dict[int, float]:
    assert answer.status_code == 200, answer.text
    results = RerankAnswer.model_validate_json(answer.content, strict=True).results
    scores = [result.relevance_score for result in results]
    assert scores == sorted(scores, reverse=True)
    return {result.index: result.relevance_score for result in results}


def vectors(answer: httpx.Response) -> NDArray[np.float64]:
    return np.array([row["embedding"] for row in answer.json()["data"]])


def test_an_embedding_model_ranks_by_its_vectors_and_says_so(server: LocalServer) -> None:
    answer = rerank(server)
    assert answer.json()["method"] == answer.headers["x-umekomi-rerank-method"] == "bi-encoder"
    asked = {"model": MODEL, "encoding_format": "float"}
    query = vectors(server.post({**asked, "input": ["green apple"], "input_type": "query"}))[0]
    documents = vectors(server.post({**asked, "input": DOCUMENTS, "input_type": "document"}))
    found = scores_by_index(answer)
    assert np.allclose([found[index] for index in range(4)], documents @ query, atol=1e-6)
    assert next(iter(found)) == 3


def test_a_reranker_ranks_by_its_own_scores(ranking: LocalServer) -> None:
    entry = ranking.get("/v1/models/ranker").json()
    assert entry["capabilities"] == ["rerank"]
    answer = rerank(ranking, "ranker")
    assert answer.json()["method"] == answer.headers["x-umekomi-rerank-method"] == "cross-encoder"
    whole = scores_by_index(answer)
    assert whole.keys() == set(range(4))
    for index, document in enumerate(DOCUMENTS):  # each for itself: neighbours play no part
        alone = scores_by_index(rerank(ranking, "ranker", documents=[document]))
        assert alone[0] == pytest.approx(whole[index], abs=1e-4)
    assert (answer.headers["x-umekomi-truncated"], answer.json()["usage"]["total_tokens"]) == ("0", 4 * 8)
    cut = rerank(ranking, "ranker", documents=["red", "green " * 100])
    assert cut.headers["x-umekomi-truncated"] == "1"
    too_long = rerank(ranking, "ranker", query="green " * 100)
    assert (too_long.status_code, too_long.json()["error"]["param"]) == (400, "query")
    for route, body in (("embeddings", {"input": "x"}), ("chat/completions", {"messages": []})):
        refused = ranking.client.post(f"/v1/{route}", json={"model": "ranker", **body})
        assert refused.json()["error"]["code"] == "unsupported_capability"


@pytest.mark.parametrize("model", ["built", "int8", "other"])
def test_a_cross_encoder_from_safetensors(crossing: LocalServer, model: str) -> None:
    refused = crossing.client.post("/v1/embeddings", json={"model": model, "input": "x"})
    assert refused.json()["error"]["code"] == "unsupported_capability"
    entry = crossing.get(f"/v1/models/{model}").json()
    assert (entry["capabilities"], entry["state"]) == (["rerank"], "unloaded")
    answer = rerank(crossing, model)
    assert answer.json()["method"] == "cross-encoder"
    whole = scores_by_index(answer)
    assert all(0 < score < 1 for score in whole.values())
    alone = rerank(crossing, model, documents=DOCUMENTS[:1])
    assert scores_by_index(alone)[0] == pytest.approx(whole[0], abs=1e-3)
    assert answer.json()["usage"]["total_tokens"] > alone.json()["usage"]["total_tokens"] > 0
    cut = rerank(crossing, model, documents=["red", "green " * 1000])
    assert (cut.status_code, cut.headers["x-umekomi-truncated"]) == (200, "1")
    too_much = rerank(crossing, model, documents=["green " * 100] * 4)
    assert (too_much.status_code, too_much.json()["error"]["param"]) == (400, "documents")
    assert "max 150 tokens per request" in too_much.json()["error"]["message"]


def test_the_best_few_with_their_texts(server: LocalServer) -> None:
    documents = [{"text": text, "id": 1} for text in DOCUMENTS]
    results = rerank(server, documents=documents, top_n=2, return_documents=True).json()["results"]
    assert len(results) == 2
    assert all(result["document"] == {"text": DOCUMENTS[result["index"]]} for result in results)
    assert len(rerank(server, top_n=99).json()["results"]) == 4
    assert "document" not in rerank(server).json()["results"][0]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no query": ({"query": None}, "query"),
    "an empty query": ({"query": ""}, "query"),
    "NUL in the query": ({"query": "a\0"}, "query"),
    "no documents": ({"documents": None}, "documents"),
    "none at all": ({"documents": []}, "documents"),
    "a text": ({"documents": "x"}, "documents"),
    "a number": ({"documents": ["a", 5]}, "documents"),
    "an empty one": ({"documents": ["a", ""]}, "documents"),
    "NUL": ({"documents": ["a", "b\0"]}, "documents"),
    "an object without text": ({"documents": [{"title": "x"}]}, "documents"),
    "too many": ({"documents": ["x"] * 9}, "documents"),
    "top_n": ({"top_n": 0}, "top_n"),
    "return_documents": ({"return_documents": "yes"}, "return_documents"),
}


@pytest.mark.parametrize(("fields", "param"), WRONG.values(), ids=WRONG)
def test_a_wrong_field_is_named(server: LocalServer, fields: dict[str, Any], param: str) -> None:
    answer = rerank(server, **fields)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.lists(st.text(max_size=3), max_size=3)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    route=st.sampled_from(["rerank", "tokenize", "detokenize"]),
    body=st.dictionaries(
        st.sampled_from(
            ["query", "documents", "top_n", "return_documents", "prompt", "tokens", "add_special_tokens"]
        ),
        JSON | st.lists(st.integers(-1, 1_200_000), max_size=3),
    ),
)
def test_any_body_is_answered_or_refused_but_never_fails(
    server: LocalServer, route: str, body: dict[str, Any]
) -> None:
    asked = {"query": "x", "documents": ["y"], "prompt": "x", "tokens": [], **body, "model": MODEL}
    answer = server.client.post(f"/v1/{route}", json=asked)
    assert answer.status_code in {200, 400}, (asked, answer.text)


def test_tokens_of_an_embedding_model(server: LocalServer) -> None:
    found = server.client.post("/v1/tokenize", json={"model": MODEL, "prompt": "果物"}).json()
    assert found["count"] == len(found["tokens"]) == 3
    back = server.client.post("/v1/detokenize", json={"model": MODEL, "tokens": found["tokens"][1:]}).json()
    assert back["prompt"] == "果物"
    without = server.client.post("/v1/tokenize", json={"model": MODEL, "prompt": "x", "add_special_tokens": False})
    assert without.json()["error"]["param"] == "add_special_tokens"


@pytest.mark.parametrize("kind", ["embedding", "rerank"])
def test_the_wrong_kind_is_known_without_loading(kind: Any, tmp_path: Path) -> None:
    with serving(ModelSettings(name="x", source=str(tmp_path), kind=kind, preload=False)) as server:
        answer = server.client.post("/v1/chat/completions", json={"model": "x", "messages": []})
        assert answer.json()["error"]["code"] == "unsupported_capability"
        assert server.get("/v1/models/x").json()["state"] == "unloaded"

"""The answers' exact shapes, and that ``/openapi.json`` tells the truth about them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from kit.server import MODEL, LocalServer
from umekomi.errors import InvalidInput
from umekomi.serve.wire.embeddings import parse_request
from umekomi.serve.wire.schema import EmbeddingsAnswer, EmbeddingsBody, ErrorEnvelope, Health, Model, ModelList

EMBEDDINGS_SNAPSHOT = """\
{"object":"list","data":[\
{"object":"embedding","index":0,"embedding":[%s]},\
{"object":"embedding","index":1,"embedding":[%s]}],\
"model":"own-ids","usage":{"prompt_tokens":5,"total_tokens":5}}"""

BASE64_SNAPSHOT = """\
{"object":"list","data":[{"object":"embedding","index":0,"embedding":"%s"}],\
"model":"own-ids","usage":{"prompt_tokens":2,"total_tokens":2}}"""

ERROR_SNAPSHOT = """\
{"error":{"message":"The model `x` does not exist or you do not have access to it.",\
"type":"invalid_request_error","param":"model","code":"model_not_found"}}"""

MODEL_SNAPSHOT = {
    "id": "team/embedder",
    "object": "model",
    "owned_by": "umekomi",
    "alias_of": MODEL,
    "capabilities": ["embeddings"],
    "state": "loaded",
    "precision": "fp32",
    "dim": 64,
    "max_tokens": 512,
    "notice": "hashed character bigrams, not a model: vectors carry no meaning",
}


def test_answers_byte_for_byte(server: LocalServer) -> None:
    number = r"-?[0-9]+\.[0-9]+(?:e-?[0-9]+)?"
    row = ",".join([number] * 16)
    answer = server.post({"model": "own-ids", "input": ["a", "bc"]})
    expected = re.escape(EMBEDDINGS_SNAPSHOT).replace("%s", row)
    assert re.fullmatch(expected, answer.text)
    answer = server.post({"model": "own-ids", "input": "a", "encoding_format": "base64"})
    assert re.fullmatch(re.escape(BASE64_SNAPSHOT).replace("%s", r"[A-Za-z0-9+/]{86}=="), answer.text)
    assert server.post({"model": "x", "input": "a"}).text == ERROR_SNAPSHOT
    entry = server.get("/v1/models/team/embedder").json()
    assert entry.pop("created") > 1_700_000_000
    assert re.fullmatch("[0-9a-f]{32}", entry.pop("fingerprint"))
    assert entry == MODEL_SNAPSHOT
    assert server.get("/v1/models/team%2Fembedder").json()["id"] == "team/embedder"
    listed = server.get("/v1/models").json()
    assert list(listed) == ["object", "data"]
    assert [entry["id"] for entry in listed["data"]][:2] == [MODEL, "team/embedder"]


def resolve(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def test_the_description_names_every_route_and_only_those(server: LocalServer) -> None:
    document = server.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {
        (path, method) for path, item in document["paths"].items() for method in item if method in {"get", "post"}
    }
    app = server.server.config.app
    served = {
        (route.path_format, method.lower())
        for route in app.routes
        for method in route.methods - {"HEAD"}  # type: ignore[union-attr]
    }
    assert described == served
    for path, item in document["paths"].items():
        for name in re.findall(r"{(\w+)}", path):
            assert any(parameter["name"] == name for parameter in item["parameters"])
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= document["components"]["schemas"].keys()
    assert not re.search(r"https?://", json.dumps(document))


def test_answers_are_as_described(server: LocalServer) -> None:
    ask = {"model": MODEL, "input": ["a"]}
    EmbeddingsAnswer.model_validate_json(server.post(ask).content, strict=True)
    EmbeddingsAnswer.model_validate_json(server.post({**ask, "encoding_format": "base64"}).content, strict=True)
    ModelList.model_validate_json(server.get("/v1/models").content, strict=True)
    Model.model_validate_json(server.get(f"/v1/models/{MODEL}").content, strict=True)
    Health.model_validate_json(server.get("/healthz").content, strict=True)
    Health.model_validate_json(server.get("/readyz").content, strict=True)
    ErrorEnvelope.model_validate_json(server.post({}).content, strict=True)
    document = server.get("/openapi.json").json()
    answers = document["paths"]["/v1/embeddings"]["post"]["responses"]
    assert answers.keys() == {"200", "400", "401", "404", "408", "413", "415", "429", "500", "502", "503", "504"}
    assert answers["200"]["headers"].keys() <= server.post(ask).headers.keys()
    error = resolve(document, answers["400"]["content"]["application/json"]["schema"])
    assert error["properties"].keys() == {"error"}


ids = st.lists(st.integers(-1, 5), max_size=3)
inputs = (
    st.text(max_size=3)
    | ids
    | st.lists(st.text(max_size=2), max_size=3)
    | st.lists(ids, max_size=3)
    | st.lists(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.integers() | st.text(max_size=1), max_size=3
    )
    | st.none()
)


@settings(max_examples=400, deadline=None)
@given(
    body=st.fixed_dictionaries(
        {"model": st.text(max_size=3) | st.none() | st.integers(), "input": inputs},
        optional={
            "encoding_format": st.sampled_from(["float", "base64", "hex", None, 1]),
            "dimensions": st.none() | st.booleans() | st.integers(-2, 3) | st.floats(0, 2),
            "input_type": st.sampled_from(["query", "document", "raw", None, 0]),
            "truncate": st.sampled_from(["error", "end", "start", "", None]),
            "user": st.none() | st.integers() | st.text(max_size=2),
        },
    )
)
def test_the_described_request_is_the_one_that_is_parsed(body: dict[str, Any]) -> None:
    """The parser written by hand and the schema that clients read accept exactly the same requests."""
    try:
        EmbeddingsBody.model_validate(body)
        described = True
    except ValidationError:
        described = False
    try:
        parse_request(body, max_inputs=2048)
        parsed = True
    except InvalidInput:
        parsed = False
    assert parsed == described


def test_metrics_are_prometheus_text(server: LocalServer) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    server.post({"model": "text-embedding-ada-002", "input": ["a", "b"]})
    answer = server.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families.keys() >= {
        "umekomi_requests",
        "umekomi_request_seconds",
        "umekomi_requests_in_flight",
        "umekomi_request_inputs",
        "umekomi_tokens",
        "umekomi_truncated_inputs",
        "umekomi_queued_tokens",
        "umekomi_model_resident",
        "umekomi_model_load_seconds",
        "process_resident_memory_bytes",
    }
    models = {
        sample.labels["model"]
        for family in families.values()
        for sample in family.samples
        if "model" in sample.labels
    }
    assert models <= {MODEL, "prompting", "own-ids"}  # never an alias, never what a client made up


@pytest.mark.parametrize("path", ["/healthz", "/v1/models"])
def test_head_is_get_without_the_body(server: LocalServer, path: str) -> None:
    import httpx

    answer = httpx.head(server.url + path, timeout=60)
    assert answer.status_code == 200
    assert answer.content == b""

"""Whatever a client sends, it gets the right 4xx in one envelope, and the server answers the next request."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit.server import MODEL, LocalServer
from umekomi.serve.wire.schema import ErrorEnvelope


def error_of(response: httpx.Response) -> dict[str, Any]:
    """The envelope's content; fails where the answer is not exactly an envelope."""
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    body = response.json()
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    ErrorEnvelope.model_validate(body)
    return body["error"]


def ask(**fields: object) -> dict[str, object]:
    return {"model": MODEL, "input": "text", **fields}


BODIES = {
    "unquoted keys": (b'{model: "x", input: "y"}', None, "line 1 column 2"),
    "position on a later line": (b'{"model": "x",\n  "input": nope}', None, "line 2 column 12"),
    "cut short": (b'{"model": "x", "input": ["a', None, "line 1 column"),
    "empty": (b"", None, "body is empty"),
    "white space": (b" \n ", None, "body is empty"),
    "an array": (b"[]", None, "not an array"),
    "a string": (b'"x"', None, "not a string"),
    "null": (b"null", None, "not null"),
    "not UTF-8": ('{"model": "x", "input": "é"}'.encode("latin-1"), None, "byte 25 is not UTF-8"),
    "UTF-16": ('{"model": "x", "input": "é"}'.encode("utf-16"), None, "byte 0 is not UTF-8"),
    "NaN": (b'{"model": "x", "input": NaN}', None, "line 1 column"),
    "nested 100,000 deep": (b"[" * 100_000 + b"]" * 100_000, None, "depth"),
    "lone surrogate, escaped": (b'{"model": "hashing:64", "input": "a\\ud800b"}', None, "surrogate"),
    "lone surrogate, encoded": (
        b'{"model": "hashing:64", "input": "a\xed\xa0\x80b"}',
        None,
        "byte 35 is not UTF-8",
    ),
    "form": (b"model=x&input=y", None, "not valid JSON"),
}

REQUESTS = {
    "missing model": ({"input": "x"}, "model", "must provide a model"),
    "null model": (ask(model=None), "model", "must provide a model"),
    "model of another type": (ask(model=["x"]), "model", "must be a string, not an array"),
    "empty model": (ask(model=""), "model", "0 characters"),
    "endless model": (ask(model="x" * 300), "model", "300 characters"),
    "missing input": ({"model": MODEL}, "input", "must provide an input"),
    "null input": (ask(input=None), "input", "must provide an input"),
    "a number": (ask(input=5), "input", "not an integer"),
    "a boolean": (ask(input=True), "input", "not a boolean"),
    "an object": (ask(input={"text": "x"}), "input", "not an object"),
    "no inputs": (ask(input=[]), "input", "empty array"),
    "an empty text": (ask(input=[""]), "input", "input[0] is empty"),
    "an empty text among others": (ask(input=["a", "", "b"]), "input", "input[1] is empty"),
    "no ids": (ask(input=[[]]), "input", "input[0] is empty; an array needs at least one token id"),
    "an id beyond 63 bits": (ask(input=[1, 2**63]), "input", "token id 9223372036854775808 at position 1"),
    "an id beyond 64 bits": (ask(input=[[2**64]]), "input", "input[0][0] is a number, 1.8446744073709552e+19"),
    "an id beyond 63 bits, of the model's own": (
        ask(input=[[1, 2**63]], model="own-ids"),
        "input",
        "9223372036854775808",
    ),
    "no ids among others": (ask(input=[[1], []]), "input", "input[1] is empty"),
    "ids and texts": (ask(input=[1, "a"]), "input", "input[1] is a string beside an integer"),
    "texts and null": (ask(input=["a", None]), "input", "input[1] is null beside a string"),
    "ids and lists": (ask(input=[1, [2]]), "input", "input[1] is an array beside an integer"),
    "three levels": (ask(input=[[[1]]]), "input", "input[0][0] is an array"),
    "texts in lists": (ask(input=[["a"]]), "input", "input[0][0] is a string"),
    "fractions": (ask(input=[1.5]), "input", "input[0] is a number"),
    "booleans": (ask(input=[True, False]), "input", "input[0] is a boolean"),
    "nulls": (ask(input=[None]), "input", "input[0] is null"),
    "objects": (ask(input=[{"text": "x"}]), "input", "input[0] is an object"),
    "negative id": (ask(input=[[5, -1]]), "input", "token id -1"),
    "id beyond the vocabulary": (ask(input=[5, 100_277]), "input", "token id 100277"),
    "id beyond 32 bits": (ask(input=[2**40]), "input", "token id 1099511627776"),
    "id beyond 64 bits": (ask(input=[10**30]), "input", "input[0] is a number"),
    "id that is no code point of the model": (ask(model="own-ids", input=[[0xD800]]), "input", "token id 55296"),
    "NUL": (ask(input=["fine", "a\0b"]), "input", "text 1 contains NUL"),
    "NUL far from the beginning": (ask(input=["x"] * 99 + ["a\0b"]), "input", "text 99 contains NUL"),
    "2,049 inputs": (ask(input=["x"] * 2049), "input", "2049 items; the limit is 2048"),
    "2,049 lists of ids": (ask(input=[[1]] * 2049), "input", "2049 items"),
    "100,000 emoji": (
        ask(input="😀" * 100_000),
        "input",
        "This model's maximum context length is 8192 tokens, however you requested ",
    ),
    "8,193 ids": (
        ask(input=[5] * 8193),
        "input",
        "maximum context length is 8192 tokens, however you requested 8193",
    ),
    "too many tokens in all": (ask(input=["x" * 8000] * 40), "input", "max 300000 tokens per request"),
    "too many ids in all": (ask(input=[[5] * 8000] * 40), "input", "max 300000 tokens per request"),
    "too long under truncate=error": (
        ask(input="x" * 600, truncate="error"),
        "input",
        "This model's maximum context length is 512 tokens, however you requested 601 tokens",
    ),
    "too long under the model's own truncation": (ask(model="prompting", input="x" * 600), "input", "512 tokens"),
    "zero dimensions": (ask(dimensions=0), "dimensions", "dimensions is 0"),
    "negative dimensions": (ask(dimensions=-3), "dimensions", "dimensions is -3"),
    "more dimensions than there are": (ask(dimensions=65), "dimensions", "from 1 to 64"),
    "fractional dimensions": (ask(dimensions=2.0), "dimensions", "whole number"),
    "boolean dimensions": (ask(dimensions=True), "dimensions", "a boolean"),
    "dimensions as text": (ask(dimensions="32"), "dimensions", "a string"),
    "unknown encoding": (ask(encoding_format="hex"), "encoding_format", "use one of float, base64"),
    "encoding of another type": (ask(encoding_format=1), "encoding_format", "an integer"),
    "unknown role": (ask(input_type="passage"), "input_type", "use one of query, document"),
    "unknown truncation": (ask(truncate="middle"), "truncate", "use one of error, end, start"),
    "an unhashable choice": (ask(truncate=[]), "truncate", "an array"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_request(server: LocalServer, case: str) -> None:
    body, param, message = BODIES[case]
    response = server.post(body)
    error = error_of(response)
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert message in error["message"]


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request_that_cannot_be_answered(server: LocalServer, case: str) -> None:
    body, param, message = REQUESTS[case]
    response = server.post(body)
    error = error_of(response)
    assert response.status_code == 400
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert message in error["message"]
    assert "x-should-retry" not in response.headers


def test_context_length_has_the_code_that_clients_look_for(server: LocalServer) -> None:
    assert error_of(server.post(ask(input="😀" * 9000)))["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    "text", ["x" * 14_000_000, " " * 330_000 + "\ufdfa" * 4_850_000], ids=["letters", "ligatures"]
)
def test_a_huge_text_is_refused_before_all_of_it_is_tokenised(server: LocalServer, text: str) -> None:
    response = server.post(json.dumps(ask(input=text), ensure_ascii=False).encode())
    assert response.status_code == 400
    assert "maximum context length" in error_of(response)["message"]


def test_the_message_of_a_huge_value_stays_short(server: LocalServer) -> None:
    response = server.post(ask(encoding_format="x" * 100_000))
    assert len(error_of(response)["message"]) < 200


TOKEN_REQUESTS = {
    "a huge text": ("tokenize", {"prompt": " " * 330_000 + "\ufdfa" * 4_850_000}, "prompt", "8192 tokens"),
    "a text over the context": ("tokenize", {"prompt": "x" * 600}, "prompt", "512 tokens"),
    "an embedding model's tokens alone": (
        "tokenize",
        {"prompt": "x", "add_special_tokens": False},
        "add_special_tokens",
        "leave it out",
    ),
    "too many ids": ("detokenize", {"tokens": [65] * 300_001}, "tokens", "300001 items; the limit is 300000"),
    "no id of the model": ("detokenize", {"tokens": [0xD800]}, "tokens", "token id 55296"),
}


@pytest.mark.parametrize("case", TOKEN_REQUESTS)
def test_what_cannot_be_turned_into_tokens_or_back(server: LocalServer, case: str) -> None:
    route, fields, param, message = TOKEN_REQUESTS[case]
    body = json.dumps({"model": MODEL, **fields}, ensure_ascii=False).encode()
    response = server.client.post(f"/v1/{route}", content=body)
    error = error_of(response)
    assert (response.status_code, error["param"]) == (400, param)
    assert message in error["message"]


@pytest.mark.parametrize("model", ["no-such-model", "../../etc/passwd", "gpt-4", "日本語", " ", "a\nb"])
def test_unknown_model(server: LocalServer, model: str) -> None:
    response = server.post(ask(model=model))
    assert response.status_code == 404
    assert error_of(response) == {
        "message": f"The model `{model}` does not exist or you do not have access to it.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense", None])
def test_the_content_type_plays_no_part(server: LocalServer, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    response = server.post(json.dumps(ask()).encode(), headers=headers)
    assert response.status_code == 200


def test_a_byte_order_mark_is_tolerated(server: LocalServer) -> None:
    assert server.post(b"\xef\xbb\xbf" + json.dumps(ask()).encode()).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "unknown_url"),
        ("GET", "/v1", 404, "unknown_url"),
        ("POST", "/v1/embedding", 404, "unknown_url"),
        ("POST", "/v1/embeddings/", 404, "unknown_url"),
        ("GET", "/v1/%00%ff/../x", 404, "unknown_url"),
        ("GET", "/docs", 404, "unknown_url"),
        ("GET", "/v1/embeddings", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/embeddings", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("BREW", "/metrics", 405, "method_not_allowed"),
    ],
)
def test_unknown_paths_and_methods(server: LocalServer, method: str, path: str, status: int, code: str) -> None:
    response = httpx.request(method, server.url + path, timeout=60)
    error = error_of(response)
    assert (response.status_code, error["type"], error["code"]) == (status, "invalid_request_error", code)
    assert ("allow" in response.headers) == (status == 405)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "model": st.just(MODEL) | JSON,
            "input": st.text(max_size=20) | st.lists(st.integers(0, 90_000)) | JSON,
            "encoding_format": st.sampled_from(["float", "base64"]) | JSON,
            "dimensions": st.integers(-1, 70) | JSON,
            "input_type": st.sampled_from(["query", "document"]) | JSON,
            "truncate": st.sampled_from(["error", "end", "start"]) | JSON,
            "user": JSON,
        },
    )
    | JSON
)
def test_any_json_is_answered_or_refused_but_never_fails(server: LocalServer, body: object) -> None:
    response = server.post(json.dumps(body).encode())
    if response.status_code != 200:
        assert response.status_code in {400, 404}
        error_of(response)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200))
def test_any_bytes_are_refused(server: LocalServer, body: bytes) -> None:
    response = server.post(body)
    assert response.status_code == 400
    error_of(response)


def test_the_server_still_answers(server: LocalServer) -> None:
    assert server.post(ask()).status_code == 200
    assert server.metric("umekomi_requests_in_flight") == 1  # the one that asks

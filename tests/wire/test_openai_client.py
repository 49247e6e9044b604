"""The official OpenAI client, unmodified, against a real socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import httpx
import numpy as np
import openai
import pytest
import tiktoken

from kit.server import MODEL, LocalServer, reference_vectors

TEXTS = ["green fruit", "緑の果物", "😀", "a" * 600, " "]


@pytest.fixture(scope="module")
def client(server: LocalServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        yield client


def vectors_of(answer: openai.types.CreateEmbeddingResponse) -> np.ndarray:
    assert [item.index for item in answer.data] == list(range(len(answer.data)))
    return np.array([item.embedding for item in answer.data], np.float32)


def test_the_client_gets_what_the_python_api_gives(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input=TEXTS)  # asks for base64 by itself
    np.testing.assert_array_equal(vectors_of(answer), reference_vectors(TEXTS))
    as_numbers = client.embeddings.create(model=MODEL, input=TEXTS, encoding_format="float")
    np.testing.assert_array_equal(vectors_of(as_numbers), reference_vectors(TEXTS))
    assert answer.model == MODEL
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(min(len(t) + 1, 512) for t in TEXTS)


def test_the_asynchronous_client(server: LocalServer) -> None:
    async def ask() -> openai.types.CreateEmbeddingResponse:
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
            return await client.embeddings.create(model=MODEL, input="緑の果物")

    np.testing.assert_array_equal(vectors_of(asyncio.run(ask())), reference_vectors(["緑の果物"]))


def test_an_empty_string_alone_is_a_text(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=MODEL, input="")
    np.testing.assert_array_equal(vectors_of(answer), reference_vectors([""]))


@pytest.mark.parametrize(
    "texts", [["緑の果物は何ですか"], ["hello world", "緑の果物", "don't stop  now", "😀👨‍👩‍👧"]]
)
def test_token_ids_are_the_texts_they_stand_for(
    client: openai.OpenAI, cl100k: tiktoken.Encoding, texts: list[str]
) -> None:
    ids = [cl100k.encode(text) for text in texts]
    answer = client.embeddings.create(model=MODEL, input=ids if len(ids) > 1 else ids[0])
    np.testing.assert_array_equal(vectors_of(answer), reference_vectors(texts))


def test_a_model_may_take_its_own_ids(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="own-ids", input=[ord(char) for char in "果物"])
    np.testing.assert_array_equal(vectors_of(answer), reference_vectors(["果物"], "hashing:16"))


def test_ids_are_limited_in_the_vocabulary_they_were_counted_in(
    client: openai.OpenAI, cl100k: tiktoken.Encoding
) -> None:
    # One id of eight spaces is one token to the client and eight to this model: still within the client's limit.
    (spaces,) = cl100k.encode(" " * 8)
    answer = client.embeddings.create(model=MODEL, input=[spaces] * 8192)
    np.testing.assert_array_equal(vectors_of(answer), reference_vectors([" " * 8 * 8192]))


@pytest.mark.parametrize("dimensions", [1, 32, 63, 64])
def test_dimensions_are_the_first_ones_at_unit_length(client: openai.OpenAI, dimensions: int) -> None:
    answer = client.embeddings.create(model=MODEL, input=TEXTS, dimensions=dimensions)
    cut = reference_vectors(TEXTS)[:, :dimensions]
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    expected = cut / np.where(lengths == 0, 1, lengths)
    np.testing.assert_allclose(vectors_of(answer), expected, atol=1e-6)


def test_null_is_absent_and_the_unknown_is_ignored(server: LocalServer) -> None:
    body = {
        "model": MODEL,
        "input": ["a"],
        "encoding_format": None,
        "dimensions": None,
        "user": None,
        "input_type": None,
        "truncate": None,
        "extra": {"deep": []},
    }
    assert isinstance(server.post(body).json()["data"][0]["embedding"], list)
    assert server.post({"model": MODEL, "input": "a", "user": 17}).status_code == 200


def test_base64_is_little_endian_float32(server: LocalServer) -> None:
    answer = server.post({"model": MODEL, "input": ["果物"], "encoding_format": "base64"}).json()
    vector = np.frombuffer(base64.b64decode(answer["data"][0]["embedding"], validate=True), "<f4")
    np.testing.assert_array_equal(vector, reference_vectors(["果物"])[0])


def test_input_type_adds_the_models_prompt(client: openai.OpenAI) -> None:
    def embed(model: str, text: str, **extra: str) -> np.ndarray:
        return vectors_of(client.embeddings.create(model=model, input=text, extra_body=extra))[0]

    np.testing.assert_array_equal(embed(MODEL, "果物", input_type="query"), embed(MODEL, "query: 果物"))
    np.testing.assert_array_equal(embed(MODEL, "果物", input_type="document"), embed(MODEL, "document: 果物"))
    # The configuration's role is the default, and the request's wins over it.
    np.testing.assert_array_equal(embed("prompting", "果物"), embed("prompting", "果物", input_type="query"))
    assert (embed("prompting", "果物") != embed("prompting", "果物", input_type="document")).any()


def test_truncation_is_reported_and_counted(server: LocalServer) -> None:
    texts = ["short", "x" * 511, "ab" * 300, "ba" * 300]
    counted = server.metric("umekomi_truncated_inputs_total", model=MODEL)
    answers = {side: server.post({"model": MODEL, "input": texts, "truncate": side}) for side in ("end", "start")}
    default = server.post({"model": MODEL, "input": texts})
    for answer in (*answers.values(), default):
        assert answer.headers["x-umekomi-truncated"] == "2"
        assert answer.json()["usage"]["prompt_tokens"] == 6 + 512 * 3
    assert default.content == answers["end"].content
    assert server.metric("umekomi_truncated_inputs_total", model=MODEL) == counted + 6
    kept = {side: answer.json()["data"][2]["embedding"] for side, answer in answers.items()}
    np.testing.assert_array_equal(np.float32(kept["end"]), reference_vectors([("ab" * 300)[:511]])[0])
    np.testing.assert_array_equal(np.float32(kept["start"]), reference_vectors([("ab" * 300)[-511:]])[0])


def test_names_aliases_and_openais_names(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    openai_names = {"text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large"}
    assert listed.keys() == {MODEL, "team/embedder", "prompting", "own-ids", *openai_names}
    for name in {"team/embedder", *openai_names}:
        assert client.models.retrieve(name).id == name
        answer = client.embeddings.create(model=name, input="果物")
        assert answer.model == MODEL
        np.testing.assert_array_equal(vectors_of(answer), reference_vectors(["果物"]))


def test_errors_are_the_clients_own_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="gpt-4", input="x")
    assert unknown.value.code == "model_not_found"
    assert unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as empty:
        client.embeddings.create(model=MODEL, input=[])
    assert empty.value.param == "input"
    with pytest.raises(openai.APIStatusError) as large:
        client.embeddings.create(model=MODEL, input="x" * 16_000_000)
    assert large.value.status_code == 413
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing/like/this")


def test_2048_inputs_in_order(client: openai.OpenAI) -> None:
    texts = [f"text number {index}" for index in range(2048)]
    answer = client.embeddings.create(model=MODEL, input=texts)
    np.testing.assert_array_equal(vectors_of(answer), reference_vectors(texts))


def test_headers(server: LocalServer) -> None:
    answer = server.post({"model": MODEL, "input": "a"}, headers={"x-request-id": "trace-1.2:3"})
    assert answer.headers["x-request-id"] == "trace-1.2:3"
    assert len(answer.headers["x-umekomi-fingerprint"]) == 32
    assert int(answer.headers["openai-processing-ms"]) >= 0
    stages = [part.split(";")[0] for part in answer.headers["server-timing"].split(", ")]
    assert stages == ["receive", "load", "tokenise", "queue", "run", "encode"]
    assert "access-control-allow-origin" not in answer.headers
    assert "server" not in answer.headers
    for insane in ("a b", "x" * 200, "", "é"):
        sent = httpx.get(f"{server.url}/healthz", headers=[(b"x-request-id", insane.encode())], timeout=60)
        assert sent.headers["x-request-id"].startswith("req_")

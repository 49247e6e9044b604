"""LangChain's `OpenAIEmbeddings` as it comes: OpenAI's model name, token ids of OpenAI's vocabulary, base64."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
import tiktoken

from kit.server import LocalServer, reference_vectors, serving
from umekomi.config import DEFAULT_MODEL, ModelSettings
from umekomi.embedding.embedder import open_embedder

TEXTS = ["緑の果物", "りんごは赤い。", "green fruit 🍏", "メロンとキウイは緑色の果物です。" * 20, ""]


def embed_with_langchain(
    url: str, texts: list[str], tiktoken_cache: tiktoken.Encoding, **options: object
) -> np.ndarray:
    from langchain_openai import OpenAIEmbeddings

    assert tiktoken_cache.name == "cl100k_base"
    embeddings = OpenAIEmbeddings(base_url=f"{url}/v1", api_key="none", **options)  # type: ignore[arg-type]
    rows = np.array(embeddings.embed_documents(texts), np.float32)
    np.testing.assert_allclose(embeddings.embed_query(texts[0]), rows[0], atol=1e-6)
    return rows


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))


def test_langchain_gets_the_vectors_of_its_texts(server: LocalServer, cl100k: tiktoken.Encoding) -> None:
    rows = embed_with_langchain(server.url, TEXTS, cl100k)
    assert (cosines(rows, reference_vectors(TEXTS)) > 0.9999).all()


@pytest.fixture(scope="module")
def starter() -> Iterator[LocalServer]:
    with serving(ModelSettings(name=DEFAULT_MODEL)) as running:
        yield running


@pytest.mark.starter
def test_every_client_gets_the_python_apis_vectors(starter: LocalServer, cl100k: tiktoken.Encoding) -> None:
    with open_embedder(DEFAULT_MODEL) as embedder:
        expected = embedder.embed(TEXTS, role="raw")
    with openai.OpenAI(base_url=f"{starter.url}/v1", api_key="none") as client:
        answer = client.embeddings.create(model="text-embedding-ada-002", input=TEXTS[:-1])
    rows = np.array([item.embedding for item in answer.data], np.float32)
    assert (cosines(rows, expected.vectors[:-1]) > 0.9999).all()
    assert answer.usage.prompt_tokens == expected.tokens[:-1].sum()
    assert (cosines(embed_with_langchain(starter.url, TEXTS, cl100k), expected.vectors) > 0.9999).all()
    entry = starter.get("/v1/models/text-embedding-ada-002").json()
    assert entry["fingerprint"] == expected.fingerprint
    assert "4-bit" in entry["notice"]


@pytest.mark.starter
def test_the_command_serves_the_starter_by_itself(tmp_path: Path) -> None:
    from kit.server import serve_process

    assert os.environ["UMEKOMI_HOME"]
    with serve_process(tmp_path) as server, openai.OpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        answer = client.embeddings.create(model="text-embedding-3-small", input="緑の果物")
        assert answer.model == DEFAULT_MODEL
        assert len(answer.data[0].embedding) == 384
        assert server.stop() == 0

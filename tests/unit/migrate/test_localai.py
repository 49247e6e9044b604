"""LocalAI's model files, as people write them: every key is carried over or named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from umekomi.config import Settings
from umekomi.errors import ConfigError
from umekomi.migrate.draft import Migration
from umekomi.migrate.localai import read_localai

EMBEDDING = """
name: text-embedding-ada-002
backend: sentencetransformers
embeddings: true
threads: 8
f16: true
parameters:
  model: intfloat/multilingual-e5-small
description: |
  For the search of the intranet
"""
CHAT = """
name: gpt-4
backend: llama-cpp
context_size: 8192
f16: true
threads: 6
gpu_layers: 35
flash_attention: "true"
mmap: true
pinned: true
parameters:
  model: qwen2.5-7b-instruct-q4_k_m.gguf
  temperature: 0.2
  top_p: 0.9
options:
  - parallel:4
  - use_jinja:true
  - cache_ram:-1
stopwords:
  - <|im_end|>
template:
  use_tokenizer_template: true
  chat_message: |
    <|im_start|>{{ .RoleName }}
    {{ .Content }}<|im_end|>
"""
RERANKER = """
- name: jina-reranker
  backend: rerankers
  parameters: {model: cross-encoder/ms-marco-MiniLM-L-6-v2}
- name: e5-gguf
  backend: llama-cpp
  embeddings: true
  parameters: {model: huggingface://org/e5-gguf/e5-q8.gguf, pooling: mean}
- name: whisper-1
  backend: whisper
  parameters: {model: ggml-base.bin, language: ja}
- name: upstream
  backend: cloud-proxy
  proxy:
    upstream_url: https://llm.example.com/v1/chat/completions
    provider: openai
    mode: passthrough
    api_key_env: UPSTREAM_KEY
    upstream_model: big
    request_timeout_seconds: 30
- name: default
  alias: gpt-4
- name: resilient
  failover: {targets: [{model: gpt-4}, {model: upstream}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "embedding.yaml").write_text(EMBEDDING, encoding="utf-8")
    (tmp_path / "chat.yaml").write_text(CHAT, encoding="utf-8")
    (tmp_path / "others.yml").write_text(RERANKER, encoding="utf-8")
    (tmp_path / "qwen2.5-7b-instruct-q4_k_m.gguf").write_bytes(b"GGUF")
    (tmp_path / "notes.txt").write_text("no configuration")
    return tmp_path


def left(migration: Migration) -> dict[tuple[str, str], str]:
    return {(note.place, note.key): note.text for note in migration.left}


def test_a_models_folder_becomes_a_configuration(folder: Path) -> None:
    settings = Settings.model_validate(read_localai(folder).settings)
    models = {model.name: model for model in settings.models}
    assert set(models) == {"text-embedding-ada-002", "gpt-4", "jina-reranker", "e5-gguf", "upstream"}
    embedding, chat = models["text-embedding-ada-002"], models["gpt-4"]
    assert (embedding.kind, embedding.source) == ("embedding", "intfloat/multilingual-e5-small")
    assert settings.threads == 8
    assert chat.source == str(folder / "qwen2.5-7b-instruct-q4_k_m.gguf")
    assert chat.llama is not None
    assert chat.llama.model_dump(exclude_defaults=True) == {
        "ctx_size": 8192,
        "n_gpu_layers": 35,
        "threads": 6,
        "parallel": 4,
        "flash_attn": "on",
    }
    assert chat.pinned
    assert chat.aliases == ("default", "resilient")
    assert chat.fallbacks == ("upstream",)
    assert models["jina-reranker"].kind == "rerank"
    assert models["e5-gguf"].source == str(folder / "e5-q8.gguf")
    assert models["e5-gguf"].llama is not None
    assert models["e5-gguf"].llama.pooling == "mean"
    remote = models["upstream"].remote
    assert remote is not None
    assert (remote.base_url, remote.model, remote.api_key_env, remote.timeout_s) == (
        "https://llm.example.com/v1",
        "big",
        "UPSTREAM_KEY",
        30,
    )


def test_what_cannot_be_carried_over_is_named_with_its_reason(folder: Path) -> None:
    reasons = left(read_localai(folder))
    assert "fp32 on a CPU" in reasons["text-embedding-ada-002", "f16"]
    assert "with each request" in reasons["gpt-4", "parameters.temperature"]
    assert "with each request" in reasons["gpt-4", "stopwords"]
    assert "Go template" in reasons["gpt-4", "template.chat_message"]
    assert "no option of llama.cpp" in reasons["gpt-4", "options.cache_ram"]
    assert "backend whisper" in reasons["whisper-1", "parameters"]
    assert "no file" in reasons["e5-gguf", "parameters.model"]
    assert ("upstream", "proxy.mode") in reasons


def test_every_key_stands_in_the_account(folder: Path) -> None:
    migration = read_localai(folder)
    named = {(note.place, note.key.partition(".")[0]) for note in (*migration.carried, *migration.left)}
    for file in folder.glob("*.y*ml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        for model in content if isinstance(content, list) else [content]:
            for key in model:
                targets = {(model["name"], key), (model["name"], "alias"), (model["name"], "failover")}
                assert targets & named, (model["name"], key)


@pytest.mark.parametrize(
    ("model", "source"),
    [
        ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"),
        ("hf://intfloat/e5-small", "intfloat/e5-small"),
        ("own", "{folder}/own"),
    ],
)
def test_where_an_embedding_model_comes_from(tmp_path: Path, model: str, source: str) -> None:
    (tmp_path / "own").mkdir()
    path = tmp_path / "config.yaml"
    path.write_text(f"- name: e\n  embeddings: true\n  parameters: {{model: {model}}}\n", encoding="utf-8")
    (only,) = read_localai(path).settings["models"]
    assert only["source"] == source.format(folder=tmp_path)


def test_wrong_values_cost_their_key_and_not_the_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        """
        - {name: a, context_size: many, gpu_layers: -7, threads: 0, flash_attention: [x], options: [parallel:x, 3],
           known_usecases: 5, parameters: {model: a.gguf, pooling: sideways}}
        - {name: a, parameters: {model: twice.gguf}}
        - {name: no-model}
        - {name: loop, alias: loop}
        - {name: lost, alias: nobody}
        - {parameters: {model: nameless.gguf}}
        - just a text
        - {name: 7, parameters: {model: b.gguf}}
        """,
        encoding="utf-8",
    )
    migration = read_localai(path)
    assert migration.model_names == ("a",)
    reasons = left(migration)
    assert reasons["a", "context_size"] == "not a whole number from 1 on"
    assert reasons["a", "gpu_layers"] == "not a whole number from -1 on"
    assert reasons["a", "options.parallel"] == "not a whole number from 1 on"
    assert "mean, cls or last" in reasons["a", "parameters.pooling"]
    assert "taken by another model" in reasons["a", "a"]
    assert "was not carried over" in reasons["loop", "alias"]
    assert "was not carried over" in reasons["lost", "alias"]
    assert ("7", "name") in reasons
    Settings.model_validate(migration.settings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name: [", "not valid YAML in line 1"),
        (b"api_key: hush-9\n  name: x: y", "not valid YAML in line"),
        ("名前: x".encode("cp932"), "not UTF-8 at byte 0"),
        (b"a: &a [" + b"[" * 5000, "not valid YAML"),
    ],
)
def test_a_broken_file_is_named_and_not_quoted(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message) as caught:
        read_localai(tmp_path)
    assert "model.yaml" in str(caught.value)
    assert "hush-9" not in str(caught.value)


def test_a_folder_without_files_and_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no \.yaml file"):
        read_localai(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_localai(tmp_path / "none")
